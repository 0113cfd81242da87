"""Who solves what: set operations, the binomial sum, and the refusals."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from flexeval.errors import InputError
from flexeval.stats import coverage, coverage_frame


def counts(c, n=4):
    return pd.DataFrame({"problem_id": [f"p{i}" for i in range(len(c))], "n": n, "c": c})


def test_parts_are_those_of_the_sets():
    rng = np.random.default_rng(0)
    a, b = counts(rng.choice([0, 0, 1, 4], size=100)), counts(rng.choice([0, 1, 2], size=100))
    by_a, by_b = ({row.problem_id for row in drawn.itertuples() if row.c} for drawn in (a, b))
    found = coverage(a, b.sample(frac=1, random_state=0))
    assert (found.a_only, found.b_only) == (len(by_a - by_b), len(by_b - by_a))
    assert (found.both, found.neither) == (len(by_a & by_b), 100 - len(by_a | by_b))
    assert (found.n, found.problems) == (4, 100)
    assert found.share_of_b.estimate == pytest.approx(len(by_a & by_b) / len(by_b))
    assert found.share_of_b.problems == len(by_b)


@pytest.mark.parametrize(("a_only", "b_only"), [(0, 0), (1, 0), (5, 0), (0, 8), (7, 2), (3, 3), (35, 1)])
def test_p_value_is_twice_the_binomial_tail(a_only, b_only):
    found = coverage(counts([1] * a_only + [0] * b_only + [1, 0]), counts([0] * a_only + [1] * b_only + [1, 0]))
    single = a_only + b_only
    tail = sum(math.comb(single, i) for i in range(max(a_only, b_only), single + 1)) / 2**single
    assert found.p_value == pytest.approx(min(1, 2 * tail))


def test_the_interval_is_wilsons():
    found = coverage(counts([1] * 9 + [0]), counts([1] * 10))
    z, share, of = 1.959964, 0.9, 10
    centre = (share + z**2 / (2 * of)) / (1 + z**2 / of)
    half = z / (1 + z**2 / of) * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    assert (found.share_of_b.low, found.share_of_b.high) == pytest.approx((centre - half, centre + half), abs=1e-6)


def test_a_share_of_nothing_is_no_number():
    assert coverage(counts([1, 0]), counts([0, 0])).share_of_b is None


def test_frame_adds_up():
    rows = coverage_frame(coverage(counts([1, 0, 0, 2, 0]), counts([0, 3, 0, 1, 0])))
    assert rows["part"].tolist() == ["a_only", "b_only", "both", "neither"]
    assert rows["problems"].tolist() == [1, 1, 1, 2]
    assert rows["share"].tolist() == pytest.approx([0.2, 0.2, 0.2, 0.4])


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (counts([1, 0], n=8), counts([1, 0], n=4), "problems have 4 to 8 samples; compare the first 4"),
        (counts([1, 0], n=[4, 3]), counts([1, 0], n=[4, 3]), "problems have 3 to 4 samples"),
        (counts([1, 0]), counts([1]), "not on the same problems: 'p1' is only in the first"),
        (counts([]), counts([]), "no problem"),
        (counts([0], n=0), counts([0], n=0), "at least 1 sample"),
    ],
)
def test_refuses_what_cannot_be_compared(a, b, message):
    with pytest.raises(InputError, match=message):
        coverage(a, b)
