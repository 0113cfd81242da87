"""`outside-in`: a decoding order that reads nothing of the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from flexeval.orders import Order, take_highest
from flexeval.records import DecodingState


@dataclass(frozen=True)
class OutsideIn(Order):
    """Commits from both ends of the eligible positions towards the middle."""

    name: ClassVar[str] = "outside-in"
    right_first: bool = False
    """Which end comes first."""

    def __call__(self, state: DecodingState) -> Any:
        """The positions farthest from the middle."""
        positions = np.arange(state.eligible_BG.shape[1])
        last_B = np.where(state.eligible_BG, positions, -1).max(axis=1)
        from_middle_BG = np.abs(positions - (state.frontier_B + last_B)[:, None] / 2)
        tie_break = positions * (1e-6 if self.right_first else -1e-6)
        return take_highest(from_middle_BG + tie_break, state.eligible_BG, state.budget_B)
