"""Who solves what: set operations, the binomial sum, refusals. The correlation of accuracies against numpy's."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from flexeval.errors import InputError
from flexeval.stats.bootstrap import Bootstrap, bootstrap_means
from flexeval.stats.coverage import (
    _influence,
    accuracy_correlation,
    accuracy_pairs,
    coverage,
    coverage_frame,
    flips,
)


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


@pytest.mark.parametrize(("level", "z"), [(0.95, 1.959964), (0.8, 1.281552)])
def test_the_interval_is_wilsons(level, z):
    found = coverage(counts([1] * 9 + [0]), counts([1] * 10), level=level)
    share, of = 0.9, 10
    centre = (share + z**2 / (2 * of)) / (1 + z**2 / of)
    half = z / (1 + z**2 / of) * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    assert (found.share_of_b.low, found.share_of_b.high) == pytest.approx((centre - half, centre + half), abs=1e-6)
    assert found.share_of_b.level == level


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


# ----- accuracies -----


def of_ten(correct: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"problem_id": [f"p{i}" for i in range(len(correct))], "n": 10, "c": correct})


def test_it_is_pearsons():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 11, 40)
    b = np.clip(a + rng.integers(-2, 3, 40), 0, 10)
    pairs = accuracy_pairs(of_ten(a.tolist()), of_ten(b.tolist()).sample(frac=1, random_state=1))
    r = accuracy_correlation(pairs)
    assert r.estimate == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert r.low < r.estimate < r.high
    assert r.problems == 40


@pytest.mark.parametrize("sign", [1, -1])
def test_a_line_has_no_width(sign):
    a = list(range(11))
    r = accuracy_correlation(accuracy_pairs(of_ten(a), of_ten(a[::sign])))
    assert (r.estimate, r.low, r.high) == pytest.approx((sign, sign, sign))


def test_the_interval_of_unrelated_accuracies_holds_zero_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    tables = [pd.DataFrame({"a": rng.random(80), "b": rng.random(80)}) for _ in range(100)]
    found = [accuracy_correlation(table, bootstrap=Bootstrap(replicates=400)) for table in tables]
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


def test_the_interval_is_bca_of_the_resampled_correlations():
    a, b = np.random.default_rng(4).random((2, 15))
    b += a
    bootstrap = Bootstrap(replicates=400)

    def weighted(weight):
        (var_a, both), (_, var_b) = np.cov(a, b, aweights=weight, ddof=0)
        return both / np.sqrt(var_a * var_b)

    # The same seed draws the same problems, whatever is measured on them.
    replicates_R = np.array([weighted(weight) for weight in bootstrap_means(np.eye(15), bootstrap=bootstrap)])
    r = weighted(np.ones(15))
    bias = stats.norm.ppf((replicates_R < r).mean())
    influence_P = _influence(a - a.mean(), b - b.mean(), r)
    acceleration = (influence_P**3).sum() / (influence_P**2).sum() ** 1.5 / 6
    score = bias + np.array([-1, 1]) * stats.t.isf(0.025, 14) * np.sqrt(15 / 14)
    share = stats.norm.cdf(bias + score / (1 - acceleration * score))
    found = accuracy_correlation(pd.DataFrame({"a": a, "b": b}), bootstrap=bootstrap)
    assert (found.estimate, found.low, found.high) == pytest.approx((r, *np.quantile(replicates_R, share)))


def test_equal_accuracies_have_no_correlation():
    r = accuracy_correlation(accuracy_pairs(of_ten([5] * 6), of_ten([0, 1, 2, 3, 4, 5])))
    assert np.isnan([r.estimate, r.low, r.high]).all()


def test_other_problems_are_refused():
    with pytest.raises(InputError, match="not on the same problems: 'p2' is only in the second"):
        accuracy_pairs(of_ten([1, 2]), of_ten([1, 2, 3]))


# ----- flips -----


def verdicts(**by_problem):
    rows = [(problem, i, right) for problem, own in by_problem.items() for i, right in enumerate(own)]
    return pd.DataFrame(rows, columns=["problem_id", "sample_index", "correct"]).astype({"correct": bool})


def test_flips_by_hand():
    a = verdicts(p=[1, 1, 0, 0], q=[1, 1, 1, 1], r=[0, 0, 0, 0], s=[1, 0, 0, 1])
    b = verdicts(p=[0, 1, 1, 0], q=[0, 0, 0, 0], r=[0, 0, 0, 0], s=[1, 0, 1, 1])
    table = flips(a, b.sample(frac=1, random_state=0)).set_index("problem_id")
    assert table.index.tolist() == ["q", "s", "p", "r"]
    columns = ["n", "c_a", "c_b", "lost", "gained"]
    assert table.loc["p", columns].tolist() == [4, 2, 2, 1, 1]
    assert table.loc["q", columns].tolist() == [4, 4, 0, 4, 0]
    assert table.loc["s", columns].tolist() == [4, 2, 3, 0, 1]
    assert table["solved_by"].to_dict() == {"p": "both", "q": "a", "r": "neither", "s": "both"}
    assert table["difference"].to_dict() == {"p": 0, "q": 1, "r": 0, "s": -0.25}


def test_lost_minus_gained_is_the_difference_and_exchanging_the_runs_exchanges_them():
    rng = np.random.default_rng(0)
    a, b = (verdicts(**{f"p{i}": rng.random(9) < 0.5 for i in range(20)}) for _ in range(2))
    there, back = (flips(*pair).set_index("problem_id") for pair in ((a, b), (b, a)))
    assert ((there["lost"] - there["gained"]) / there["n"]).tolist() == pytest.approx(there["difference"].tolist())
    assert there["lost"].equals(back["gained"].loc[there.index].rename("lost"))
    counts = [own.groupby("problem_id", sort=False)["correct"].agg(n="size", c="sum").reset_index() for own in (a, b)]
    found = coverage(*counts)
    assert [(there["solved_by"] == name).sum() for name in ("a", "b")] == [found.a_only, found.b_only]


def test_flips_of_other_samples_or_problems_are_refused():
    with pytest.raises(InputError, match="only one has sample 2 of 'p'"):
        flips(verdicts(p=[1, 0, 1]), verdicts(p=[1, 0]))
    with pytest.raises(InputError, match="not on the same problems"):
        flips(verdicts(p=[1]), verdicts(q=[1]))
