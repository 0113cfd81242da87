"""The most confident proposals: LLaDA's low-confidence remasking, which the paper calls arbitrary order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from flexeval.errors import InputError
from flexeval.fields import require_types
from flexeval.orders.order import Order, Read, take_highest
from flexeval.records import MOST_POSITIONS, BoolArray, DecodingState


@dataclass(frozen=True)
class Confidence(Order):
    """Draw a proposal at every eligible position, commit those with the highest untempered probability.

    LLaDA's `low_confidence` (ML-GSAI/LLaDA, generate.py). At T > 0 this filters out rare tokens: with m
    independent positions it commits a non-top token with probability (1 - c_T)^m, where `top_prob` does
    so with 1 - c_T (arXiv:2609.34509).
    """

    name = "confidence"
    reads: ClassVar[frozenset[Read]] = frozenset({"proposal"})

    def __call__(self, state: DecodingState) -> BoolArray:
        """The most confident proposals, as many as the schedule asks for."""
        return take_highest(state.confidence_BG, state.eligible_BG, state.budget_B)


@dataclass(frozen=True)
class Parallel(Order):
    """The `k` most confident proposals at each step, whatever the schedule says. Written `parallel-4`."""

    k: int

    name = "parallel-k"
    reads: ClassVar[frozenset[Read]] = frozenset({"proposal"})
    adaptive = True

    def __post_init__(self) -> None:
        require_types(self, owner=f"order {self.name!r}: ")
        if not 1 <= self.k <= MOST_POSITIONS:
            raise InputError(
                f"order 'parallel-k' commits at least 1 position a step (and at most {MOST_POSITIONS}), not {self.k}; "
                "write 'parallel-2'"
            )

    @property
    def spec(self) -> str:
        """`parallel-<k>`."""
        return f"parallel-{self.k}"

    def __call__(self, state: DecodingState) -> BoolArray:
        """The k most confident proposals; all that remain of a block when fewer do."""
        return take_highest(state.confidence_BG, state.eligible_BG, np.full(len(state.step_B), self.k))
