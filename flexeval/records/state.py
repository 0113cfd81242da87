"""What a decoding order sees at a step, and what it answers if it revises.

Axis suffixes: `B` rows (samples in flight), `G` generated positions, `L` canvas (prompt + `G`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flexeval.errors import PluginError
from flexeval.records.arrays import BoolArray, FloatArray, IntArray


def _not_read() -> Any:
    return None


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodingState:
    """What an order may read at a step. Its arrays are read-only.

    A score that the order's `reads` does not name is not there: reading it raises a `PluginError`. Outside the eligible
    positions a score is NaN (a proposal -1). For a state that differs from another in some arrays, write
    `DecodingState(**{**vars(state), "budget_B": ...})`.
    """

    eligible_BG: BoolArray
    """Masked and inside the current block. Every row has at least one, but where an order that revises has asked to
    look at a full block again."""
    frontier_B: IntArray
    """The leftmost eligible position of each row; 0 where there is none."""
    budget_B: IntArray
    """Commits that the schedule asks for at this step, at least 1 and at most the number of eligible positions."""
    step_B: IntArray
    """0-based step of each row's canvas; rows of a batch are at different steps."""
    committed_B: IntArray
    """Positions that each row has committed so far."""
    top_prob_BG: FloatArray = field(default_factory=_not_read, repr=False)
    """Probability of the likeliest token, float32."""
    margin_BG: FloatArray = field(default_factory=_not_read, repr=False)
    """Probability of the likeliest minus that of the second likeliest token, float32."""
    entropy_BG: FloatArray = field(default_factory=_not_read, repr=False)
    """Nats, >= 0, float32."""
    proposal_BG: IntArray = field(default_factory=_not_read, repr=False)
    """The token drawn at this step for this position (`propose` orders only)."""
    confidence_BG: FloatArray = field(default_factory=_not_read, repr=False)
    """Probability of the proposal, float32; read as `proposal`."""
    uniform_BG: FloatArray = field(default_factory=_not_read, repr=False)
    """A uniform number in [0, 1) per position, the same at every step of a sample: for choices of position."""
    noise_BG: FloatArray = field(default_factory=_not_read, repr=False)
    """A uniform number in [0, 1) per position and step."""
    window_step_B: IntArray = field(default_factory=_not_read, repr=False)
    """Steps of the current block so far; read as `place`."""
    window_size_B: IntArray = field(default_factory=_not_read, repr=False)
    """Positions of the current block; read as `place`."""
    full_steps_B: IntArray = field(default_factory=_not_read, repr=False)
    """Steps that found the current block without a mask; read as `place`."""
    drift_BGH: FloatArray = field(default_factory=_not_read, repr=False)
    """KL divergence of the distribution of a step from that of the step before, nats, for the last `Order.history`
    steps, the newest last; infinite where there was no step before. Read as `drift`."""
    revisable_BG: BoolArray = field(default_factory=_not_read, repr=False)
    """Committed in the current block: what may be masked again or rewritten; read as `past`."""
    token_BG: IntArray = field(default_factory=_not_read, repr=False)
    """The token that stands at each position, or the mask token; read as `past`."""
    commit_step_BG: IntArray = field(default_factory=_not_read, repr=False)
    """Step at which that token was committed, -1 at masks; read as `past`."""
    commit_prob_BG: FloatArray = field(default_factory=_not_read, repr=False)
    """Probability of that token at its commit, as `SamplingConfig.scored` reads it; read as `past`."""
    remasks_BG: IntArray = field(default_factory=_not_read, repr=False)
    """How often each position was masked again; read as `past`."""
    kept_prob_BG: FloatArray = field(default_factory=_not_read, repr=False)
    """Probability that the model gives a revisable token at its own position, where it sees it; read as `kept`."""
    kept_before_BG: FloatArray = field(default_factory=_not_read, repr=False)
    """The same at the step before, which for a new token is that of its commit; read as `kept`."""
    unseen_prob_BG: FloatArray = field(default_factory=_not_read, repr=False)
    """Probability that a twin, a mask in the place of the token, gives it; read as `unseen`."""
    redraw_BG: IntArray = field(default_factory=_not_read, repr=False)
    """A token drawn at this step for a revisable position, as a proposal for a mask; read as `redraw`."""
    redraw_prob_BG: FloatArray = field(default_factory=_not_read, repr=False)
    """Its probability; read as `redraw`."""

    def __post_init__(self) -> None:
        # What was not asked for is taken away, so that Python looks for it in `__getattr__`.
        for name in _SCORES:
            if vars(self)[name] is None:
                object.__delattr__(self, name)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name not in _SCORES:
                raise AttributeError(f"a DecodingState has no field {name!r}; it has {', '.join(_FIELDS)}")
            raise PluginError(f"it reads state.{name}, which its `reads` does not ask for; add {_SCORES[name]!r} to it")


_FIELDS = tuple(DecodingState.__dataclass_fields__)
_SCORES: Mapping[str, str] = {
    "top_prob_BG": "top_prob",
    "margin_BG": "margin",
    "entropy_BG": "entropy",
    "proposal_BG": "proposal",
    "confidence_BG": "proposal",
    "uniform_BG": "uniform",
    "noise_BG": "noise",
    "window_step_B": "place",
    "window_size_B": "place",
    "full_steps_B": "place",
    "drift_BGH": "drift",
    "revisable_BG": "past",
    "token_BG": "past",
    "commit_step_BG": "past",
    "commit_prob_BG": "past",
    "remasks_BG": "past",
    "kept_prob_BG": "kept",
    "kept_before_BG": "kept",
    "unseen_prob_BG": "unseen",
    "redraw_BG": "redraw",
    "redraw_prob_BG": "redraw",
}
"""Array -> the read that it comes with."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Revision:
    """What an order that revises answers. None stands for nothing."""

    commit_BG: BoolArray
    """Masks to commit: eligible positions, in some rows none."""
    remask_BG: BoolArray | None = None
    """Revisable positions to mask again."""
    rewrite_BG: BoolArray | None = None
    """Revisable positions that get their `redraw_BG` instead; none of those to mask again."""
    again_B: BoolArray | None = None
    """Rows whose block is evaluated once more even if it has no mask after this step."""
