"""Every record that crosses a module boundary. Imports numpy and nothing else of weight.

Axis suffixes: `B` rows (samples in flight), `G` generated positions, `L` canvas (prompt + `G`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from flexeval import display
from flexeval.errors import PluginError, encodable, one_line, shortened
from flexeval.fields import require, require_float32, require_types

if TYPE_CHECKING:
    import pandas as pd

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.integer[Any]]
FloatArray = NDArray[np.floating[Any]]

MOST = 2**31 - 1
"""Of anything that is counted: what the token rows number samples with."""
LARGEST_BATCH = 2**16
"""Samples in flight at most: each has its canvas and its record in memory."""
MOST_POSITIONS = 2**24 - 1
"""Generated positions that have random numbers of their own."""

CORRECT = "correct"
"""The verdict on a sample that every task gives, and that counts unless another one is asked for."""
APPROXIMATE = ("prefix", "dual")
"""The kinds of cache that change samples; see `SamplingConfig.cache`."""
PROMPT_DATE = "2026-01-01"
"""The date that chat templates get unless a run says otherwise."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One question of a benchmark."""

    id: str
    """Unique within the task, stable across runs and machines; part of the key of every random number."""
    question: str
    """What the model is asked, without any prompt wording."""
    target: str
    """The reference answer, as the task's grader reads it."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else the grader or an analysis needs (tests, level, facts of a generated problem)."""

    def __post_init__(self) -> None:
        require_types(self, owner="Problem.")


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a model is given, before its chat template is applied."""

    user: str
    """The user's turn."""
    system: str = ""
    """A system text; empty for none."""
    prefill: str = ""
    """How the assistant's turn already begins; the completion continues it."""
    date: str = PROMPT_DATE
    """The date or time that a chat template gets when it asks for the present one; as `RunConfig.prompt_date`."""

    def __post_init__(self) -> None:
        require_types(self, owner="Prompt.")


