"""Orders that commit where the model is most certain, and only then draw the token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flexeval.orders.order import Order, Read, take_highest
from flexeval.records import BoolArray, DecodingState


@dataclass(frozen=True)
class TopProb(Order):
    """The largest top-token probability (TPP of arXiv:2609.34509)."""

    name = "top_prob"
    reads: ClassVar[frozenset[Read]] = frozenset({"top_prob"})

    def __call__(self, state: DecodingState) -> BoolArray:
        """Where the likeliest token is likeliest."""
        return take_highest(state.top_prob_BG, state.eligible_BG, state.budget_B)


@dataclass(frozen=True)
class Margin(Order):
    """The largest gap between the two likeliest tokens (Dream's `topk_margin`)."""

    name = "margin"
    reads: ClassVar[frozenset[Read]] = frozenset({"margin"})

    def __call__(self, state: DecodingState) -> BoolArray:
        """Where the two likeliest tokens are furthest apart."""
        return take_highest(state.margin_BG, state.eligible_BG, state.budget_B)


@dataclass(frozen=True)
class Entropy(Order):
    """The lowest entropy (Dream's `entropy`, the paper's Neg-Entropy)."""

    name = "entropy"
    reads: ClassVar[frozenset[Read]] = frozenset({"entropy"})

    def __call__(self, state: DecodingState) -> BoolArray:
        """Where the entropy is lowest."""
        return take_highest(-state.entropy_BG, state.eligible_BG, state.budget_B)
