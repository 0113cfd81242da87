"""Orders that do not read the model: left to right, random, or one permutation for all samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from flexeval.errors import InputError
from flexeval.fields import require_types
from flexeval.orders.order import Order, Read, take_highest, take_leftmost
from flexeval.records import BoolArray, DecodingState


@dataclass(frozen=True)
class LeftToRight(Order):
    """The leftmost mask; with a budget of several, that many leftmost ones.

    The paper's "AR order" (arXiv:2601.15165, section 3), LLaDA's block length 1. Needs logits at the
    frontier only.
    """

    name = "ar"

    def __call__(self, state: DecodingState) -> BoolArray:
        """The frontier."""
        return take_leftmost(state.eligible_BG, state.budget_B)


@dataclass(frozen=True)
class Random(Order):
    """Uniform among the eligible positions, another order for each sample.

    Every position of a sample has one uniform number, and the largest among the eligible goes first:
    the order of i.i.d. numbers is a uniformly random permutation.
    """

    name = "random"
    reads: ClassVar[frozenset[Read]] = frozenset({"uniform"})

    def __call__(self, state: DecodingState) -> BoolArray:
        """The eligible positions with the largest uniform numbers."""
        return take_highest(state.uniform_BG, state.eligible_BG, state.budget_B)


@dataclass(frozen=True)
class Permutation(Order):
    """One fixed random permutation of the generated positions for all samples (arXiv:2601.15165, appendix D).

    Within blocks, the permutation's order among the block's positions counts.
    """

    seed: int = 0

    name = "permutation"

    def __post_init__(self) -> None:
        require_types(self, owner=f"order {self.name!r}: ")
        if self.seed < 0:
            raise InputError(f"order 'permutation': seed must be at least 0, not {self.seed}")

    def __call__(self, state: DecodingState) -> BoolArray:
        """The eligible positions that come first in the permutation."""
        place_G = _permutation(self.seed, state.eligible_BG.shape[1])
        score_BG = np.broadcast_to(-place_G.astype(np.float64), state.eligible_BG.shape)
        return take_highest(score_BG, state.eligible_BG, state.budget_B)


@lru_cache(maxsize=16)
def _permutation(seed: int, length: int) -> NDArray[Any]:
    return np.random.default_rng(seed).permutation(length)
