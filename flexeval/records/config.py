"""What decides which samples come out: the settings of a run, and of its sampler."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from flexeval.fields import require, require_float32, require_types
from flexeval.records.problem import PROMPT_DATE, require_date

MOST = 2**31 - 1
"""Of anything that is counted: what the token rows number samples with."""
LARGEST_BATCH = 2**16
"""Samples in flight at most: each has its canvas and its record in memory."""
MOST_POSITIONS = 2**24 - 1
"""Generated positions that have random numbers of their own."""
PACE = ("steps", "tokens_per_step", "steps_per_block")
"""The settings that say how many tokens a step commits; one of them at most is given."""
APPROXIMATE = ("prefix", "dual")
"""The kinds of cache that change samples; see `SamplingConfig.cache`."""


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How a canvas is filled, apart from the decoding order. Names as in LLaDA's `generate`."""

    gen_length: int = 256
    """Generated positions of a canvas."""
    block_length: int | None = None
    """Semi-autoregressive block; None stands for min(32, gen_length), the paper's block, or for the model's own where
    that is shorter."""
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
    """Score as if end-of-sequence and end-of-turn had probability zero, and all others the same where nothing else is
    left; which tokens are drawn does not change."""
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
        """Positions that a step commits, as asked for: the last step of a block may have fewer, and a schedule that is
        not even has other numbers. An adaptive order decides it itself.
        """
        if self.tokens_per_step is not None:
            return self.tokens_per_step
        if self.steps_per_block is not None:
            return self.block / self.steps_per_block
        return self.gen_length / (self.steps or self.gen_length)

    @property
    def unusual(self) -> list[str]:
        """The settings that are not at their defaults, in words; without canvas, temperature, pace and seed."""
        named = ("gen_length", "block_length", "temperature", "seed", *PACE)
        return [
            f"{each.name} {value}"
            for each in fields(self)
            if each.name not in named and (value := getattr(self, each.name)) != each.default
        ]

    @property
    def pace(self) -> str:
        """The same in words."""
        if self.steps is not None:
            return f"{self.steps} step{'s' if self.steps > 1 else ''}"
        if self.steps_per_block is not None:
            return f"{self.steps_per_block} step{'s' if self.steps_per_block > 1 else ''} per block"
        if self.tokens_per_step is not None:
            return f"{self.tokens_per_step} token{'s' if self.tokens_per_step > 1 else ''} per step"
        return "1 token per step unless the order decides"


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run: everything that decides which samples come out. The Python API, the command line and config.json."""

    model: str = ""
    """Bundled name, short name, folder or hub id. Without one: `forks`, or `tiny` for another task than `forks`."""
    task: str = ""
    """`name` or `name:param=value,...`. Without one: `forks`, or `word-problems` for a model other than `forks` and
    `tiny-block`."""
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
        task = self.task or ("forks" if model in ("forks", "tiny-block") else "word-problems")
        object.__setattr__(self, "model", model)
        object.__setattr__(self, "task", task)
        require_date("prompt_date", self.prompt_date)
        _require_range("num_samples", self.num_samples, 1, MOST)
        _require_range("limit", self.limit, 1, MOST)


def _require_range(name: str, value: int | None, least: int, most: int | None = None) -> None:
    """Refuse a number outside a range; None is no number."""
    require(value is None or value >= least, f"{name} must be at least {least}, not {value}")
    require(value is None or most is None or value <= most, f"{name} must be at most {most}, not {value}")
