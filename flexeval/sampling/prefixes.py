"""Which columns of a canvas must be computed, and which have keys and values that are known already.

Exact: a position sees those of its own and of lower levels (`flexeval.models.attention`). So what stands before a
column from which on all levels are higher is a function of itself alone: its keys and values are computed once, and
columns of higher levels than what is read need not be computed at all. That follows from the levels, so it holds for
every rule and every order: what is kept is known by its tokens and levels, and where they change (a token is revised, a
block forgets its padding) it is another prefix.

Approximate, for full attention, after Fast-dLLM (arXiv:2505.22618): what stands outside of the current block is
computed when the block is opened and taken from there until it is filled, though all see all. `prefix` takes what
stands before the block, `dual` also what stands behind it. It is known by the canvas on which the block was opened.

Numpy only. Axis suffixes: `U` distinct canvases, `L` canvas.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flexeval.errors import InputError
from flexeval.models.attention import Attention
from flexeval.models.predictor import MaskPredictor, attention_of
from flexeval.records import APPROXIMATE, BoolArray, IntArray, SamplingConfig

if TYPE_CHECKING:
    from flexeval.models.past import Kept


@dataclass(frozen=True, kw_only=True, eq=False)
class Canvases:
    """Some canvases, right-aligned; rows of all arrays belong together."""

    tokens_UL: IntArray
    level_UL: IntArray
    asked_UL: BoolArray
    """The columns that will be read."""
    first_U: IntArray
    """The column of each canvas's first token; before it is padding."""
    opened_U: IntArray
    """The column at which the current block begins."""
    end_U: IntArray
    """The column after the current block."""
    open_UL: BoolArray
    """The columns that may still get another token: masks, but for those of the prompt."""

    def take(self, rows: Sequence[int]) -> Canvases:
        """Some of them."""
        return replace(self, **{name: array[rows] for name, array in vars(self).items()})


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """Some columns of some canvases, to be computed after what is known of the others."""

    canvases: Canvases
    computed_UL: BoolArray
    after: list[Kept | None]
    kept_UL: BoolArray | None = None
    """The columns whose keys and values are wanted."""


def canvases_of(
    tokens_UL: IntArray,
    attended_UL: BoolArray,
    asked_UG: BoolArray,
    window_end_U: IntArray,
    *,
    attention: Attention,
    block: int,
    mask_id: int,
) -> Canvases:
    """Left-padded canvases as this module looks at them.

    Args:
        tokens_UL: the canvases.
        attended_UL: False at padding, and at what blocks have forgotten.
        asked_UG: the generated positions, at the end of each canvas, that will be read.
        window_end_U: the generated position after the current block of the schedule.
        attention: the model's rule.
        block: the block length of the schedule.
        mask_id: the mask token.
    """
    length, generated = tokens_UL.shape[1], asked_UG.shape[1]
    answer = length - generated
    level_UL = attention.levels(tokens_UL, attended_UL, answer=answer, window_end_B=window_end_U, mask_id=mask_id)
    open_UL = (tokens_UL == mask_id) & (np.arange(length) >= answer)
    asked_UL = np.pad(asked_UG, ((0, 0), (answer, 0)))
    # What is not attended to moves to the left, where padding is: nobody sees its place.
    place_UL = np.argsort(attended_UL, axis=1, kind="stable")
    return Canvases(
        tokens_UL=np.take_along_axis(tokens_UL, place_UL, axis=1),
        level_UL=np.take_along_axis(level_UL, place_UL, axis=1),
        asked_UL=np.take_along_axis(asked_UL, place_UL, axis=1),
        first_U=length - attended_UL.sum(axis=1),
        opened_U=answer + (window_end_U - 1) // block * block,
        end_U=answer + window_end_U,
        open_UL=np.take_along_axis(open_UL, place_UL, axis=1),
    )


_ALIKE = 1.25
"""Canvases go through one forward if the most columns of any of them are at most so many times the fewest."""


