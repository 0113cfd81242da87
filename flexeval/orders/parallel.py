"""Parallel decoding: orders that decide themselves how many positions a step commits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from flexeval.errors import InputError
from flexeval.fields import require_float32, require_types
from flexeval.orders.order import (
    MOST_HISTORY,
    Order,
    Read,
    ranks_descending,
    require_probability,
    take_highest,
    take_leftmost,
)
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
        require_probability(self.name, "tau", self.tau)

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
        require_probability(self.name, "tau", self.tau)

    def __call__(self, state: DecodingState) -> BoolArray:
        """The positions that clear tau, or the frontier."""
        clear_BG = state.eligible_BG & (np.nan_to_num(state.top_prob_BG) >= self.tau)
        frontier_BG = take_leftmost(state.eligible_BG, np.ones(len(state.step_B), dtype=np.int64))
        return np.where(clear_BG.any(axis=1, keepdims=True), clear_BG, frontier_BG)


@dataclass(frozen=True)
class Klass(Order):
    """All proposals above tau whose distribution has come to rest; where there is none, the most confident (KLASS).

    At rest: the KL divergence from the step before was below `tau_kl` nats in each of the last `rest` steps
    (arXiv:2511.05664; shkim0116/KLASS, src/model/llada_klass.py, `alg="klass"`, one token a step otherwise). As there,
    masks of later blocks are watched too, and a block commits nothing by this rule in its first `rest` - 1 steps. At
    T > 0 the published code compares the softmax of numbers to which it has added the noise of its draw; this compares
    the model's distributions.
    """

    tau: float = 0.9
    tau_kl: float = 0.01
    rest: int = 2

    name = "klass"
    reads: ClassVar[frozenset[Read]] = frozenset({"proposal", "drift", "place"})
    adaptive = True

    def __post_init__(self) -> None:
        require_types(self, owner=f"order {self.name!r}: ")
        require_probability(self.name, "tau", self.tau)
        require_float32("order 'klass': tau_kl", self.tau_kl)
        if not 1 <= self.rest <= MOST_HISTORY:
            raise InputError(f"order 'klass': rest counts steps, between 1 and {MOST_HISTORY}, not {self.rest}")

    @property
    def history(self) -> int:
        """As many steps as must be at rest."""
        return self.rest

    def __call__(self, state: DecodingState) -> BoolArray:
        """What is sure and at rest, or else the most confident."""
        at_rest_BG = (state.drift_BGH < self.tau_kl).all(axis=2) & (state.window_step_B >= self.rest - 1)[:, None]
        ready_BG = state.eligible_BG & at_rest_BG & (np.nan_to_num(state.confidence_BG) > self.tau)
        best_BG = take_highest(state.confidence_BG, state.eligible_BG, np.ones(len(state.step_B), dtype=np.int64))
        return np.where(ready_BG.any(axis=1, keepdims=True), ready_BG, best_BG)


@dataclass(frozen=True)
class TemperedThreshold(Order):
    """Each proposal of confidence c is taken with probability 1 / (1 + exp((tau - c) / t_pos)); else the best (TCT).

    Tempered confidence thresholding (arXiv:2604.09921): a temperature on the *position* softens `threshold`, which
    `t_pos` = 0 is. Known of the paper's rule is that positions are accepted independently, by a tempered threshold, and
    that `t_pos` is about 0.1; the logistic link and what happens where nothing is accepted are ours.
    """

    tau: float = 0.7
    t_pos: float = 0.1

    name = "tct"
    reads: ClassVar[frozenset[Read]] = frozenset({"proposal", "noise"})
    adaptive = True

    def __post_init__(self) -> None:
        require_types(self, owner=f"order {self.name!r}: ")
        require_probability(self.name, "tau", self.tau)
        require_float32("order 'tct': t_pos", self.t_pos)

    def __call__(self, state: DecodingState) -> BoolArray:
        """What is accepted, or else the most confident."""
        # The uniform number as a threshold of its own: u < 1 / (1 + exp(-x)) where x > log(u / (1 - u)).
        with np.errstate(divide="ignore"):
            shift_BG = np.log(state.noise_BG) - np.log1p(-state.noise_BG)
        threshold_BG = self.tau + (self.t_pos * shift_BG if self.t_pos else 0.0)
        taken_BG = state.eligible_BG & (np.nan_to_num(state.confidence_BG) >= threshold_BG)
        best_BG = take_highest(state.confidence_BG, state.eligible_BG, np.ones(len(state.step_B), dtype=np.int64))
        return np.where(taken_BG.any(axis=1, keepdims=True), taken_BG, best_BG)