PACE = ("steps", "tokens_per_step", "steps_per_block")
"""The settings that say how many tokens a step commits; one of them at most is given."""


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How a canvas is filled, apart from the decoding order. Names as in LLaDA's `generate`."""

    gen_length: int = 256
    """Generated positions of a canvas."""
    block_length: int | None = None
    """Semi-autoregressive block; None stands for min(32, gen_length), the paper's block."""
    steps: int | None = None
    """Steps over the whole canvas, split evenly over the blocks; None stands for one token per step."""
    tokens_per_step: int | None = None
    """The other way to say `steps`: this many commits per step (the last step of a block may have fewer)."""
    steps_per_block: int | None = None
    """A third way: steps of a whole block (SDAR, LLaDA2, iLLaDA). A shorter block commits as many a step, until it is
    full."""
    schedule: Literal["even", "dream", "dllm"] = "even"
    """`even`: LLaDA's, n // S per step and one more in the first n % S. `dream`: Dream's, linear in time over the
    whole canvas, from 1 to 1e-3, everything that remains at the last step. `dllm`: dLLM's, linear in time over each
    block, rounded."""
    temperature: float = 0.6
    """Temperature of the distribution that tokens are drawn from; 0 takes the likeliest token."""
    top_p: float = 1.0
    """Nucleus: the smallest set of tokens with at least this tempered probability; 1 keeps all."""
    top_k: int = 0
    """Keep this many likeliest tokens; 0 keeps all."""
    scored: Literal["model", "sampled"] = "model"
    """Which distribution an order's scores are read from: `model`, the untempered softmax (LLaDA); `sampled`, the one
    that tokens are drawn from, after temperature, top_p and top_k (Dream). The record is always of `model`."""
    cfg_scale: float = 0.0
    """Classifier-free guidance s: uncond + (s + 1)(cond - uncond), the prompt masked in the unconditional pass."""
    logits_mask_inf: bool = True
    """Remove the mask token before anything is scored or drawn. When False, as in the published code, a position that
    draws the mask stays a mask and the step is spent; a text may then end with masks in it."""
    logits_eos_inf: bool = False
    """Remove the end-of-sequence token before anything is scored or drawn."""
    confidence_eos_eot_inf: bool = False
    """Score as if end-of-sequence and end-of-turn had probability zero; which tokens are drawn does not change."""
    seed: int = 0
    """Seed of all random numbers; see `flexeval.sampling.randomness`."""
    stop_at_eos: bool = True
    """End a sample as soon as its text is settled: every position up to the first stop token is committed, and under an
    order that revises, its block is finished too. This changes no text, except as `batch_invariant` explains."""
    batch_invariant: bool = False
    """Evaluate each canvas alone and whole, which is slower. In half precision the numbers of a canvas change with the
    rest of its batch, so that samples depend on the batch size; this option prevents it. Float32 does not need it:
    there, samples depend on the batch only where two numbers are within rounding of each other."""
    cache: Literal["exact", "none", "prefix", "dual"] = "exact"
    """Which keys and values are computed once. `exact`: those of the prompt and of finished blocks, where a model
    attends by blocks; it changes no sample in float32. `none`: none. `prefix` and `dual` are approximate and for full
    attention, after Fast-dLLM: while a block is filled, what stands before it, or on both sides of it, stays as it was
    when the block was opened. They make another run."""

    def __post_init__(self) -> None:
        require_types(self)
        _require_range("gen_length", self.gen_length, 1, MOST_POSITIONS)
        _require_range("block_length", self.block_length, 1)
        require(
            self.block_length is None or self.block_length <= self.gen_length,
            f"block_length {self.block_length} is longer than gen_length {self.gen_length}; "
            f"use at most {self.gen_length}",
        )
        require_float32("temperature", self.temperature)
        require(0 < self.top_p <= 1, f"top_p must lie in (0, 1], not {self.top_p}")
        _require_range("top_k", self.top_k, 0, MOST)
        # It multiplies differences of logits, which leaves those up to 1e8 finite.
        require_float32("cfg_scale", self.cfg_scale, most=1e30)
        pace = [name for name in PACE if getattr(self, name) is not None]
        require(len(pace) < 2, f"{' and '.join(pace)} say the same thing twice; give one of them")
        _require_range("steps", self.steps, 1)
        require(
            self.steps is None or self.steps <= self.gen_length,
            f"steps {self.steps} is more than gen_length {self.gen_length}: a step commits at least one token; "
            f"use at most {self.gen_length}",
        )
        _require_range("tokens_per_step", self.tokens_per_step, 1, MOST_POSITIONS)
        _require_range("steps_per_block", self.steps_per_block, 1)
        require(
            self.steps_per_block is None or self.steps_per_block <= self.block,
            f"steps_per_block {self.steps_per_block} is more than the {self.block} positions of a block: a step "
            f"commits at least one token; use at most {self.block}",
        )
        if self.cache in APPROXIMATE:
            unfit = {"cfg_scale": self.cfg_scale > 0, "logits_mask_inf": not self.logits_mask_inf}
            for name, refused in {**unfit, "batch_invariant": self.batch_invariant}.items():
                value = getattr(self, name)
                require(not refused, f"cache {self.cache!r} is not for {name} {value}; change one of them")
        if self.schedule != "even":
            require(self.tokens_per_step is None, f"schedule {self.schedule!r} takes steps, not tokens_per_step")
        if self.schedule == "dream":
            require(
                self.block_length in (None, self.gen_length),
                "schedule 'dream' has no blocks; leave block_length out",
            )
            require(self.steps_per_block is None, "schedule 'dream' takes steps, not steps_per_block")
        elif self.steps is not None and self.schedule == "even":
            block = self.block
            require(
                self.gen_length % block == 0,
                f"gen_length {self.gen_length} is not a multiple of block_length {block}, which `steps` needs to be "
                f"split evenly; change one of them, or use tokens_per_step",
            )
            blocks = self.gen_length // block
            require(
                self.steps % blocks == 0,
                f"steps {self.steps} is not a multiple of the {blocks} blocks (gen_length {self.gen_length} / "
                f"block_length {block}); use {max(blocks, self.steps // blocks * blocks)}",
            )

    @property
    def approximate(self) -> str:
        """What names are followed by where a cache changes what a model computes, as ", dual cache"; else empty."""
        return f", {self.cache} cache" if self.cache in APPROXIMATE else ""

    @property
    def block(self) -> int:
        """The block length in force."""
        if self.schedule == "dream":
            return self.gen_length
        return min(32, self.gen_length) if self.block_length is None else self.block_length

    @property
    def per_step(self) -> float:
        """Positions that a step commits, in the mean over all steps; an adaptive order decides that itself."""
        if self.tokens_per_step is not None:
            return self.tokens_per_step
        if self.steps_per_block is not None:
            return self.block / self.steps_per_block
        return self.gen_length / (self.steps or self.gen_length)

    @property
    def pace(self) -> str:
        """The same as it was asked for, in words."""
        if self.steps is not None:
            return f"{self.steps} steps"
        if self.steps_per_block is not None:
            return f"{self.steps_per_block} steps per block unless the order decides"
        tokens = self.tokens_per_step or 1
        return f"{tokens} token{'s' if tokens > 1 else ''} per step unless the order decides"


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Revisions:
    """The tokens that a sample took back, one entry each, by step and position: masked again, or rewritten.

    With the trajectory, which keeps the last commit of every position, they are the whole history of a canvas.
    """

    step_N: NDArray[np.int32]
    """0-based step at which the token was taken back."""
    position_N: NDArray[np.int32]
    old_token_N: NDArray[np.int32]
    new_token_N: NDArray[np.int32]
    """What it was rewritten to; -1 where the position was masked again."""
    commit_step_N: NDArray[np.int32]
    """Step at which the old token was committed."""
    commit_entropy_N: NDArray[np.float32]
    """Nats of the untempered softmax at that commit."""
    commit_prob_N: NDArray[np.float32]
    """Untempered probability of the old token at that commit."""
    passes_N: NDArray[np.int32]
    """How often the position had been passed over as the frontier by then."""
    entropy_N: NDArray[np.float32]
    """Nats of the distribution that was looked at when the token was taken back; NaN where none was."""
    old_prob_N: NDArray[np.float32]
    """Untempered probability of the old token in it."""
    new_prob_N: NDArray[np.float32]
    """Untempered probability of the new token in it; NaN where the position was masked again."""

    def __len__(self) -> int:
        return len(self.step_N)

    @classmethod
    def of(cls, rows: Sequence[tuple[float, ...]]) -> Revisions:
        """From one tuple an entry, in the order of the fields."""
        columns = list(zip(*rows, strict=True)) or [()] * len(REVISION_COLUMNS)
        return cls(
            **{
                f"{name}_N": np.array(column, dtype=kind)
                for (name, kind), column in zip(REVISION_COLUMNS.items(), columns, strict=True)
            }
        )


