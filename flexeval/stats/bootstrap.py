"""Bootstrap intervals of means over problems, and of paired differences between two orders.

How problems are resampled, and how the resamples give bounds, stands in `flexeval.stats.resampling`; what becomes of
bounds, in `flexeval.stats.verdict`.

Knows tables of numbers, one row a problem. It does not know what the numbers are.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Iterator, Sequence

import pandas as pd

from flexeval.stats.resampling import (
    LEVEL,
    REPLICATES,
    Resampled,
    bootstrap_means,
    differences,
    normal_score,
    resample,
)
from flexeval.stats.verdict import Bounds, Difference, Floats, Interval

__all__ = [
    "LEVEL",
    "REPLICATES",
    "Difference",
    "Interval",
    "bootstrap_means",
    "interval",
    "paired_difference",
]


def interval(
    table: pd.DataFrame,
    *,
    tasks: Sequence[Hashable] | None = None,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[Hashable, Interval]:
    """The mean over problems of each column, with its interval.

    Args:
        table: one row a problem (P), one column a quantity (K), indexed by problem id.
        tasks: the task of each row; None when all rows are of one task.
        replicates: bootstrap replicates.
        level: nominal coverage, a fraction in (0, 1).
        seed: of the resampling. The same seed resamples the same rows, whatever the columns.

    Raises:
        InputError: an empty table, NaN in it, or a level or number of replicates out of range.
    """
    resampled = resample(table, tasks=tasks, replicates=replicates, level=level, seed=seed)
    score, found = normal_score(level), {}
    for column, mean, one in _columns(table, resampled):
        at = first_column(one.bounds)
        low, high = at(score)
        found[column] = Interval(estimate=mean, low=low, high=high, level=level, problems=len(table), at=at)
    return found


def paired_difference(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    tasks: Sequence[Hashable] | None = None,
    largest: float = math.inf,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[Hashable, Difference]:
    """The mean over problems of `first - second` for each column, both taken on the same resampled problems.

    Args:
        first: one row a problem, one column a quantity, indexed by problem id.
        second: the same problems in any row order, and the same columns.
        tasks: the task of each row of `first`; None when all rows are of one task.
        largest: what no difference can exceed, to either side: 1 for fractions. Bounds end there.
        replicates, level, seed: as in `interval`.

    Raises:
        InputError: other problems or columns in `second`, a problem given twice, and what `interval` refuses.
    """
    table = differences(first, second)
    resampled = resample(table, tasks=tasks, replicates=replicates, level=level, seed=seed)
    score, found = normal_score(level), {}
    for column, mean, one in _columns(table, resampled):
        at = first_column(functools.partial(one.symmetric_bounds, largest=largest))
        low, high = at(score)
        found[column] = Difference(
            estimate=mean,
            low=low,
            high=high,
            level=level,
            problems=len(table),
            at=at,
            shares_P=one.shares_PK[:, 0],
            largest=largest,
        )
    return found


def first_column(bounds: Callable[[float], tuple[Floats, Floats]]) -> Bounds:
    """Bounds of several columns -> those of the first, as numbers."""

    def at(score: float) -> tuple[float, float]:
        low_K, high_K = bounds(score)
        return float(low_K[0]), float(high_K[0])

    return at


def _columns(table: pd.DataFrame, resampled: Resampled) -> Iterator[tuple[Hashable, float, Resampled]]:
    """(label, mean, the column by itself) of each column."""
    for index, (column, mean) in enumerate(zip(table.columns, resampled.means_K.tolist(), strict=True)):
        yield column, mean, resampled.column(index)
