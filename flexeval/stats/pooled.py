"""Means over occurrences, and their intervals by problem: sum over problems / count over problems.

Every occurrence counts the same, so a problem with longer texts weighs more; what is resampled is the problem, with
all its occurrences, because occurrences within one are far from independent.

Axis suffixes: `N` occurrences, `P` problems, `K` groups, `R` bootstrap replicates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from flexeval.errors import InputError
from flexeval.stats.bootstrap import Interval
from flexeval.stats.resampling import LEVEL, REPLICATES, Resampled, bootstrap_means, normal_score

_GROUPS_AT_ONCE = 128
"""Bounds memory: 10,000 replicates of the sums and counts of so many groups are 20 MB."""


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """Sums and counts of some groups of occurrences, problem by problem."""

    sums_PK: NDArray[np.float64]
    counts_PK: NDArray[np.float64]
    """What the sums are divided by."""

    @property
    def estimates_K(self) -> NDArray[np.float64]:
        """Sum over problems / count over problems; NaN where there is no occurrence."""
        return _ratio(self.sums_PK.sum(axis=0), self.counts_PK.sum(axis=0))

    @property
    def problems_K(self) -> NDArray[np.int64]:
        """Problems with an occurrence."""
        problems_K: NDArray[np.int64] = np.count_nonzero(self.counts_PK, axis=0)
        return problems_K

    @classmethod
    def side_by_side(cls, parts: Sequence[Pooled]) -> Pooled:
        """The groups of several, all on the same problems in the same order."""
        return cls(
            sums_PK=np.hstack([part.sums_PK for part in parts]), counts_PK=np.hstack([part.counts_PK for part in parts])
        )

    @property
    def influence_PK(self) -> NDArray[np.float64]:
        """What each problem adds to the deviation of each estimate, to first order."""
        return _ratio(self.sums_PK - self.estimates_K * self.counts_PK, self.counts_PK.sum(axis=0)[None, :])

    def intervals(
        self, *, replicates: int = REPLICATES, level: float = LEVEL, seed: int = 0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(low [K], high [K]) by the bootstrap over problems of `flexeval.stats.resampling`: the bounds of a mean.

        A replicate that drew no problem with an occurrence is left out; a group without any has NaN.
        """
        bounds = [
            _bounds(
                Resampled.bounds,
                part.estimates_K,
                part.resampled(replicates, seed),
                part.influence_PK,
                part.problems_K,
                level,
            )
            for part in self._parts()
        ]
        return _joined(bounds)

    def differences(
        self, other: Pooled, *, replicates: int = REPLICATES, level: float = LEVEL, seed: int = 0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(low [K], high [K]) of this minus the other, both taken on the same resampled problems; symmetric."""
        bounds = [
            _bounds(
                Resampled.symmetric_bounds,
                mine.estimates_K - theirs.estimates_K,
                mine.resampled(replicates, seed) - theirs.resampled(replicates, seed),
                mine.influence_PK - theirs.influence_PK,
                np.minimum(mine.problems_K, theirs.problems_K),
                level,
            )
            for mine, theirs in zip(self._parts(), other._parts(), strict=True)
        ]
        return _joined(bounds)

    def resampled(self, replicates: int, seed: int) -> NDArray[np.float64]:
        """The estimates of bootstrap resamples of the problems [R, K]; the same seed draws the same problems."""
        means_RK = bootstrap_means(np.hstack([self.sums_PK, self.counts_PK]), replicates=replicates, seed=seed)
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
    """Sum and count values by problem and group; NaN is no occurrence.

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
    group = np.zeros(len(values), dtype=np.int64) if group_N is None else np.asarray(group_N, dtype=np.int64)
    cell_N = problem_codes(problem_N, problems) * groups + group
    counted_N = ~np.isnan(values) & (group >= 0)
    size, shape = len(problems) * groups, (len(problems), groups)
    return Pooled(
        sums_PK=np.bincount(cell_N[counted_N], values[counted_N], minlength=size).astype(np.float64).reshape(shape),
        counts_PK=np.bincount(cell_N[counted_N], minlength=size).astype(np.float64).reshape(shape),
    )


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
    unpaired = first.symmetric_difference(second)
    if len(unpaired):
        where = "first" if unpaired[0] in first else "second"
        raise InputError(
            f"the two are not on the same problems: {unpaired[0]!r} is only in the {where}; compare runs of the same "
            f"task with the same limit"
        )
    return first


def pooled_interval(pooled: Pooled, *, replicates: int = REPLICATES, level: float = LEVEL, seed: int = 0) -> Interval:
    """The first group's mean and its interval."""
    low_K, high_K = pooled.intervals(replicates=replicates, level=level, seed=seed)
    return Interval(
        estimate=float(pooled.estimates_K[0]),
        low=float(low_K[0]),
        high=float(high_K[0]),
        level=level,
        problems=int(pooled.problems_K[0]),
    )


def _ratio(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts != 0)
    return ratio


def _bounds(
    bounds_of: Callable[[Resampled, float], tuple[NDArray[np.float64], NDArray[np.float64]]],
    estimates_K: NDArray[np.float64],
    replicates_RK: NDArray[np.float64],
    influence_PK: NDArray[np.float64],
    problems_K: NDArray[np.int64],
    level: float,
) -> NDArray[np.float64]:
    """Lower and upper bounds [2, K]."""
    if not 0 < level < 1:
        raise InputError(f"level must lie in (0, 1), as in 0.95, not {level}")
    bounds_2K = np.full((2, len(estimates_K)), np.nan)
    whole_K = ~np.isnan(replicates_RK).any(axis=0)
    # Columns with missing replicates one by one, the others together where they are on as many problems.
    for problems in np.unique(problems_K[problems_K > 0]):
        alike_K = problems_K == problems
        together = np.flatnonzero(alike_K & whole_K)
        alone = [np.array([column]) for column in np.flatnonzero(alike_K & ~whole_K)]
        for columns in ([together] if len(together) else []) + alone:
            chosen_RK = replicates_RK[:, columns]
            resampled = Resampled(
                means_K=estimates_K[columns],
                replicates_RK=chosen_RK[~np.isnan(chosen_RK).any(axis=1)],
                influence_PK=influence_PK[:, columns],
                problems=int(problems),
                tasks=1,
            )
            bounds_2K[:, columns] = bounds_of(resampled, normal_score(level))
    return bounds_2K


def _joined(bounds: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low_K, high_K = np.concatenate(bounds, axis=1)
    return low_K, high_K