def pieces(part: Part) -> Iterator[tuple[NDArray[Any], ...]]:
    """Consecutive canvases of a part with about equally many columns to compute, as [U, S] behind padding: what comes
    before them [U], tokens, where they are no padding, levels, places on the canvas, what is asked, what is kept.
    """
    size_U = part.computed_UL.sum(axis=1)
    starts, fewest, most = [0], int(size_U[0]), int(size_U[0])
    for row, size in enumerate(size_U.tolist()):
        fewest, most = min(fewest, size), max(most, size)
        if most > _ALIKE * fewest:
            starts.append(row)
            fewest = most = size
    after_U = np.empty(len(size_U), dtype=object)
    after_U[:] = part.after
    canvases = part.canvases
    kept_UL = np.zeros_like(part.computed_UL) if part.kept_UL is None else part.kept_UL
    for start, end in pairwise([*starts, len(size_U)]):
        rows, size = slice(start, end), int(size_U[start:end].max())
        computed_UL = part.computed_UL[rows]
        column_US = np.argsort(computed_UL, axis=1, kind="stable")[:, computed_UL.shape[1] - size :]
        tokens_US, level_US, attended_US, asked_US, kept_US = (
            _taken(array[rows], column_US)
            for array in (canvases.tokens_UL, canvases.level_UL, part.computed_UL, canvases.asked_UL, kept_UL)
        )
        position_US = np.maximum(column_US - canvases.first_U[rows, None], 0)
        # Levels count relative to each other only; so those of equal shape are equal.
        level_US = level_US - level_US[:, -1:]
        yield after_U[rows], tokens_US, attended_US, level_US, position_US, asked_US, kept_US


def _taken(array_UL: NDArray[Any], column_US: IntArray) -> NDArray[Any]:
    return np.take_along_axis(array_UL, column_US, axis=1)


Compute = Callable[[Part], list["Kept"]]
"""Computes the kept columns of a part."""


class Prefixes:
    """What is kept for the canvases of one lane: what its samples in flight have in use, and nothing else."""

    def __init__(self, predictor: Any, config: SamplingConfig, *, room: int) -> None:
        """
        Args:
            predictor: a model that can go on from keys and values.
            config: says which kind of cache.
            room: bytes that exact keys and values may take; what does not fit is computed again at every step.
        """
        self._kind = config.cache
        self._mask_id = predictor.mask_id
        self._shifted = bool(predictor.shifted)
        self._room = room // predictor.bytes_per_column
        self._kept: dict[Hashable, Kept] = {}

    @property
    def columns(self) -> int:
        """How many columns are kept."""
        return sum(kept.columns for kept in set(chain.from_iterable(each.chain() for each in self._kept.values())))

    def forget(self) -> None:
        """Drop everything: the weights may have changed."""
        self._kept = {}

    def part(self, canvases: Canvases, compute: Compute, waiting: Canvases | None = None) -> Part:
        """What has to be computed to read what is asked. What it comes after is computed at once, if it is not known.

        Args:
            canvases: distinct ones.
            compute: gives the keys and values of a part's `kept_UL`.
            waiting: canvases of all samples in flight, where this step leaves some of them out: what is known of these
                is kept, too.
        """
        part = self._outside(canvases, compute) if self._kind in APPROXIMATE else self._finished(canvases, compute)
        needed = part.after
        if waiting is not None:
            everywhere = np.ones_like(waiting.open_UL)
            needed = [
                *needed,
                *(self._longest(row, row.first + len(row.tokens_L)) for row in _rows(waiting, everywhere)),
            ]
        in_use = set(chain.from_iterable(kept.chain() for kept in needed if kept))
        self._kept = {key: kept for key, kept in self._kept.items() if kept in in_use}
        return part

    # ----- exact -----

    def _finished(self, canvases: Canvases, compute: Compute) -> Part:
        """From the end of the finished prefix to the last column that matters."""
        columns_L = np.arange(canvases.tokens_UL.shape[1])
        finished_U, end_U, closed_UL = extents(canvases, shifted=self._shifted)
        rows = _rows(canvases, closed_UL)

        # Compute the prefixes that are not known, each once, as far as there is room.
        room = self._room - self.columns
        missing: dict[Hashable, int] = {}
        for place, (row, finished) in enumerate(zip(rows, finished_U.tolist(), strict=True)):
            key = row.upto(finished)
            if finished > row.first and key not in self._kept and key not in missing:
                before = self._longest(row, finished)
                size = finished - row.begin(before and before.stays(finished - row.begin(before)))
                if size <= room:
                    missing[key] = place
                    room -= size
        if missing:
            at = list(missing.values())
            known = [self._longest(rows[place], finished_U[place]) for place in at]
            begin_U1 = np.array([rows[place].begin(kept) for place, kept in zip(at, known, strict=True)])[:, None]
            new_UL = (columns_L >= begin_U1) & (columns_L < finished_U[at][:, None])
            unread = replace(canvases.take(at), asked_UL=np.zeros_like(new_UL))
            kept = compute(Part(canvases=unread, computed_UL=new_UL, after=known, kept_UL=new_UL))
            self._kept |= zip(missing, kept, strict=True)

        # Go on from there.
        after = [self._longest(row, finished) for row, finished in zip(rows, finished_U, strict=True)]
        begin_U1 = np.array([row.begin(kept) for row, kept in zip(rows, after, strict=True)])[:, None]
        computed_UL = (columns_L >= begin_U1) & (columns_L < end_U[:, None])
        return Part(canvases=canvases, computed_UL=computed_UL, after=after)

    def _longest(self, row: _Row, end: int) -> Kept | None:
        """The longest known prefix of a canvas that ends at a column or before it."""
        if kept := self._kept.get(row.upto(end)):
            return kept
        for length in sorted({kept.length for kept in self._kept.values()}, reverse=True):
            column = row.first + length
            if column < end and row.closed_L[length] and (kept := self._kept.get(row.upto(column))):
                return kept
        return None

    # ----- approximate -----

    def _outside(self, canvases: Canvases, compute: Compute) -> Part:
        """The current block, or all from it on, after what the rest was when the block was opened."""
        columns_L = np.arange(canvases.tokens_UL.shape[1])
        first_U1, opened_U1 = canvases.first_U[:, None], canvases.opened_U[:, None]
        end_U1 = canvases.end_U[:, None] if self._kind == "dual" else np.full_like(opened_U1, len(columns_L))
        # Where predictions are shifted, the first of the block is read off the column before it.
        inside_UL = (columns_L >= opened_U1 - self._shifted) & (columns_L < end_U1)
        keys: list[Hashable] = [
            (canvases.tokens_UL[row, first:opened].tobytes(), end - opened, len(columns_L) - opened)
            for row, (first, opened, end) in enumerate(np.hstack([first_U1, opened_U1, end_U1]).tolist())
        ]

        # Compute what is not known, on the canvas with nothing decided from the block on.
        missing = {key: row for row, key in enumerate(keys) if key not in self._kept}
        if missing:
            at = list(missing.values())
            opening_UL = np.where(columns_L >= opened_U1, self._mask_id, canvases.tokens_UL)[at]
            whole_UL = (columns_L >= first_U1)[at]
            opening = replace(canvases.take(at), tokens_UL=opening_UL, asked_UL=np.zeros_like(whole_UL))
            outside_UL = whole_UL & ~inside_UL[at]
            new = Part(canvases=opening, computed_UL=whole_UL, after=[None] * len(at), kept_UL=outside_UL)
            self._kept |= zip(missing, compute(new), strict=True)
        return Part(canvases=canvases, computed_UL=inside_UL, after=[self._kept[key] for key in keys])


