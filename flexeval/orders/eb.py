"""The entropy-bounded order: as many positions as a bound on their joint error allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from flexeval.fields import require_types
from flexeval.orders.order import Order, Read
from flexeval.records import BoolArray, DecodingState, require_float32

ErrorProxy = Literal["entropy", "confidence", "margin"]


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
