"""Pass@k against enumeration and exact ratios; CoverageAUC and Potential@k against their definitions."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexeval.errors import InputError
from flexeval.stats.bootstrap import Bootstrap, interval, paired_difference, resample
from flexeval.stats.pass_at_k import (
    _potential,
    all_at_k_table,
    coverage_auc,
    default_ks,
    pass_at_k,
    pass_at_k_table,
    potential_at_k,
)


@pytest.mark.parametrize("n", range(1, 8))
def test_equals_the_share_of_subsets_with_a_correct_sample(n):
    for c in range(n + 1):
        outcomes = [True] * c + [False] * (n - c)
        for k in range(1, n + 1):
            subsets = list(combinations(outcomes, k))
            share = sum(any(subset) for subset in subsets) / len(subsets)
            assert pass_at_k(n, c, k) == pytest.approx(share, abs=1e-15)


@settings(deadline=None)
@given(st.integers(1, 2048), st.data())
def test_is_exact_to_rounding_for_large_n(n, data):
    c = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, n))
    exact = 1 - Fraction(math.comb(n - c, k), math.comb(n, k))
    assert abs(Fraction(pass_at_k(n, c, k)) - exact) < 1e-15


def test_grows_with_k_and_with_c():
    n = 24
    values_CK = pass_at_k(n, np.arange(n + 1)[:, None], np.arange(1, n + 1)[None, :])
    assert (np.diff(values_CK, axis=0) >= -1e-15).all()
    assert (np.diff(values_CK, axis=1) >= -1e-15).all()
    assert (values_CK[0] == 0).all() and (values_CK[-1] == 1).all()
    assert values_CK[:, 0] == pytest.approx(np.arange(n + 1) / n, abs=1e-15)


def test_each_problem_may_have_its_own_n():
    n, c = np.array([4, 9, 16]), np.array([1, 0, 16])
    assert pass_at_k(n, c, 4).tolist() == [pass_at_k(4, 1, 4), pass_at_k(9, 0, 4), pass_at_k(16, 16, 4)]


@pytest.mark.parametrize(
    ("n", "c", "k", "message"),
    [
        (4, 1, 8, r"pass@8 needs 8 samples of every problem, but one has 4; sample more, or keep k <= 4"),
        ([16, 3], [1, 1], 4, r"pass@4 .* has 3; sample more, or keep k <= 3"),
        ([16, 0], [1, 0], 1, r"pass@1 .* has 0; sample more$"),
        (4, 5, 1, r"c = 5 where n = 4"),
        (4, -1, 1, r"c = -1 where n = 4"),
        (-1, 0, 1, r"c = 0 where n = -1"),
        (4, 1, 0, r"k must be at least 1, not 0"),
        (4.0, 1, 1, r"n must be whole numbers, not float64"),
        (4, True, 1, r"c must be whole numbers, not bool"),
    ],
)
def test_refuses_counts_that_mean_nothing(n, c, k, message):
    with pytest.raises(InputError, match=message):
        pass_at_k(n, c, k)


def counts(c, n):
    return pd.DataFrame({"problem_id": [f"p{i}" for i in range(len(c))], "n": n, "c": c})


def test_table_keeps_problems_without_a_correct_sample():
    table = pass_at_k_table(counts([0, 1, 4], [4, 4, 4]), [1, 2, 4])
    assert table.index.tolist() == ["p0", "p1", "p2"] and table.columns.tolist() == [1, 2, 4]
    assert table.loc["p0"].tolist() == [0, 0, 0]
    assert table.loc["p1"].tolist() == [0.25, 0.5, 1]


@pytest.mark.parametrize("n", [1, 4, 7])
def test_all_correct_is_the_share_of_subsets_without_a_wrong_sample(n):
    frame = pd.DataFrame({"problem_id": range(n + 1), "n": n, "c": range(n + 1)})
    for k in range(1, n + 1):
        subsets = list(combinations(range(n), k))
        expected = [np.mean([all(i < c for i in subset) for subset in subsets]) for c in range(n + 1)]
        assert all_at_k_table(frame, [k])[k].tolist() == pytest.approx(expected, abs=1e-12)


def test_table_names_the_problem_that_has_too_few_samples():
    with pytest.raises(InputError, match=r"pass@4 needs 4 samples of every problem, but 'p1' has 3"):
        pass_at_k_table(counts([0, 1], [4, 3]), [1, 4])


@pytest.mark.parametrize(("n", "ks", "message"), [([], [1], "no problem"), ([4], [], "no k")])
def test_table_of_nothing_is_an_error(n, ks, message):
    with pytest.raises(InputError, match=message):
        pass_at_k_table(counts(n, n), ks)


def test_default_ks_end_at_n():
    assert default_ks(1) == [1]
    assert default_ks(16) == [1, 2, 4, 8, 16]
    assert default_ks(12) == default_ks(np.int64(12)) == [1, 2, 4, 8, 12]
    with pytest.raises(InputError, match="at least 1 sample"):
        default_ks(0)


# ----- one number for a curve -----


@pytest.mark.parametrize("ks", [[4, 8, 16, 32, 64], [1, 2, 4], [7]])
def test_is_the_mean_over_a_grid_that_doubles(ks):
    drawn = counts([0, 1, 5, 64], 64)
    assert coverage_auc(drawn, ks)["coverage_auc"].tolist() == pytest.approx(pass_at_k_table(drawn, ks).mean(axis=1))


def test_a_k_counts_by_the_stretch_of_log_k_around_it():
    # On 1, 2, 8 the gaps are 1 and 2 doublings: stretches 1/2 + 1/2, 1/2 + 2/2 and 2/2 + 2/2.
    drawn = counts([1, 3], 8)
    at = pass_at_k_table(drawn, [1, 2, 8])
    expected = (1.0 * at[1] + 1.5 * at[2] + 2.0 * at[8]) / 4.5
    assert coverage_auc(drawn, [1, 2, 8])["coverage_auc"].tolist() == pytest.approx(expected.tolist())


def test_nothing_solved_is_0_and_all_solved_is_1():
    assert coverage_auc(counts([0, 6], 6), [1, 2, 3, 6])["coverage_auc"].tolist() == pytest.approx([0, 1])


def test_intervals_and_differences_take_it():
    a, b = coverage_auc(counts([3] * 9, 8), [1, 2, 4, 8]), coverage_auc(counts([1] * 9, 8), [1, 2, 4, 8])
    assert interval(a)["coverage_auc"].problems == 9
    assert paired_difference(a, b)["coverage_auc"].verdict == "above"


def test_refuses_a_grid_that_does_not_ascend():
    with pytest.raises(InputError, match="ascending order"):
        coverage_auc(counts([1], 4), [2, 1])


def enumerated_potential(c, n, k):
    """Among ordered draws without replacement whose first fails: the share with a success within k."""
    failed, saved = 0.0, 0.0
    for correct in c:
        outcomes = [1] * correct + [0] * (n - correct)
        draws = list(permutations(outcomes, k))
        failed += sum(not draw[0] for draw in draws) / len(draws)
        saved += sum(not draw[0] and any(draw) for draw in draws) / len(draws)
    return saved / failed


@pytest.mark.parametrize("c", [[0, 1, 2, 5], [3], [0, 0, 4]])
def test_potential_is_the_share_of_failures_that_k_samples_save(c):
    frame = potential_at_k(counts(c, 5), [1, 2, 3, 5])
    assert frame["estimate"].tolist() == pytest.approx([enumerated_potential(c, 5, k) for k in (1, 2, 3, 5)])
    assert frame["estimate"].iloc[0] == 0


def test_potential_of_nothing_is_0_and_without_failures_is_unknown():
    assert (potential_at_k(counts([0] * 4, 8), [1, 8])[["estimate", "low", "high"]] == 0).all(axis=None)
    assert potential_at_k(counts([8] * 4, 8), [1, 8])[["estimate", "low", "high"]].isna().all(axis=None)


def test_potential_interval_has_the_width_of_the_delta_method():
    rng = np.random.default_rng(0)
    c = rng.binomial(16, rng.beta(0.6, 1.2, size=400))
    table = pass_at_k_table(counts(c, 16), [1, 8])
    row = potential_at_k(counts(c, 16), [8]).iloc[0]
    influence = table[8] - table[1] - row["estimate"] * (1 - table[1])
    standard_error = influence.std() / np.sqrt(400) / (1 - table[1].mean())
    assert row["high"] - row["low"] == pytest.approx(2 * 1.966 * standard_error, rel=0.05)
    assert row["low"] < row["estimate"] < row["high"]


def test_the_influence_of_a_problem_is_the_derivative_of_potential():
    rng = np.random.default_rng(5)
    first = rng.uniform(0, 0.6, size=15)
    table = pd.DataFrame({1: first, 8: first + rng.uniform(0, 0.4, size=15)})

    def weighted(weight):
        at_1, at_k = weight @ table.to_numpy()
        return (at_k - at_1) / (1 - at_1)

    resampled = resample(table, bootstrap=Bootstrap(replicates=10))
    influence = _potential(resampled).influence_PK[:, 0] / (1 - first.mean())
    even = np.full(15, 1 / 15)
    numeric = [(weighted((1 - 1e-6) * even + 1e-6 * np.eye(15)[i]) - weighted(even)) / 1e-6 / 15 for i in range(15)]
    assert influence == pytest.approx(np.array(numeric), abs=1e-6)
