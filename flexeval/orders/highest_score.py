"""Orders that commit the positions with the highest score, as many as the schedule asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from flexeval.fields import require_float32, require_types
from flexeval.orders.order import Order, Read, take_highest
from flexeval.records import BoolArray, DecodingState, FloatArray


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
class LowConfidenceDynamic(Order):
    """Proposals above a threshold, if they are as many as the schedule asks for; else that many of the most confident.

    `low_confidence_dynamic` of SDAR (JetAstra/SDAR, generate.py) and of DreamReasoner, LLaDA2.0's `generate`; with one
    token a step also Fast-dLLM v2's. They compare strictly, where `threshold` takes what is equal, too.
    """

    tau: float = 0.9
    strict: bool = True

    name = "low_confidence_dynamic"
    reads: ClassVar[frozenset[Read]] = frozenset({"proposal"})
    exceeds_budget = True

    def __post_init__(self) -> None:
        require_types(self, owner=f"order {self.name!r}: ")
        require_float32("order 'low_confidence_dynamic': tau", self.tau)

    def __call__(self, state: DecodingState) -> BoolArray:
        """What clears tau, or else the most confident proposals."""
        confidence_BG = np.nan_to_num(state.confidence_BG)
        clear_BG = state.eligible_BG & (confidence_BG > self.tau if self.strict else confidence_BG >= self.tau)
        best_BG = take_highest(state.confidence_BG, state.eligible_BG, state.budget_B)
        enough_B1 = clear_BG.sum(axis=1, keepdims=True) >= state.budget_B[:, None]
        return np.where(enough_B1, clear_BG, best_BG)


@dataclass(frozen=True)
class TemperedConfidence(Order):
    """Draw proposals, and commit as many as the schedule asks for, drawn without replacement from softmax(c / t_pos).

    Tempered low confidence, TLC (arXiv:2604.09921): a temperature on the *position*, beside that of the token, softens
    `confidence`, which `t_pos` = 0 is. Known of the paper's rule is that positions are drawn without replacement by
    tempered confidences c; that these enter the softmax themselves and not their logarithms is ours, as in Dream's
    `alg_temp`.
    """

    t_pos: float = 0.1

    name = "tlc"
    reads: ClassVar[frozenset[Read]] = frozenset({"proposal", "noise"})

    def __post_init__(self) -> None:
        require_types(self, owner=f"order {self.name!r}: ")
        require_float32("order 'tlc': t_pos", self.t_pos)

    def __call__(self, state: DecodingState) -> BoolArray:
        """The largest of the confidences with Gumbel noise, which are such a draw."""
        with np.errstate(divide="ignore"):
            gumbel_BG = -np.log(-np.log(state.noise_BG))
        score_BG = state.confidence_BG + self.t_pos * np.maximum(gumbel_BG, -1e3)
        return take_highest(score_BG, state.eligible_BG, state.budget_B)


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


@dataclass(frozen=True)
class EntropyGuidedInjection(Order):
    """First commit at the highest-entropy position, drawn at a temperature of its own; then `top_prob`.

    EGI of arXiv:2609.34509, which opens at T = 0.9 and goes on at 0.6.
    """

    first_temperature: float = 0.9

    name = "egi"
    reads: ClassVar[frozenset[Read]] = frozenset({"entropy", "top_prob"})

    def __post_init__(self) -> None:
        require_types(self, owner=f"order {self.name!r}: ")
        require_float32("order 'egi': first_temperature", self.first_temperature)

    def __call__(self, state: DecodingState) -> BoolArray:
        """The most uncertain position of an empty canvas; the most certain one of any other."""
        opening_B1 = (state.committed_B == 0)[:, None]
        score_BG = np.where(opening_B1, state.entropy_BG, state.top_prob_BG)
        return take_highest(score_BG, state.eligible_BG, state.budget_B)

    def temperature(self, state: DecodingState, default: float) -> FloatArray:
        """`first_temperature` for the opening, the run's temperature for the rest."""
        return np.where(state.committed_B == 0, self.first_temperature, default)