REVISION_COLUMNS: Mapping[str, Any] = {
    "step": np.int32,
    "position": np.int32,
    "old_token": np.int32,
    "new_token": np.int32,
    "commit_step": np.int32,
    "commit_entropy": np.float32,
    "commit_prob": np.float32,
    "passes": np.int32,
    "entropy": np.float32,
    "old_prob": np.float32,
    "new_prob": np.float32,
}
"""The fields of `Revisions` without their axis, in order, and their types."""

NO_REVISIONS = Revisions.of([])


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """One finished sample: the record of how each generated position was decided.

    All arrays have length `gen_length`. Positions that were never committed (the sample left at its EOS)
    hold the mask id and -1 or NaN. Where an order revises, a position may be committed several times: "committed" then
    means the last time, of the token that stands, and `revisions` has the times before.
    """

    problem_id: str
    sample_index: int
    prompt_length: int
    """Tokens of the prompt, padding excluded."""
    token_ids_G: NDArray[np.int32]
    length: int
    """Tokens before the first end-of-sequence or end-of-turn: the text. `gen_length` when there is none."""
    commit_step_G: NDArray[np.int32]
    """0-based step at which the position was committed."""
    nfe: int
    """Mask-predictor evaluations that this sample needed; guidance counts two per step."""
    entropy_G: NDArray[np.float32]
    """Nats of the untempered softmax, when the position was committed."""
    prob_G: NDArray[np.float32]
    """Untempered probability of the committed token at that moment."""
    rank_G: NDArray[np.int32]
    """Rank of the committed token at that moment: 0 is the likeliest."""
    top_prob_G: NDArray[np.float32]
    """Untempered probability of the likeliest token at that moment."""
    eligible_entropy_G: NDArray[np.float32]
    """Entropy when the position first became eligible; NaN where the order did not have it computed then."""
    frontier_step_G: NDArray[np.int32]
    """Step at which the position became the frontier; -1 if it never was."""
    frontier_entropy_G: NDArray[np.float32]
    """Entropy at that step."""
    passes_G: NDArray[np.int32]
    """Steps at which the position was the frontier and something else was committed instead."""
    revisions: Revisions = NO_REVISIONS
    """What was taken back; nothing under orders that do not revise."""
    capped: bool = False
    """Whether revising was ended because a block took more steps than its order said it would."""

    def __repr__(self) -> str:
        committed = int((self.commit_step_G >= 0).sum())
        return (
            f"Trajectory(problem {self.problem_id!r}, sample {self.sample_index}: {self.length} tokens of text, "
            f"{committed} of {len(self.token_ids_G)} positions committed, NFE {self.nfe})"
        )


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A finished text and how it was decoded. A notebook shows it in colour."""

    text: str
    """Up to the first end-of-sequence or end-of-turn."""
    pieces: Sequence[str] = field(repr=False)
    """What each generated position adds to the text of the canvas; as many as the trajectory has positions, and "" at
    those that were never committed. Those of the text join to it."""
    trajectory: Trajectory

    def to_frame(self) -> pd.DataFrame:
        """One row a committed position, in the columns of a run's token table (`Run.tokens`).

        Returns:
            problem_id, sample_index, position (from 0), token_id, piece (the text that the token adds), in_text (before
            the end of the text), commit_step (from 0), entropy (nats, at commit), prob (of the token at commit), rank
            (0 is the likeliest token), top_prob, eligible_entropy, frontier_step (when it became the leftmost mask; -1
            if never), frontier_entropy, passes (steps at which it was passed over while it was the leftmost mask).
        """
        import pandas as pd

        of = self.trajectory
        positions = np.flatnonzero(of.commit_step_G >= 0)
        named = {
            "problem_id": pd.Categorical([of.problem_id] * len(positions), categories=[of.problem_id]),
            "sample_index": np.full(len(positions), of.sample_index, dtype=np.int32),
            "position": positions.astype(np.int32),
            "token_id": of.token_ids_G[positions],
            "piece": pd.Categorical([self.pieces[position] for position in positions.tolist()]),
            "in_text": positions < of.length,
        }
        return pd.DataFrame({**named, **{name: getattr(of, f"{name}_G")[positions] for name in _MEASURED}})

    def __repr__(self) -> str:
        return f"Sample({shortened(self.text, 60)!r}: {self.trajectory.length} tokens, NFE {self.trajectory.nfe})"

    def _repr_html_(self) -> str:
        of, shown = self.trajectory, slice(0, self.trajectory.length)
        committed_G = of.commit_step_G >= 0
        notes = [
            f"{piece!r}: step {step}, entropy {entropy:.3f} nats, rank {rank}, passed over {passes} times"
            if step >= 0
            else "never committed"
            for piece, step, entropy, rank, passes in zip(
                self.pieces, of.commit_step_G, of.entropy_G, of.rank_G, of.passes_G, strict=True
            )
        ]
        parts = [
            display.facts({"problem": of.problem_id, "sample": of.sample_index, "tokens": of.length, "NFE": of.nfe})
        ]
        for title, values_G in (("entropy at commit, nats", of.entropy_G), ("commit step", of.commit_step_G)):
            values = np.where(committed_G, values_G.astype(np.float64), np.nan)[shown]
            highest = float(np.nanmax(values, initial=0.0))
            parts.append(display.legend(f"{title} (dotted: passed over)", highest))
            passed = (of.passes_G[shown] > 0).tolist()
            parts.append(display.tokens(self.pieces[shown], values.tolist(), notes[shown], passed, highest=highest))
        return display.block(*parts)


_MEASURED = (
    "commit_step", "entropy", "prob", "rank", "top_prob", "eligible_entropy", "frontier_step", "frontier_entropy",
    "passes",
)  # fmt: skip
"""The measurements of a `Trajectory` in the order of the token table's columns."""


