"""The correlation of two orders' accuracies against numpy's, and where there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flexeval import stats
from flexeval.errors import InputError
from flexeval.stats.correlation import _influence


def counts(correct: list[int], n: int = 10) -> pd.DataFrame:
    return pd.DataFrame({"problem_id": [f"p{i}" for i in range(len(correct))], "n": n, "c": correct})


def test_it_is_pearsons():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 11, 40)
    b = np.clip(a + rng.integers(-2, 3, 40), 0, 10)
    pairs = stats.accuracy_pairs(counts(a.tolist()), counts(b.tolist()).sample(frac=1, random_state=1))
    r = stats.accuracy_correlation(pairs)
    assert r.estimate == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert r.low < r.estimate < r.high
    assert r.problems == 40


@pytest.mark.parametrize("sign", [1, -1])
def test_a_line_has_no_width(sign):
    a = list(range(11))
    r = stats.accuracy_correlation(stats.accuracy_pairs(counts(a), counts(a[::sign])))
    assert (r.estimate, r.low, r.high) == pytest.approx((sign, sign, sign))


def test_the_interval_of_unrelated_accuracies_holds_zero_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    tables = [pd.DataFrame({"a": rng.random(80), "b": rng.random(80)}) for _ in range(100)]
    found = [stats.accuracy_correlation(table, replicates=400) for table in tables]
    assert 88 <= sum(r.low < 0 < r.high for r in found) <= 99


def test_the_influence_of_a_problem_is_the_derivative_of_the_correlation():
    rng = np.random.default_rng(3)
    a, b = rng.random((2, 20))
    b += 0.7 * a

    def weighted(weight):
        (var_a, both), (_, var_b) = np.cov(a, b, aweights=weight, ddof=0)
        return both / np.sqrt(var_a * var_b)

    even, r = np.full(20, 1 / 20), weighted(np.full(20, 1 / 20))
    numeric = [(weighted((1 - 1e-6) * even + 1e-6 * np.eye(20)[i]) - r) / 1e-6 / 20 for i in range(20)]
    assert _influence(a - a.mean(), b - b.mean(), r) == pytest.approx(np.array(numeric), abs=1e-6)


def test_equal_accuracies_have_no_correlation():
    r = stats.accuracy_correlation(stats.accuracy_pairs(counts([5] * 6), counts([0, 1, 2, 3, 4, 5])))
    assert np.isnan([r.estimate, r.low, r.high]).all()


def test_other_problems_are_refused():
    with pytest.raises(InputError, match="not on the same problems: 'p2' is in one only"):
        stats.accuracy_pairs(counts([1, 2]), counts([1, 2, 3]))
