"""Percentile bootstrap over problems: intervals of means, and of paired differences between two orders.

The problem is the unit: its samples are never resampled, since problems vary far more than the samples of one
do. With several tasks, problems are resampled within their task, and the tasks count equally whatever their sizes.

Knows tables of numbers, one row a problem. It does not know what the numbers are.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flexeval.errors import InputError

REPLICATES = 10_000
LEVEL = 0.95
_CHUNK_CELLS = 1 << 20
"""Resampled problems held at a time: bounds memory at a few tens of MB, and keeps the counts in cache."""

Verdict = Literal["above", "below", "unresolved"]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and its percentile interval, in the unit of the table it came from."""

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
    bounds = _percentile(table, tasks, replicates, level, seed)
    return {
        column: Interval(estimate=mean, low=low, high=high, level=level, problems=len(table))
        for column, (mean, low, high) in zip(table.columns, bounds, strict=True)
    }


def paired_difference(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    tasks: Sequence[Hashable] | None = None,
    replicates: int = REPLICATES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[Hashable, Difference]:
    """The mean over problems of `first - second` for each column, both taken on the same resampled problems.

    Args:
        first: one row a problem, one column a quantity, indexed by problem id.
        second: the same problems in any row order, and the same columns.
        tasks: the task of each row of `first`; None when all rows are of one task.
        replicates, level, seed: as in `interval`.

    Raises:
        InputError: other problems or columns in `second`, a problem given twice, and what `interval` refuses.
    """
    for table in (first, second):
        if not table.index.is_unique:
            raise InputError(f"problem {table.index[table.index.duplicated()][0]!r} is given twice; keep one row of it")
    unpaired = first.index.symmetric_difference(second.index)
    if len(unpaired):
        where = "first" if unpaired[0] in first.index else "second"
        raise InputError(
            f"the two are not on the same problems: {unpaired[0]!r} is only in the {where}, and {len(unpaired) - 1} "
            f"more are in one of them only; compare runs of the same task with the same limit"
        )
    if list(first.columns) != list(second.columns):
        raise InputError(f"the columns differ: {list(first.columns)} and {list(second.columns)}; use the same")
    bounds = _percentile(first - second.loc[first.index], tasks, replicates, level, seed)
    return {
        column: Difference(estimate=mean, low=low, high=high, level=level, problems=len(first))
        for column, (mean, low, high) in zip(first.columns, bounds, strict=True)
    }


def bootstrap_means(
    values_PK: NDArray[np.float64],
    *,
    tasks: Sequence[Hashable] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> NDArray[np.float64]:
    """The means of `replicates` bootstrap resamples of the rows, [replicates, K].

    Each task's rows are resampled with replacement, as many as it has; the mean is over rows within a task,
    then over tasks.
    """
    rng = np.random.default_rng(seed)
    return _mean_over_tasks([_resampled_means(stratum, replicates, rng) for stratum in _split(values_PK, tasks)])


def _split(values_PK: NDArray[np.float64], tasks: Sequence[Hashable] | None) -> list[NDArray[np.float64]]:
    """The rows of each task."""
    if tasks is None:
        return [values_PK]
    if len(tasks) != len(values_PK):
        raise InputError(f"{len(tasks)} task names for {len(values_PK)} problems; give one a problem")
    labels_P, names = pd.factorize(np.asarray(tasks))
    return [values_PK[labels_P == label] for label in range(len(names))]


def _mean_over_tasks(per_task: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return sum(per_task[1:], start=per_task[0]) / len(per_task)


def _resampled_means(values_PK: NDArray[np.float64], replicates: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Counting how often each row was drawn turns all replicates and columns into one matrix product per chunk."""
    rows = len(values_PK)
    chunk = max(1, _CHUNK_CELLS // rows)
    means_RK = np.empty((replicates, values_PK.shape[1]))
    for start in range(0, replicates, chunk):
        size = min(chunk, replicates - start)
        drawn_RP = rng.integers(0, rows, size=(size, rows), dtype=np.int32)
        drawn_RP += np.arange(size, dtype=np.int32)[:, None] * rows
        counts_RP = np.bincount(drawn_RP.ravel(), minlength=size * rows).reshape(size, rows)
        means_RK[start : start + size] = counts_RP.astype(np.float64) @ values_PK / rows
    return means_RK


def _percentile(
    table: pd.DataFrame, tasks: Sequence[Hashable] | None, replicates: int, level: float, seed: int
) -> list[tuple[float, float, float]]:
    """(mean, low, high) of each column."""
    values_PK = table.to_numpy(dtype=np.float64)
    if not len(values_PK):
        raise InputError("there is no problem to take an interval over; sample at least one")
    if np.isnan(values_PK).any():
        raise InputError(f"problem {table.index[np.isnan(values_PK).any(axis=1)][0]!r} has no value (NaN)")
    if replicates < 1:
        raise InputError(f"replicates must be at least 1, not {replicates}")
    if not 0 < level < 1:
        raise InputError(f"level must lie in (0, 1), as in 0.95, not {level}")
    means_K = _mean_over_tasks([stratum.mean(axis=0) for stratum in _split(values_PK, tasks)])
    replicates_RK = bootstrap_means(values_PK, tasks=tasks, replicates=replicates, seed=seed)
    low_K, high_K = np.quantile(replicates_RK, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return [(float(m), float(lo), float(hi)) for m, lo, hi in zip(means_K, low_K, high_K, strict=True)]