@dataclass(frozen=True, eq=False)
class _Row:
    """One canvas without its padding."""

    tokens_L: IntArray
    level_L: IntArray
    closed_L: BoolArray
    first: int
    """The column of its first token."""

    def upto(self, column: int) -> Hashable:
        """What the keys and values of its columns before a closed one are a function of."""
        size = column - self.first
        return self.tokens_L[:size].tobytes(), (self.level_L[:size] - self.level_L[0]).tobytes()

    def begin(self, kept: Kept | None) -> int:
        """The column after what is kept."""
        return self.first + (kept.length if kept else 0)


def _rows(canvases: Canvases, closed_UL: BoolArray) -> list[_Row]:
    return [
        _Row(canvases.tokens_UL[row, first:], canvases.level_UL[row, first:], closed_UL[row, first:], first)
        for row, first in enumerate(canvases.first_U.tolist())
    ]


def extents(canvases: Canvases, *, shifted: bool) -> tuple[IntArray, IntArray, BoolArray]:
    """Where the finished prefix of each canvas ends [U], where what can matter ends [U], and before which columns
    nothing sees what stands from there on [U, L].

    The finished prefix has nothing that may still change, and nothing that is read.
    """
    level_UL = canvases.level_UL
    length = level_UL.shape[1]
    columns_L, top = np.arange(length), int(level_UL.max()) + 1
    needed_UL = canvases.asked_UL
    if shifted:
        needed_UL = np.pad(needed_UL[:, 1:], ((0, 0), (0, 1)))
    present_UL = columns_L >= canvases.first_U[:, None]

    # What is read sees nothing of a higher level than its own. Where predictions are shifted, its own column stays.
    highest_U1 = np.where(needed_UL, level_UL, int(level_UL.min())).max(axis=1, keepdims=True)
    matters_UL = present_UL & ((level_UL <= highest_U1) | canvases.asked_UL)
    end_U = length - matters_UL[:, ::-1].argmax(axis=1)
    present_UL &= columns_L < end_U[:, None]

    # A column is closed if all before it have lower levels than all from it on.
    before_UL = np.maximum.accumulate(np.where(present_UL, level_UL, int(level_UL.min()) - 1), axis=1)
    before_UL = np.pad(before_UL[:, :-1], ((0, 0), (1, 0)), constant_values=int(level_UL.min()) - 1)
    from_UL = np.minimum.accumulate(np.where(present_UL, level_UL, top)[:, ::-1], axis=1)[:, ::-1]
    closed_UL = before_UL < from_UL

    unfinished_UL = present_UL & (canvases.open_UL | needed_UL)
    limit_U1 = np.where(unfinished_UL.any(axis=1), unfinished_UL.argmax(axis=1), end_U)[:, None]
    possible_UL = closed_UL & (columns_L <= limit_U1) & (columns_L >= canvases.first_U[:, None])
    finished_U = length - 1 - possible_UL[:, ::-1].argmax(axis=1)
    return finished_U, end_U, closed_UL


