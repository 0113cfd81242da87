"""Bootstrap over problems: intervals of means, and of paired differences between two orders.

The problem is the unit. Its samples are never resampled, since problems vary far more than the samples of one do. With
several tasks, problems are resampled within their task, and the tasks count equally whatever their sizes.

Bounds of a mean are BCa (bias-corrected and accelerated: Efron, Better Bootstrap Confidence Intervals, JASA 1987,
section 3): plain percentiles lie on the wrong side of a mean near 0 or 1. Bounds of a difference are symmetric, mean
and standard error: most problems differ little and few a lot, in either direction, and there BCa is too narrow. In both
the normal's tails are widened to Student's, as in the expanded percentile interval of Hesterberg (What Teachers
Should Know About the Bootstrap, The American Statistician 2015, section 5.3). Numbers: results/stats/coverage.md.

Knows tables of numbers, one row a problem (P), one column a quantity (K). It does not know what the numbers are.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from flexeval.errors import InputError
from flexeval.stats.intervals import LEVEL, Bounds, Difference, Interval, normal_score
from flexeval.stats.verdict import Floats, differing

_CHUNK_CELLS = 1 << 20
"""Resampled problems held at a time: bounds memory at a few tens of MB, and keeps the counts in cache."""
_FURTHEST = 8.0
"""Standard deviations beyond which a tail holds no replicate."""


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """How intervals over problems are made. Every statistic with such intervals takes one as `bootstrap`.

    The tasks of the problems are not part of it. They are data, one label a row, and go with the table as `tasks`:
    problems are then resampled within their task, and the mean is over problems within a task, then over tasks.

    Raises:
        InputError: a level or a number of replicates out of range.
    """

    level: float = LEVEL
    """Nominal coverage, a fraction in (0, 1). A band contains a whole curve with this probability."""
    replicates: int = 10_000
    """Resamples of the problems."""
    seed: int = 0
    """The same seed resamples the same problems, whatever is measured on them."""

    def __post_init__(self) -> None:
        normal_score(self.level)
        if self.replicates < 1:
            raise InputError(f"replicates must be at least 1, not {self.replicates}")

    @property
    def score(self) -> float:
        """The level as a normal score: 1.96 for 95 %."""
        return normal_score(self.level)


DEFAULT = Bootstrap()


def interval(
    table: pd.DataFrame, *, tasks: Sequence[Hashable] | None = None, bootstrap: Bootstrap = DEFAULT
) -> dict[Hashable, Interval]:
    """The mean over problems of each column, with its interval.

    Args:
        table: one row a problem (P), one column a quantity (K), indexed by problem id.
        tasks: the task of each row; None when all rows are of one task.
        bootstrap: level, replicates and seed.

    Raises:
        InputError: an empty table, NaN in it, a problem given twice, or a row without a task.
    """
    resampled = resample(table, tasks=tasks, bootstrap=bootstrap)
    return {
        column: Interval(estimate=mean, level=bootstrap.level, problems=len(table), at=first_column(one.bounds))
        for column, mean, one in _columns(table, resampled)
    }


def paired_difference(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    tasks: Sequence[Hashable] | None = None,
    largest: float = math.inf,
    bootstrap: Bootstrap = DEFAULT,
) -> dict[Hashable, Difference]:
    """The mean over problems of `first - second` for each column, both taken on the same resampled problems.

    Args:
        first: one row a problem, one column a quantity, indexed by problem id.
        second: the same problems in any row order, and the same columns.
        tasks: the task of each row of `first`; None when all rows are of one task.
        largest: the largest difference that a problem can have, in either direction: 1 for fractions. Bounds end there.
        bootstrap: level, replicates and seed.

    Raises:
        InputError: other problems or columns in `second`, a problem given twice, and what `interval` refuses.
    """
    table = differences(first, second)
    resampled = resample(table, tasks=tasks, bootstrap=bootstrap)
    return {
        column: Difference(
            estimate=mean,
            level=bootstrap.level,
            problems=len(table),
            at=first_column(functools.partial(one.symmetric_bounds, largest=largest)),
            shares_P=one.shares_PK[:, 0],
            largest=largest,
        )
        for column, mean, one in _columns(table, resampled)
    }


def first_column(bounds: Callable[[float], tuple[Floats, Floats]]) -> Bounds:
    """Bounds of several columns -> those of the first, as numbers."""

    def at(score: float) -> tuple[float, float]:
        low_K, high_K = bounds(score)
        return float(low_K[0]), float(high_K[0])

    return at


def _columns(table: pd.DataFrame, resampled: Resampled) -> Iterator[tuple[Hashable, float, Resampled]]:
    """(label, mean, the column by itself) of each column."""
    for index, (column, mean) in enumerate(zip(table.columns, resampled.means_K.tolist(), strict=True)):
        yield column, mean, resampled.columns(index)


# ----- resampling -----


@dataclass(frozen=True, kw_only=True, eq=False)
class Resampled:
    """The column means of a table, and the means of its bootstrap resamples."""

    means_K: Floats
    """Over rows within a task, then over tasks."""
    replicates_RK: Floats
    """The same of each bootstrap resample."""
    influence_PK: Floats
    """What each problem adds to its column's deviation from the mean, up to one factor."""
    shares_PK: Floats
    """What each problem adds to its column's mean."""
    problems: int
    tasks: int

    def bounds(self, score: float, largest: float = math.inf) -> tuple[Floats, Floats]:
        """The lower and upper BCa bounds of each column.

        Args:
            score: in standard deviations of a normal, 1.96 for 95 %. It is widened here for few problems.
            largest: the largest possible value. If it is finite, values lie between 0 and it, and where all replicates
                agree the bounds move out by the rule of three, as those of a difference do.
        """
        z = self.widened(score)
        bias_K, acceleration_K = self._bias(), self._acceleration()
        low_K, high_K = (
            _column_quantiles(self.replicates_RK, stats.norm.cdf(_corrected(side * z, bias_K, acceleration_K)))
            for side in (-1, 1)
        )
        if math.isfinite(largest):
            unseen_K = np.where(np.ptp(self.replicates_RK, axis=0) < 1e-12, self._unseen(score, largest), 0.0)
            low_K, high_K = np.maximum(low_K - unseen_K, 0.0), np.minimum(high_K + unseen_K, largest)
        return low_K, high_K

    def _unseen(self, score: float, largest: float) -> float:
        """How far problems that were not sampled can move a mean: the rule of three, at the level of the score; as far
        as a mean goes, where there is no problem.
        """
        beyond = 2 * float(stats.norm.sf(score))
        return float(largest * (1 - beyond ** (1 / self.problems))) if self.problems else largest

    def symmetric_bounds(self, score: float, largest: float = math.inf) -> tuple[Floats, Floats]:
        """The mean of each column, minus and plus so many bootstrap standard errors.

        If so few problems differ (`flexeval.stats.verdict.differing`) that even equal signs would be no evidence at
        this level, the sample says little about other problems: a share of 1 - (1 - level) ** (1 / P) of all problems
        could differ and none of them be among the P sampled (the rule of three). The bounds move out by that share of
        `largest`, so that agreement is not mistaken for equality.

        Args:
            score: as for `bounds`.
            largest: the largest difference that a problem can have, in either direction. No bound lies further from
                zero. If it is infinite, nothing can be said about other problems, and nothing is added for them.
        """
        reach_K = self.widened(score) * self.replicates_RK.std(axis=0)
        if math.isfinite(largest):
            beyond = 2 * float(stats.norm.sf(score))
            few_K = np.array([2 * 0.5 ** differing(shares_P) > beyond for shares_P in self.shares_PK.T])
            reach_K = reach_K + np.where(few_K, self._unseen(score, largest), 0.0)
        low_K, high_K = self.means_K - reach_K, self.means_K + reach_K
        return np.maximum(low_K, -largest), np.minimum(high_K, largest)

    def columns(self, start: int, count: int = 1) -> Resampled:
        """Neighbouring columns by themselves."""
        part = slice(start, start + count)
        return dataclasses.replace(
            self,
            means_K=self.means_K[part],
            replicates_RK=self.replicates_RK[:, part],
            influence_PK=self.influence_PK[:, part],
            shares_PK=self.shares_PK[:, part],
        )

    def widened(self, score: float) -> float:
        """The normal score whose bootstrap tail stands for Student's: sqrt(P / df) t_df, df = problems - tasks."""
        df = self.problems - self.tasks
        if df < 1:
            return _FURTHEST
        student = float(stats.t.isf(stats.norm.sf(score), df))
        return min(math.sqrt(self.problems / df) * student, _FURTHEST)

    def _bias(self) -> Floats:
        """The normal score of the share of replicates below the mean; replicates that equal it count half."""
        rounding_K = 1e-12 * (1 + np.abs(self.means_K))
        below_K = (self.replicates_RK < self.means_K - rounding_K).mean(axis=0)
        reached_K = (self.replicates_RK <= self.means_K + rounding_K).mean(axis=0)
        one = 1 / (1 + len(self.replicates_RK))
        bias_K: Floats = stats.norm.ppf(np.clip((below_K + reached_K) / 2, one, 1 - one))
        return bias_K

    def _acceleration(self) -> Floats:
        """A sixth of the skewness of the mean; 0 for a column of equal values."""
        variance_K = (self.influence_PK**2).sum(axis=0)
        varies_K = variance_K > 1e-24
        skew_K = (self.influence_PK**3).sum(axis=0) / np.where(varies_K, variance_K, 1.0) ** 1.5
        return np.where(varies_K, skew_K / 6, 0.0)


