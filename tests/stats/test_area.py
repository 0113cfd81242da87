"""CoverageAUC against its definition on doubling grids; Potential@k against enumeration."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from flexeval.errors import InputError
from flexeval.stats import coverage_auc, interval, paired_difference, pass_at_k_table, potential_at_k
from flexeval.stats.area import _potential
from flexeval.stats.resampling import resample


def counts(c, n):
    return pd.DataFrame({"problem_id": [f"p{i}" for i in range(len(c))], "n": n, "c": c})


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

    resampled = resample(table, tasks=None, replicates=10, level=0.95, seed=0)
    influence = _potential(resampled).influence_PK[:, 0] / (1 - first.mean())
    even = np.full(15, 1 / 15)
    numeric = [(weighted((1 - 1e-6) * even + 1e-6 * np.eye(15)[i]) - weighted(even)) / 1e-6 / 15 for i in range(15)]
    assert influence == pytest.approx(np.array(numeric), abs=1e-6)
