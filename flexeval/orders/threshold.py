"""Fast-dLLM's parallel orders: everything above a threshold, and the factor rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from flexeval.errors import InputError
from flexeval.fields import require_types
from flexeval.orders.order import Order, Read, ranks_descending, take_highest
from flexeval.records import BoolArray, DecodingState, require_float32


@dataclass(frozen=True)
class Threshold(Order):
    """All proposals with confidence >= tau, at least the most confident one (arXiv:2505.22618, section 3.3)."""

    tau: float = 0.9

    name = "threshold"
    reads: ClassVar[frozenset[Read]] = frozenset({"proposal"})
    adaptive = True

    def __post_init__(self) -> None:
        require_types(self, owner=f"order {self.name!r}: ")
        check_tau(self.name, self.tau)

    def __call__(self, state: DecodingState) -> BoolArray:
        """Every proposal that clears tau, and the best one."""
        one_B = np.ones(len(state.step_B), dtype=np.int64)
        best_BG = take_highest(state.confidence_BG, state.eligible_BG, one_B)
        return best_BG | (state.eligible_BG & (np.nan_to_num(state.confidence_BG) >= self.tau))


@dataclass(frozen=True)
class Factor(Order):
    """The largest n whose n-th highest confidence c satisfies c >= 1 - f / (n + 1), at least one.

    Fast-dLLM's factor rule (arXiv:2505.22618, theorem 1 and its implementation). The published code also
    takes the last masked position when that is the first to fail; this does not.
    """

    factor: float = 1.0

    name = "factor"
    reads: ClassVar[frozenset[Read]] = frozenset({"proposal"})
    adaptive = True

    def __post_init__(self) -> None:
        require_types(self, owner=f"order {self.name!r}: ")
        require_float32("order 'factor': factor", self.factor)

    def __call__(self, state: DecodingState) -> BoolArray:
        """The prefix of the sorted confidences that satisfies the rule."""
        confidence_BG = np.where(state.eligible_BG, state.confidence_BG, -np.inf)
        # n (1 + 1/n)(1 - c_n) grows with n, so the positions that satisfy the rule are a prefix.
        n_BG = ranks_descending(confidence_BG) + 1
        within_BG = state.eligible_BG & (confidence_BG >= 1 - self.factor / (n_BG + 1))
        chosen_BG: BoolArray = within_BG | (n_BG == 1)
        return chosen_BG


def check_tau(order: str, tau: float) -> None:
    """Raise InputError unless tau is a probability."""
    if not 0 <= tau <= 1:
        raise InputError(f"order {order!r}: tau is a probability between 0 and 1, not {tau}")
