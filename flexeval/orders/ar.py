"""Left to right: commit the frontier."""

from __future__ import annotations

from dataclasses import dataclass

from flexeval.orders.order import Order, take_leftmost
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