def shared_prefixes(canvases: Canvases, *, shifted: bool) -> tuple[Part, list[int], Part]:
    """The finished prefixes of some canvases, each in the longest that begins with it, and the rest of the canvases.

    Returns:
        The distinct longest prefixes as a part, for each canvas the one that its own begins, and the canvases from
        there on, after nothing yet: `Kept.first(length)` of the prefix gives what they come after.
    """
    columns_L = np.arange(canvases.tokens_UL.shape[1])
    finished_U, end_U, closed_UL = extents(canvases, shifted=shifted)
    rows = _rows(canvases, closed_UL)
    lengths_U = finished_U - canvases.first_U
    longest: list[int] = []
    within: dict[Hashable, int] = {}
    for row in np.argsort(-lengths_U, kind="stable").tolist():
        own = rows[row]
        if own.upto(int(finished_U[row])) not in within:
            for length in np.flatnonzero(own.closed_L[: lengths_U[row] + 1]).tolist():
                within.setdefault(own.upto(own.first + length), len(longest))
            longest.append(row)
    source = [within[own.upto(finished)] for own, finished in zip(rows, finished_U.tolist(), strict=True)]
    whole_UL = columns_L >= canvases.first_U[longest][:, None]
    prefix_UL = whole_UL & (columns_L < finished_U[longest][:, None])
    prefixes = replace(canvases.take(longest), asked_UL=np.zeros_like(prefix_UL))
    rest_UL = (columns_L >= finished_U[:, None]) & (columns_L < end_U[:, None])
    return (
        Part(canvases=prefixes, computed_UL=prefix_UL, after=[None] * len(longest), kept_UL=prefix_UL),
        source,
        Part(canvases=canvases, computed_UL=rest_UL, after=[None] * len(rows)),
    )


def check_cache(
    config: SamplingConfig, attention: Attention, *, name: str, goes_on: bool, revises: bool = False
) -> None:
    """Refuse an approximate cache where it means nothing: it is for full attention on transformers' own layers.

    Args:
        config: says which kind of cache.
        attention: the model's rule.
        name: of the model.
        goes_on: see `can_go_on`.
        revises: whether the order takes tokens back, while what is kept takes those outside of the block for final.

    Raises:
        InputError: it says what to use instead.
    """
    if config.cache not in APPROXIMATE:
        return
    if revises:
        raise InputError(
            f"cache {config.cache!r} takes what was committed before the block for final, and the order takes tokens "
            "back; leave the cache at 'exact'"
        )
    if not attention.is_full:
        raise InputError(
            f"cache {config.cache!r} is approximate, and {name!r} attends by {attention.spec}, under which "
            "finished blocks are computed once anyway, exactly; leave the cache at 'exact'"
        )
    if not goes_on:
        raise InputError(
            f"cache {config.cache!r} needs a model on transformers' own layers, which {name!r} is not; "
            "leave the cache at 'exact'"
        )


def can_go_on(predictor: MaskPredictor) -> bool:
    """Whether a model can go on from keys and values (`NativePredictor.hidden_after`)."""
    return callable(getattr(predictor, "hidden_after", None))


def prefixes_of(predictor: MaskPredictor, config: SamplingConfig, *, room: int) -> Prefixes | None:
    """The cache that the settings ask for; None where nothing would be kept, or canvases are evaluated whole."""
    check_cache(config, attention_of(predictor), name=predictor.name, goes_on=can_go_on(predictor))
    exact = config.cache == "exact" and not config.batch_invariant and not attention_of(predictor).is_full
    if config.cache in APPROXIMATE or (exact and can_go_on(predictor)):
        return Prefixes(predictor, config, room=room)
    return None
