"""Fork-dLLM: in parallel where the model is sure, left to right where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from flexeval.fields import require_types
from flexeval.orders.order import Order, Read, take_leftmost
from flexeval.orders.threshold import check_tau
from flexeval.records import BoolArray, DecodingState


@dataclass(frozen=True)
class Fork(Order):
    """Every position whose top probability is >= tau; where none clears it, the frontier (arXiv:2609.39859)."""

    tau: float = 0.8

    name = "fork"
    reads: ClassVar[frozenset[Read]] = frozenset({"top_prob"})
    adaptive = True

    def __post_init__(self) -> None:
        require_types(self, owner=f"order {self.name!r}: ")
        check_tau(self.name, self.tau)

    def __call__(self, state: DecodingState) -> BoolArray:
        """The positions that clear tau, or the frontier."""
        clear_BG = state.eligible_BG & (np.nan_to_num(state.top_prob_BG) >= self.tau)
        frontier_BG = take_leftmost(state.eligible_BG, np.ones(len(state.step_B), dtype=np.int64))
        return np.where(clear_BG.any(axis=1, keepdims=True), clear_BG, frontier_BG)
