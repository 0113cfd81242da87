"""Which positions are filled together, and how many of them a step commits: LLaDA's even split over blocks, Dream's
linear schedule, and dLLM's rounded one.

Knows nothing of orders. An adaptive order ignores the counts.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from flexeval.errors import InputError
from flexeval.models.attention import Attention
from flexeval.records import SamplingConfig

DREAM_EPSILON = 1e-3
"""The time at which Dream's schedule ends."""


# ----- which positions -----


@dataclass(frozen=True, kw_only=True)
class Window:
    """Positions that are filled together, before any to their right."""

    end: int
    """The generated position after its last."""
    size: int
    free: bool = False
    """It is decided by what stands before it alone: not by an evaluation of its block, and so none is counted."""


def fit_block(config: SamplingConfig, attention: Attention, *, name: str) -> SamplingConfig:
    """The settings with a block length that fits the blocks of a model's attention rule.

    Args:
        config: settings. Without a block length, the model's own is taken, but at most the default.
        attention: the model's rule.
        name: of the model, for messages.

    Raises:
        InputError: a block that is longer than the model's.
    """
    if attention.block is None or config.block <= attention.block:
        return config
    if config.schedule == "dream":
        raise InputError(
            f"schedule 'dream' fills the whole canvas at once, but {name!r} attends by blocks of {attention.block}; "
            "use another schedule"
        )
    if config.block_length is not None:
        raise InputError(
            f"block_length {config.block_length} is longer than the blocks of {attention.block} that {name!r} attends "
            f"by; use at most {attention.block}"
        )
    return dataclasses.replace(config, block_length=attention.block)


@lru_cache(maxsize=4096)
def windows(config: SamplingConfig, attention: Attention, prompt_length: int) -> tuple[Window, ...]:
    """The windows of a canvas, from left to right.

    They are the blocks of `config` within the blocks that the model attends by, counted from where these begin; of one
    that the prompt's tail has begun, what is left. A first token that is apart is a window of its own.
    """
    starts = attention.filled_blocks(prompt_length, config.gen_length, config.block)
    free: set[int] = set()
    if attention.first_token_apart:
        begun = [] if attention.shared(prompt_length) else [0]
        free = {place + 1 for place in (*begun, *attention.block_ends(prompt_length, config.gen_length)[:-1])}
    ends = sorted({0, config.gen_length, *free, *(place for place in starts if place > 0)})
    return tuple(Window(end=end, size=end - start, free=end in free) for start, end in pairwise(ends))


# ----- how many -----


def num_steps(config: SamplingConfig, block_size: int) -> int:
    """Steps of a block of `block_size` positions."""
    if config.schedule == "dream":
        return config.steps or block_size
    return len(_counts(config, block_size))


def budget(config: SamplingConfig, block_size: int, step: int, masks: int) -> int:
    """How many positions one step of a block commits (LLaDA's num_transfer_tokens); may be 0 in Dream's schedule.

    Args:
        config: schedule, steps or tokens per step.
        block_size: positions of the block.
        step: 0-based, within the block.
        masks: positions that are still masked. Dream's schedule takes a share of them; LLaDA's is fixed when the block
            begins.
    """
    if config.schedule == "dream":
        return dream_count(masks, step, config.steps or block_size)
    return _counts(config, block_size)[step]


@lru_cache(maxsize=256)
def _counts(config: SamplingConfig, block_size: int) -> tuple[int, ...]:
    blocks = -(-config.gen_length // config.block)
    if config.schedule == "dllm":
        each = -(-config.steps // blocks) if config.steps is not None else config.steps_per_block
        return rounded_counts(block_size, each or block_size)
    if config.steps is not None:
        return even_counts(block_size, config.steps // blocks)
    if config.steps_per_block is not None:
        return _first_of(even_counts(config.block, config.steps_per_block), block_size)
    per_step = config.tokens_per_step or 1
    full, rest = divmod(block_size, per_step)
    return (per_step,) * full + ((rest,) if rest else ())


def _first_of(counts: tuple[int, ...], positions: int) -> tuple[int, ...]:
    """As many of the counts of a whole block as a shorter one has room for."""
    taken: list[int] = []
    for count in counts:
        if positions > sum(taken):
            taken.append(min(count, positions - sum(taken)))
    return tuple(taken)


def even_counts(positions: int, steps: int) -> tuple[int, ...]:
    """Split evenly: n // S a step, one more in the first n % S steps (LLaDA, generate.py, get_num_transfer_tokens)."""
    each, more = divmod(positions, steps)
    return tuple(each + (step < more) for step in range(steps))


def dream_count(masks: int, step: int, steps: int) -> int:
    """int(masks * (1 - s / t)) with t from 1 to 1e-3 in equal parts; all that remain at the last step.

    Dream, generation_utils.py. With steps = gen_length this gives 0, 1, ..., 1, 2.
    """
    if step == steps - 1:
        return masks
    width = (1 - DREAM_EPSILON) / steps
    return int(masks * (width / (1 - step * width)))


def rounded_counts(positions: int, steps: int) -> tuple[int, ...]:
    """round(left * (1 - s / t)) of what is left, halves to even, with t from 1 to 0 in equal parts; steps that would
    commit nothing are left out.

    dLLM, dllm/core/samplers/utils.py. It computes 1 - s / t from float32 numbers, which turns some halves downwards.
    """
    counts, one = [], np.float32(1)
    for number in range(steps):
        later, now = (np.float32((steps - number - gone) / steps) for gone in (1, 0))
        share = 1 - float((one - (one - later)) / (one - (one - now)))
        counts.append(min(positions, round(positions * share)))
        positions -= counts[-1]
    return tuple(count for count in counts if count)
