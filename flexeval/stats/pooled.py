"""Means over occurrences, and their intervals by problem: sum over problems / count over problems.

Every occurrence counts the same, so a problem with longer texts weighs more. Problems are resampled with all their
occurrences, because occurrences within a problem are far from independent.

Axis suffixes: `N` occurrences, `P` problems, `K` groups, `R` bootstrap replicates.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from flexeval.errors import InputError
from flexeval.stats.bootstrap import DEFAULT, Bootstrap, Resampled, bootstrap_means, first_column, require_same_problems
from flexeval.stats.intervals import Bounds, Difference, Interval
from flexeval.stats.parts import Rows, added, parts_of
from flexeval.stats.verdict import Floats

_GROUPS_AT_ONCE = 128
"""Bounds memory: 10,000 replicates of the sums and counts of so many groups are 20 MB."""


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """Sums and counts of some groups of occurrences, problem by problem."""

    sums_PK: Floats
    counts_PK: Floats
    """What the sums are divided by."""

    @property
    def estimates_K(self) -> Floats:
        """Sum over problems / count over problems; NaN where there is no occurrence."""
        return _ratio(self.sums_PK.sum(axis=0), self.counts_PK.sum(axis=0))

    @property
    def problems_K(self) -> NDArray[np.int64]:
        """Problems with an occurrence."""
        problems_K: NDArray[np.int64] = np.count_nonzero(self.counts_PK, axis=0)
        return problems_K

    def __add__(self, more: Pooled) -> Pooled:
        """The groups of two parts of the rows; the later one may have more groups, at the end."""
        return Pooled(sums_PK=added(self.sums_PK, more.sums_PK), counts_PK=added(self.counts_PK, more.counts_PK))

    def groups(self, order_K: Sequence[int] | NDArray[np.integer]) -> Pooled:
        """Some of the groups, in this order."""
        return Pooled(sums_PK=self.sums_PK[:, order_K], counts_PK=self.counts_PK[:, order_K])

    @classmethod
    def side_by_side(cls, parts: Sequence[Pooled]) -> Pooled:
        """The groups of several, all on the same problems in the same order."""
        return cls(
            sums_PK=np.hstack([part.sums_PK for part in parts]), counts_PK=np.hstack([part.counts_PK for part in parts])
        )

    @property
    def influence_PK(self) -> Floats:
        """What each problem adds to the deviation of each estimate, to first order."""
        return _ratio(self.sums_PK - self.estimates_K * self.counts_PK, self.counts_PK.sum(axis=0)[None, :])

    def intervals(self, bootstrap: Bootstrap = DEFAULT) -> tuple[Floats, Floats]:
        """(low [K], high [K]) by the bootstrap over problems of `flexeval.stats.bootstrap`: the bounds of a mean.

        Replicates without an occurrence are left out; a group without any occurrence has NaN.
        """
        bounds = [_bounds(part, part.resampled(bootstrap), bootstrap.score) for part in self._parts()]
        low_K, high_K = np.concatenate(bounds, axis=1)
        return low_K, high_K

    def resampled(self, bootstrap: Bootstrap) -> Floats:
        """The estimates of bootstrap resamples of the problems [R, K]; the same seed draws the same problems."""
        means_RK = bootstrap_means(np.hstack([self.sums_PK, self.counts_PK]), bootstrap=bootstrap)
        groups = self.sums_PK.shape[1]
        return _ratio(means_RK[:, :groups], means_RK[:, groups:])

    def _parts(self) -> list[Pooled]:
        starts = range(0, max(1, self.sums_PK.shape[1]), _GROUPS_AT_ONCE)
        cuts = [slice(start, start + _GROUPS_AT_ONCE) for start in starts]
        return [Pooled(sums_PK=self.sums_PK[:, cut], counts_PK=self.counts_PK[:, cut]) for cut in cuts]


def pool(
    values_N: ArrayLike,
    problem_N: pd.Series,
    *,
    group_N: ArrayLike | None = None,
    groups: int = 1,
    problems: pd.Index | None = None,
) -> Pooled:
    """Sum and count values by problem and group, leaving out NaN.

    Args:
        values_N: of each occurrence.
        problem_N: its problem.
        group_N: its group, 0 to groups - 1; negative for none. None puts all in one.
        groups: how many there are.
        problems: the rows, in order; None for those of `problem_ids`.

    Raises:
        InputError: no problem.
    """
    problems = problem_ids(problem_N) if problems is None else problems
    if not len(problems):
        raise InputError("there is no problem to take an interval over; sample at least one")
    values = np.asarray(values_N, dtype=np.float64)
    cell_N = problem_codes(problem_N, problems) * groups
    counted_N = ~np.isnan(values)
    if group_N is not None:
        group = np.asarray(group_N, dtype=np.int64)
        counted_N &= group >= 0
        cell_N += group
    if not counted_N.all():
        cell_N, values = cell_N[counted_N], values[counted_N]
    size, shape = len(problems) * groups, (len(problems), groups)
    return Pooled(
        sums_PK=np.bincount(cell_N, values, minlength=size).astype(np.float64).reshape(shape),
        counts_PK=np.bincount(cell_N, minlength=size).astype(np.float64).reshape(shape),
    )


def pool_parts(rows: Rows, measure: Callable[[pd.DataFrame], Pooled]) -> Pooled:
    """The sums of all parts; `measure` gives those of one, on the problems of all."""
    return functools.reduce(operator.add, map(measure, parts_of(rows)))


def problem_ids(problem_N: pd.Series) -> pd.Index:
    """The problems of some rows: the categories, with or without rows, where the column is categorical."""
    if isinstance(problem_N.dtype, pd.CategoricalDtype):
        return problem_N.cat.categories
    return pd.Index(pd.unique(problem_N))


def problem_codes(problem_N: pd.Series, problems: pd.Index) -> NDArray[np.int64]:
    """The place of each row's problem among some that hold them all."""
    if isinstance(problem_N.dtype, pd.CategoricalDtype):
        place = problems.get_indexer(problem_N.cat.categories)
        return np.asarray(place, dtype=np.int64)[problem_N.cat.codes.to_numpy()]
    return np.asarray(problems.get_indexer(pd.Index(problem_N)), dtype=np.int64)


