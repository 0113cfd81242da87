"""Simultaneous bands over a curve of k: the whole true curve lies inside with the stated probability.

A band has the bounds of `flexeval.stats.resampling` at one wider score for all columns: the one that holds the stated
share of bootstrap curves at every k. Columns that move together cost little width. A band of means has none where
nothing varies and consists of percentiles of resampled means, so it never leaves the range of the values; a band of
differences allows for problems that were not met where few differ, as their intervals do.

Knows counts, not what an order is.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.resampling import LEVEL, REPLICATES, Resampled, differences, normal_score, resample
from flexeval.stats.verdict import Floats


def pass_at_k_band(
    counts: pd.DataFrame,
    ks: Sequence[int],
    *,
    tasks: Sequence[Hashable] | None = None,
    level: float = LEVEL,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean Pass@k with a simultaneous band.

    Args:
        counts: columns problem_id, n, c; one row a problem.
        ks: where; the band is simultaneous over these.
        tasks: the task of each row; None when all rows are of one task.
        level: the probability that the band holds the true mean at all k at once.
        replicates, seed: of the bootstrap.

    Returns:
        One row a k: k, estimate, low, high, as fractions.

    Raises:
        InputError: a problem with fewer than max(ks) samples, and what `interval` refuses.
    """
    return band(pass_at_k_table(counts, ks), tasks=tasks, level=level, replicates=replicates, seed=seed)


def difference_band(
    counts_a: pd.DataFrame,
    counts_b: pd.DataFrame,
    ks: Sequence[int],
    *,
    tasks: Sequence[Hashable] | None = None,
    level: float = LEVEL,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean Pass@k of a minus that of b, paired by problem, with a simultaneous band.

    Args:
        counts_a: columns problem_id, n, c.
        counts_b: the same problems; n may differ.
        ks: where; the band is simultaneous over these.
        tasks: the task of each row of `counts_a`; None when all rows are of one task.
        level, replicates, seed: as in `pass_at_k_band`.

    Returns:
        One row a k: k, estimate, low, high, as fractions; positive where a is better.

    Raises:
        InputError: other problems, a problem with fewer than max(ks) samples, and what `interval` refuses.
    """
    table = differences(pass_at_k_table(counts_a, ks), pass_at_k_table(counts_b, ks))
    return band_of_differences(table, tasks=tasks, largest=1.0, level=level, replicates=replicates, seed=seed)


def band(
    table: pd.DataFrame, *, tasks: Sequence[Hashable] | None, level: float, replicates: int, seed: int
) -> pd.DataFrame:
    """The means of a table's columns with a band that holds all of them at once.

    Returns:
        One row a column: its label under the name of the column index, estimate, low, high.
    """
    resampled = resample(table, tasks=tasks, replicates=replicates, level=level, seed=seed)
    return _frame(table, resampled, resampled.bounds(_joint_score(resampled.replicates_RK, level)))


def band_of_differences(
    table: pd.DataFrame, *, tasks: Sequence[Hashable] | None, largest: float, level: float, replicates: int, seed: int
) -> pd.DataFrame:
    """As `band`, for a table that `differences` gave: symmetric about the means, and at most `largest` from zero."""
    resampled = resample(table, tasks=tasks, replicates=replicates, level=level, seed=seed)
    return _frame(table, resampled, resampled.symmetric_bounds(_joint_deviation(resampled, level), largest))


def _frame(table: pd.DataFrame, resampled: Resampled, bounds: tuple[Floats, Floats]) -> pd.DataFrame:
    low_K, high_K = bounds
    columns = {table.columns.name: table.columns, "estimate": resampled.means_K, "low": low_K, "high": high_K}
    return pd.DataFrame(columns)


def _joint_score(replicates_RK: Floats, level: float) -> float:
    """The normal score whose percentiles hold `level` of the replicate curves at every column."""
    tail_R = np.full(len(replicates_RK), 0.5)
    for replicates_R in replicates_RK.T:
        ordered_R = np.sort(replicates_R)
        at_most_R = np.searchsorted(ordered_R, replicates_R, side="right")
        at_least_R = len(ordered_R) - np.searchsorted(ordered_R, replicates_R, side="left")
        tail_R = np.minimum(tail_R, np.minimum(at_most_R, at_least_R) / len(ordered_R))
    return float(stats.norm.isf(np.quantile(tail_R, 1 - level)))


def _joint_deviation(resampled: Resampled, level: float) -> float:
    """How many standard errors `level` of the replicate curves keep within at every column.

    Never fewer than an interval at a single column has, so that a band holds the intervals also where nothing varies.
    """
    error_K = resampled.replicates_RK.std(axis=0)
    varies_K = error_K > 1e-12
    deviation_RK = np.abs(resampled.replicates_RK - resampled.means_K) / np.where(varies_K, error_K, np.inf)
    return max(float(np.quantile(deviation_RK.max(axis=1), level)), normal_score(level))