def resample(
    table: pd.DataFrame, *, tasks: Sequence[Hashable] | None = None, bootstrap: Bootstrap = DEFAULT
) -> Resampled:
    """Bootstrap the column means of a table indexed by problem id.

    Args:
        table: one row a problem, one column a quantity.
        tasks: the task of each row; None when all rows are of one task.
        bootstrap: replicates and seed; its level does not matter here.

    Raises:
        InputError: as `interval`.
    """
    values_PK = table.to_numpy(dtype=np.float64)
    if not len(values_PK):
        raise InputError("there is no problem to take an interval over; sample at least one")
    _require_once(table.index)
    if np.isnan(values_PK).any():
        raise InputError(f"problem {table.index[np.isnan(values_PK).any(axis=1)][0]!r} has no value (NaN)")
    strata = _split(values_PK, tasks)
    return Resampled(
        means_K=means(values_PK, tasks=tasks),
        replicates_RK=bootstrap_means(values_PK, tasks=tasks, bootstrap=bootstrap),
        influence_PK=np.concatenate([(stratum - stratum.mean(axis=0)) / len(stratum) for stratum in strata]),
        shares_PK=np.concatenate([stratum / (len(stratum) * len(strata)) for stratum in strata]),
        problems=len(values_PK),
        tasks=len(strata),
    )


