"""Bootstrap intervals of means over problems, and of paired differences between two orders.

How problems are resampled, and how the resamples give bounds, stands in `flexeval.stats.resampling`.

Knows tables of numbers, one row a problem. It does not know what the numbers are.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from flexeval.stats.resampling import (
    LEVEL,
    REPLICATES,
    Floats,
    Resampled,
    bootstrap_means,
    differences,
    normal_score,
    resample,
)

__all__ = [
    "LEVEL",
    "REPLICATES",
    "Difference",
    "Interval",
    "Verdict",
    "bootstrap_means",
    "interval",
    "paired_difference",
]

Verdict = Literal["above", "below", "unresolved"]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and its interval, in the unit of the table it came from."""

    estimate: float
    low: float
    high: float
    level: float
    """Nominal coverage, a fraction."""
    problems: int
    """Problems behind it. One problem, or problems that all agree, give an interval of no width."""


@dataclass(frozen=True, kw_only=True)
class Difference(Interval):
    """A mean difference paired by problem, first minus second."""

    @property
    def verdict(self) -> Verdict:
        """Which side of zero the interval lies on; never "equal".

        Unresolved, too, where there are so few problems that even a unanimous sign would not be evidence at this
        level (two-sided sign test: 2 * 0.5 ** problems > 1 - level): there the bootstrap is overconfident.
        """
        if 2 * 0.5**self.problems > 1 - self.level:
            return "unresolved"
        if self.low > 0:
            return "above"
        return "below" if self.high < 0 else "unresolved"


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
    bounds = resampled.bounds(normal_score(level))
    return {
        column: Interval(estimate=mean, low=low, high=high, level=level, problems=len(table))
        for column, mean, low, high in _columns(table, resampled, bounds)
    }


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
    bounds = resampled.symmetric_bounds(normal_score(level), largest)
    return {
        column: Difference(estimate=mean, low=low, high=high, level=level, problems=len(first))
        for column, mean, low, high in _columns(table, resampled, bounds)
    }


def _columns(
    table: pd.DataFrame, resampled: Resampled, bounds: tuple[Floats, Floats]
) -> Iterator[tuple[Hashable, float, float, float]]:
    """(label, mean, low, high) of each column."""
    low_K, high_K = bounds
    numbers = (resampled.means_K.tolist(), low_K.tolist(), high_K.tolist())
    return zip(table.columns, *numbers, strict=True)
