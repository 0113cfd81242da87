"""Parallel decoding: orders that decide themselves how many positions a step commits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from flexeval.errors import InputError
from flexeval.fields import require_float32, require_types
from flexeval.orders.order import Order, Read, ranks_descending, take_highest, take_leftmost
from flexeval.records import MOST_POSITIONS, BoolArray, DecodingState

ErrorProxy = Literal["entropy", "confidence", "margin"]


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


@dataclass(frozen=True)
class Threshold(Order):
    """All proposals with confidence >= tau, at least the most confident one (arXiv:2505.22618, section 3.3)."""

    tau: float = 0.9

    name = "threshold"
    reads: ClassVar[frozenset[Read]] = frozenset({"proposal"})
    adaptive = True

    def __post_init__(self) -> None:
        require_types(self, owner=f"order {self.name!r}: ")
        _require_probability(self.name, self.tau)

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


@dataclass(frozen=True)
class EntropyBound(Order):
    """Sort by an error proxy, commit the largest prefix U with sum H(U) - max H(U) <= gamma.

    EB-Sampler (Ben-Hamu et al. 2025, arXiv:2505.24857). H is the marginal entropy in nats whatever the
    proxy sorts by. The first position always satisfies the bound, so gamma = 0 commits one per step
    (and whatever has entropy zero beside it).
    """

    gamma: float = 0.1
    proxy: ErrorProxy = "entropy"

    name = "eb"
    adaptive = True

    def __post_init__(self) -> None:
        require_types(self, owner=f"order {self.name!r}: ")
        require_float32("order 'eb': gamma", self.gamma)

    @property
    def reads(self) -> frozenset[Read]:  # type: ignore[override] # the other orders read the same whatever their fields
        """The entropy, and what the proxy needs."""
        by_proxy: dict[ErrorProxy, Read] = {"entropy": "entropy", "confidence": "top_prob", "margin": "margin"}
        return frozenset({"entropy", by_proxy[self.proxy]})

    def __call__(self, state: DecodingState) -> BoolArray:
        """The largest prefix within the bound."""
        if self.proxy == "entropy":
            error_BG = state.entropy_BG
        else:
            error_BG = -(state.top_prob_BG if self.proxy == "confidence" else state.margin_BG)
        order_BG = np.argsort(np.where(state.eligible_BG, error_BG, np.inf), axis=1, kind="stable")
        entropy_BG = np.where(state.eligible_BG, state.entropy_BG, np.inf).astype(np.float64)
        sorted_BG = np.take_along_axis(entropy_BG, order_BG, axis=1)

        # inf - inf beyond the eligible positions is NaN, which is never <= gamma.
        with np.errstate(invalid="ignore"):
            joint_error_BG = np.cumsum(sorted_BG, axis=1) - np.maximum.accumulate(sorted_BG, axis=1)
            within_BG = joint_error_BG <= self.gamma
        chosen_BG = np.zeros_like(state.eligible_BG)
        np.put_along_axis(chosen_BG, order_BG, within_BG, axis=1)
        return chosen_BG


@dataclass(frozen=True)
class Fork(Order):
    """Every position whose top probability is >= tau; where none clears it, the frontier (arXiv:2609.39859)."""

    tau: float = 0.8

    name = "fork"
    reads: ClassVar[frozenset[Read]] = frozenset({"top_prob"})
    adaptive = True

    def __post_init__(self) -> None:
        require_types(self, owner=f"order {self.name!r}: ")
        _require_probability(self.name, self.tau)

    def __call__(self, state: DecodingState) -> BoolArray:
        """The positions that clear tau, or the frontier."""
        clear_BG = state.eligible_BG & (np.nan_to_num(state.top_prob_BG) >= self.tau)
        frontier_BG = take_leftmost(state.eligible_BG, np.ones(len(state.step_B), dtype=np.int64))
        return np.where(clear_BG.any(axis=1, keepdims=True), clear_BG, frontier_BG)


def _require_probability(order: str, tau: float) -> None:
    """Raise InputError unless tau is a probability."""
    if not 0 <= tau <= 1:
        raise InputError(f"order {order!r}: tau is a probability between 0 and 1, not {tau}")