@dataclass(frozen=True, kw_only=True)
class Grade:
    """The verdict on one completion."""

    correct: bool
    extracted: str | None = None
    """The answer that was read from the text; None when there was none."""
    rule: str | None = None
    """Which extraction rule found it."""
    error: str | None = None
    """Why the answer could not be graded (a time-out, an unreadable expression), on one line. Never set when
    correct."""
    verdicts: Mapping[str, bool] = field(default_factory=dict)
    """What else the task says of the text, by name: the names that its class attribute `verdicts` lists."""

    def gives(self, verdict: str) -> bool:
        """A verdict by its name: `correct`, or one of `verdicts`. Raises KeyError for another."""
        return self.correct if verdict == CORRECT else self.verdicts[verdict]

    def __post_init__(self) -> None:
        # What a model or its program said is foreign text: here it becomes such that any file and terminal can take it.
        for name, safe in (("extracted", encodable), ("rule", one_line), ("error", one_line)):
            if isinstance(text := getattr(self, name), str) and text:
                object.__setattr__(self, name, safe(text))
        require_types(self, owner="Grade.")


@dataclass(frozen=True, kw_only=True)
class SamplingEffort:
    """What it took to sample: totals of a run, or of a part of it."""

    samples: int = 0
    """Finished samples that the other numbers are about."""
    seconds: float = 0.0
    """Wall-clock time inside the sampler; grading and writing are left out."""
    evaluations: int = 0
    """Mask-predictor evaluations that the samples asked for."""
    distinct: int = 0
    """Evaluations that were computed, after equal canvases were merged."""

    @property
    def saved(self) -> float | None:
        """The share of evaluations that merging saved, a fraction; None when nothing was evaluated."""
        return 1 - self.distinct / self.evaluations if self.evaluations else None

    @property
    def samples_per_second(self) -> float | None:
        """None when nothing was sampled."""
        return self.samples / self.seconds if self.seconds else None


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run: everything that decides which samples come out. The Python API, the command line and config.json."""

    model: str = ""
    """Bundled name, short name, folder or hub id. Without one: `forks` for the task `forks`, `tiny` for other tasks."""
    task: str = ""
    """`name` or `name:param=value,...`. Without one: `forks` for the model `forks`, `word-problems` for others."""
    order: str = "ar"
    """`name` or `name:param=value,...`."""
    attention: str | None = None
    """The attention rule that the model was trained with, where its files do not say it: `full`, or `block-causal:32`
    for blocks of 32 positions."""
    adapter: str | None = None
    """A LoRA adapter to merge into the model's weights: a folder that peft saved, or a hub id."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    num_samples: int = 16
    """Samples per problem: the n of Pass@k."""
    limit: int | None = None
    """Use only this many problems, the first ones; None takes all."""
    prompt_date: str = PROMPT_DATE
    """The date (2026-01-31) or time (2026-01-31T09:30) that a chat template gets when it asks for the present one. It
    is a setting so that equal settings give equal prompts on any day."""

    def __post_init__(self) -> None:
        require_types(self)
        # The bundled models know their own tasks only, so each of the two says what the other is unless it is given.
        model = self.model or ("forks" if self.task.partition(":")[0].strip() in ("", "forks") else "tiny")
        task = self.task or ("forks" if model == "forks" else "word-problems")
        object.__setattr__(self, "model", model)
        object.__setattr__(self, "task", task)
        require(
            _is_date(self.prompt_date),
            f"prompt_date must be a date or time such as 2026-01-31 or 2026-01-31T09:30, not {self.prompt_date!r}",
        )
        _require_range("num_samples", self.num_samples, 1, MOST)
        _require_range("limit", self.limit, 1, MOST)


def _is_date(text: str) -> bool:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return False
    return text in (moment.date().isoformat(), moment.isoformat(timespec="minutes"))


def _require_range(name: str, value: int | None, least: int, most: int | None = None) -> None:
    """Refuse a number outside a range; None is no number."""
    require(value is None or value >= least, f"{name} must be at least {least}, not {value}")
    require(value is None or most is None or value <= most, f"{name} must be at most {most}, not {value}")
