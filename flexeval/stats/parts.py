"""Rows in one frame, or in parts of which one is in memory at a time.

A part has all rows of each of its problems, sorted by problem, sample and position, as `Run.token_parts` and
`Run.word_parts` give them. So what is known of a problem comes from one part, and its sums are those of one frame, to
the bit.

Axis suffixes: `N` rows, `P` problems, `K` groups.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Rows = pd.DataFrame | Iterable[pd.DataFrame]
"""A frame, or parts that can be gone through more than once, which have the same problems as categories."""


def parts_of(rows: Rows) -> Iterable[pd.DataFrame]:
    """The parts; a frame is one."""
    if isinstance(rows, pd.DataFrame):
        return (rows,)
    if isinstance(rows, Iterator):
        raise TypeError("an iterator can be gone through once only; give a frame, a list of frames, or Run.token_parts")
    return rows


def first_part(rows: Rows) -> pd.DataFrame:
    """The first part: it has the columns, and the problems, of all."""
    return next(iter(parts_of(rows)))


@dataclass(frozen=True, eq=False)
class Changed(Iterable[pd.DataFrame]):
    """Each part as a function makes it: some of its rows, or more columns."""

    rows: Rows
    change: Callable[[pd.DataFrame], pd.DataFrame]

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return map(self.change, parts_of(self.rows))


class Groups:
    """The groups that rows of several parts are in, by name, numbered as they are met."""

    def __init__(self) -> None:
        self._places: dict[Hashable, int] = {}
        self._first_K = np.zeros(0, np.int64)
        """Where each was met first: the place of the problem, then of the row in it."""
        self._categories = False

    def __len__(self) -> int:
        return len(self._places)

    def numbers(self, names_N: pd.Series, problem_N: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of each row's group; -1 where it has none.

        Args:
            names_N: of the groups, of one part.
            problem_N: the place of each row's problem.
        """
        self._categories = isinstance(names_N.dtype, pd.CategoricalDtype)
        groups = names_N.astype("category").cat
        code_N = groups.codes.to_numpy()
        # Written from the last row to the first, the first one stays. The last place is of rows without a group.
        first_C = np.full(len(groups.categories) + 1, -1)
        first_C[code_N[::-1]] = np.arange(len(code_N))[::-1]
        met = np.flatnonzero(first_C[:-1] >= 0)
        met = met[np.argsort(first_C[met])]
        places = self._places
        number_M = np.array([places.setdefault(name, len(places)) for name in groups.categories[met].tolist()], int)
        self._first_K = np.append(self._first_K, np.full(len(places) - len(self._first_K), np.iinfo(np.int64).max))
        first_M = first_C[met]
        self._first_K[number_M] = np.minimum(self._first_K[number_M], problem_N[first_M] << 32 | first_M)
        number_C = np.full(len(first_C), -1)
        number_C[met] = number_M
        return number_C[code_N]

    def names(self) -> tuple[pd.Index, NDArray[np.intp]]:
        """(names, their numbers): of categories in the order in which rows have them, others sorted."""
        names = pd.Index(list(self._places), dtype=object)
        order_K = np.argsort(self._first_K) if self._categories else names.argsort()
        return names[order_K], order_K


def added(sums: NDArray[np.float64], more: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of the sums [..., K] of two parts, of which one may have more groups than the other, at the end."""
    groups = max(sums.shape[-1], more.shape[-1])
    one, other = (np.pad(each, [(0, 0)] * (each.ndim - 1) + [(0, groups - each.shape[-1])]) for each in (sums, more))
    total: NDArray[np.float64] = one + other
    return total
