"""Keys and values that were computed before, as the layers of transformers take them.

Rotary embeddings are applied before keys are kept, so they carry their positions: a later forward of the same canvas
may be given them in any order. Knows no attention rules. Axis suffixes: `B` canvases, `L` columns that are computed,
`P` columns before them, `S` columns of one canvas, `H` heads, `D` their size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """The keys and values of some columns of a canvas, in every layer, after those of columns `before` it.

    Canvases that begin alike share what they begin with.
    """

    keys: Sequence[Tensor]
    """Of each layer [S, H, D]."""
    values: Sequence[Tensor]
    before: Kept | None = None

    @property
    def columns(self) -> int:
        """Its own columns."""
        return len(self.keys[0])

    @cached_property
    def length(self) -> int:
        """Its own columns and those before them."""
        return self.columns + (self.before.length if self.before else 0)

    @property
    def bytes(self) -> int:
        """What its own columns take."""
        return sum(each.numel() * each.element_size() for each in (*self.keys, *self.values))

    def chain(self) -> list[Kept]:
        """Itself and what is before it, first things first."""
        return [*(self.before.chain() if self.before else ()), self]

    def stays(self, columns: int) -> Kept | None:
        """What stays before so many new columns; the rest of it is copied, so that there are few parts to join.

        That is while it is no longer than what comes after it, so that columns are copied a few times at most. The
        beginning stays, since many canvases share it.
        """
        before: Kept | None = self
        while before is not None and before.before is not None and before.columns <= columns:
            columns += before.columns
            before = before.before
        return before

    def first(self, length: int) -> Kept | None:
        """The first columns alone, as views."""
        if length >= self.length:
            return self
        begun = self.before.length if self.before else 0
        if length <= begun:
            return self.before.first(length) if self.before and length else None
        own = slice(length - begun)
        return Kept(keys=[k[own] for k in self.keys], values=[v[own] for v in self.values], before=self.before)


class Past(Cache):  # type: ignore[misc] # a class of transformers
    """What one forward finds in front of its columns, and adds."""

    def __init__(self, after: Sequence[Kept | None], *, layers: int) -> None:
        """
        Args:
            after: for each canvas, the keys and values in front of its columns.
            layers: of the model.
        """
        self._after = after
        chains = [each.chain() if each else [] for each in after]
        lengths = [each.length if each else 0 for each in after]
        self._longest = max(lengths)
        self._lengths = lengths
        super().__init__(
            layers=[
                _Layer(
                    [[kept.keys[layer] for kept in chain] for chain in chains],
                    [[kept.values[layer] for kept in chain] for chain in chains],
                    longest=self._longest,
                )
                for layer in range(layers)
            ]
        )

    def seen(self, device: torch.device) -> Tensor:
        """Which of the columns in front are no padding [B, P]. All canvases have equally many, padded on the left."""
        padding_B = self._longest - torch.tensor(self._lengths, device=device)
        return torch.arange(self._longest, device=device) >= padding_B[:, None]

    def added(self, kept_BL: Tensor) -> Iterator[Kept]:
        """The marked columns of this forward, canvas by canvas, with what was before them (see `Kept.stays`)."""
        for row, kept_L in enumerate(kept_BL):
            at, before = kept_L.nonzero()[:, 0], self._after[row]
            keys = [layer.keys[row].transpose(0, 1)[at] for layer in self.layers]
            values = [layer.values[row].transpose(0, 1)[at] for layer in self.layers]
            stays = before.stays(len(at)) if before else None
            while before is not None and before is not stays:
                keys = [torch.cat(pair) for pair in zip(before.keys, keys, strict=True)]
                values = [torch.cat(pair) for pair in zip(before.values, values, strict=True)]
                before = before.before
            yield Kept(keys=keys, values=values, before=before)


class _Layer(CacheLayerMixin):  # type: ignore[misc] # a class of transformers
    """The part of a `Past` that one layer sees. `keys` and `values` [B, H, L, D] are those of the present forward."""

    is_sliding = False

    def __init__(self, keys: list[list[Tensor]], values: list[list[Tensor]], *, longest: int) -> None:
        super().__init__()
        self._past = keys, values
        self._longest = longest

    def lazy_initialization(self, *_: Any) -> None:
        """Nothing to prepare."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """The keys and values [B, H, P + L, D] of what is in front and of the present columns."""
        self.keys, self.values = key_states, value_states
        keys, values = self._past
        return _joined(keys, key_states, self._longest), _joined(values, value_states, self._longest)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Keys in all, and the first of them."""
        return self._longest + query_length, 0

    def get_seq_length(self) -> int:
        """Columns in front."""
        return self._longest

    def get_max_length(self) -> int:
        """No limit."""
        return -1

    get_max_cache_shape = get_max_length
    """Its name in earlier versions of transformers."""


def _joined(past: list[list[Tensor]], new_BHLD: Tensor, longest: int) -> Tensor:
    """[B, H, P + L, D]: one copy of everything, since the present columns stand behind what is in front."""
    if not longest:
        return new_BHLD
    batch, heads, _, size = new_BHLD.shape
    padding = new_BHLD.new_zeros(longest, heads, size)
    pieces: list[Tensor] = []
    for row, new_LHD in zip(past, new_BHLD.transpose(1, 2).unbind(), strict=True):
        if missing := longest - sum(map(len, row)):
            pieces.append(padding[:missing])
        pieces += row
        pieces.append(new_LHD)
    return torch.cat(pieces).view(batch, -1, heads, size).transpose(1, 2)