def same_problems(first_N: pd.Series, second_N: pd.Series) -> pd.Index:
    """The problems that two sets of rows share. Raises InputError unless both are on the same ones."""
    first, second = problem_ids(first_N), problem_ids(second_N)
    require_same_problems(first, second)
    return first


def pooled_interval(pooled: Pooled, *, largest: float = math.inf, bootstrap: Bootstrap = DEFAULT) -> Interval:
    """The first group's mean and its interval.

    Args:
        pooled: of one group; NaN where it has no occurrence.
        largest: the largest possible mean: 1 for a rate, whose smallest is 0. Where all problems have the same rate,
            the interval of a rate is widened for problems that were not sampled (`Resampled.bounds`).
        bootstrap: level, replicates and seed.
    """
    one = _column(pooled.estimates_K, pooled.resampled(bootstrap), pooled.influence_PK, pooled.counts_PK > 0)
    at = _at(one, functools.partial(one.bounds, largest=largest))
    return Interval(estimate=float(one.means_K[0]), level=bootstrap.level, problems=int(pooled.problems_K[0]), at=at)


def pooled_difference(
    first: Pooled, second: Pooled, *, largest: float = math.inf, bootstrap: Bootstrap = DEFAULT
) -> Difference:
    """The first group's mean of one minus that of the other, both taken on the same resampled problems; symmetric.

    The contribution of a problem to the difference is its influence, to first order.

    Args:
        first, second: of one group, on the same problems in the same order.
        largest: the largest difference that a problem can have, in either direction: 1 for rates.
        bootstrap: level, replicates and seed.
    """
    one = _column(
        first.estimates_K - second.estimates_K,
        first.resampled(bootstrap) - second.resampled(bootstrap),
        first.influence_PK - second.influence_PK,
        (first.counts_PK > 0) & (second.counts_PK > 0),
    )
    at = _at(one, functools.partial(one.symmetric_bounds, largest=largest))
    return Difference(
        estimate=float(one.means_K[0]),
        level=bootstrap.level,
        problems=int(min(first.problems_K[0], second.problems_K[0])),
        at=at,
        shares_P=one.shares_PK[:, 0],
        largest=largest,
    )


def _at(one: Resampled, bounds: Callable[[float], tuple[Floats, Floats]]) -> Bounds:
    """The bounds as numbers; NaN where there is no estimate."""
    return (lambda score: (math.nan, math.nan)) if math.isnan(one.means_K[0]) else first_column(bounds)


def _ratio(sums: Floats, counts: Floats) -> Floats:
    ratio: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts != 0)
    return ratio


def _bounds(pooled: Pooled, replicates_RK: Floats, score: float) -> Floats:
    """Lower and upper bounds [2, K]."""
    estimates_K, influence_PK, problems_K = pooled.estimates_K, pooled.influence_PK, pooled.problems_K
    present_PK = pooled.counts_PK > 0
    bounds_2K = np.full((2, len(estimates_K)), np.nan)
    whole_K = ~np.isnan(replicates_RK).any(axis=0)
    # Columns with missing replicates one by one, the others together where they are on as many problems.
    for problems in np.unique(problems_K[problems_K > 0]):
        alike_K = problems_K == problems
        together = np.flatnonzero(alike_K & whole_K)
        alone = [np.array([column]) for column in np.flatnonzero(alike_K & ~whole_K)]
        for columns in ([together] if len(together) else []) + alone:
            resampled = _column(
                estimates_K[columns], replicates_RK[:, columns], influence_PK[:, columns], present_PK[:, columns]
            )
            bounds_2K[:, columns] = resampled.bounds(score)
    return bounds_2K


def _column(
    estimates_K: Floats,
    replicates_RK: Floats,
    influence_PK: Floats,
    present_PK: NDArray[np.bool_],
) -> Resampled:
    """Columns on equally many problems, without the replicates in which one of them has no value."""
    problems = int(present_PK[:, 0].sum())
    return Resampled(
        means_K=estimates_K,
        replicates_RK=replicates_RK[~np.isnan(replicates_RK).any(axis=1)],
        influence_PK=influence_PK,
        shares_PK=influence_PK + np.where(present_PK, estimates_K / max(problems, 1), 0.0),
        problems=problems,
        tasks=1,
    )
