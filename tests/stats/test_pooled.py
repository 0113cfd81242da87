"""Means over occurrences: which problems are behind them, and what each adds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from flexeval.stats.bootstrap import Bootstrap
from flexeval.stats.pooled import Pooled, pooled_difference, pooled_interval

FEW = Bootstrap(replicates=500)


def pooled(counts, seed=0):
    """Values drawn for so many occurrences of each problem."""
    sums = [np.random.default_rng([seed, i]).normal(1, 1, int(count)).sum() for i, count in enumerate(counts)]
    return Pooled(sums_PK=np.array(sums)[:, None], counts_PK=np.array(counts, dtype=float)[:, None])


def test_groups_come_with_their_own_counts():
    three = Pooled.side_by_side([pooled([n] * 3, seed=n) for n in (1, 2, 5)])
    found = three.groups([2, 0])
    assert found.estimates_K.tolist() == three.estimates_K[[2, 0]].tolist()
    assert found.counts_PK.tolist() == [[5, 1]] * 3


def test_only_problems_with_an_occurrence_on_both_sides_count():
    """Of 40 problems, 12 have the word in one run and 8 of these in the other: Student's tails are of 8."""
    first, second = pooled([3] * 12 + [0] * 28), pooled([2] * 8 + [0] * 32, seed=1)
    found = pooled_difference(first, second, bootstrap=FEW)
    assert found.problems == 8
    replicates_R = (first.resampled(FEW) - second.resampled(FEW))[:, 0]
    error = np.nanstd(replicates_R)
    half = stats.t.ppf(0.975, 7) * np.sqrt(8 / 7) * error
    assert (found.high - found.estimate, found.estimate - found.low) == pytest.approx((half, half), rel=1e-6)


def test_what_each_problem_adds_is_its_part_and_its_deviation():
    """To first order: for as many occurrences each, the ratio is a mean, and shares are those of the mean."""
    equal = pooled([4] * 10)
    alone = Pooled(sums_PK=np.zeros((10, 1)), counts_PK=np.ones((10, 1)))
    means_P = equal.sums_PK[:, 0] / 4
    assert pooled_difference(equal, alone, bootstrap=FEW).shares_P == pytest.approx(means_P / 10)


def test_a_word_of_eight_problems_is_known_as_well_as_these_know_it():
    """Problems without an occurrence change its interval by how many of the eight a resample has, and by no more."""
    own, among = (
        pooled_interval(pooled([5] * 8 + [0] * others), bootstrap=Bootstrap(replicates=4000)) for others in (0, 72)
    )
    assert (among.estimate, among.problems) == (own.estimate, 8)
    assert 1 < (among.high - among.low) / (own.high - own.low) < 1.25