def means(values_PK: Floats, *, tasks: Sequence[Hashable] | None = None) -> Floats:
    """The column means [K], over rows within a task, then over tasks."""
    return _mean_over_tasks([stratum.mean(axis=0) for stratum in _split(values_PK, tasks)])


def bootstrap_means(
    values_PK: Floats, *, tasks: Sequence[Hashable] | None = None, bootstrap: Bootstrap = DEFAULT
) -> Floats:
    """The means of bootstrap resamples of the rows, [replicates, K].

    Each task's rows are resampled with replacement, as many as it has; the mean is over rows within a task,
    then over tasks.
    """
    rng = np.random.default_rng(bootstrap.seed)
    strata = _split(values_PK, tasks)
    return _mean_over_tasks([_resampled_means(stratum, bootstrap.replicates, rng) for stratum in strata])


def differences(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """`first - second`, paired by problem, in the rows and columns of `first`.

    Raises:
        InputError: other problems or columns in `second`, or a problem given twice.
    """
    require_same_problems(first.index, second.index)
    if list(first.columns) != list(second.columns):
        raise InputError(f"the columns differ: {list(first.columns)} and {list(second.columns)}; use the same")
    return first - second.loc[first.index]


def require_same_problems(first: pd.Index, second: pd.Index) -> None:
    """Raise InputError unless both hold the same problem ids, each once, in any order."""
    for problems in (first, second):
        _require_once(problems)
    unpaired = first.symmetric_difference(second)
    if len(unpaired):
        where = "first" if unpaired[0] in first else "second"
        raise InputError(
            f"the two are not on the same problems: {unpaired[0]!r} is only in the {where}, and {len(unpaired) - 1} "
            f"more are in one of them only; compare runs of the same task with the same limit"
        )


def _require_once(problems: pd.Index) -> None:
    """Two rows of one problem are not two problems: intervals would be too narrow."""
    if not problems.is_unique:
        raise InputError(f"problem {problems[problems.duplicated()][0]!r} is given twice; keep one row of it")


def _split(values_PK: Floats, tasks: Sequence[Hashable] | None) -> list[Floats]:
    """The rows of each task."""
    if tasks is None:
        return [values_PK]
    if len(tasks) != len(values_PK):
        raise InputError(f"{len(tasks)} task names for {len(values_PK)} problems; give one a problem")
    labels_P, names = pd.factorize(np.asarray(tasks))
    if (labels_P < 0).any():
        raise InputError(f"row {labels_P.argmin()} has no task; give one a problem")
    return [values_PK[labels_P == label] for label in range(len(names))]


def _mean_over_tasks(per_task: list[Floats]) -> Floats:
    return sum(per_task[1:], start=per_task[0]) / len(per_task)


def _resampled_means(values_PK: Floats, replicates: int, rng: np.random.Generator) -> Floats:
    """Count how often each row was drawn, so that a chunk of replicates is one matrix product."""
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


def _corrected(z: float, bias_K: Floats, acceleration_K: Floats) -> Floats:
    """Efron's correction of a normal score; a diverging bound ends at the outermost replicate."""
    shifted_K = bias_K + z
    return bias_K + shifted_K / np.maximum(1 - acceleration_K * shifted_K, 1e-3)


def _column_quantiles(replicates_RK: Floats, share_K: Floats) -> Floats:
    return np.array([np.quantile(column, share) for column, share in zip(replicates_RK.T, share_K, strict=True)])
