"""How many positions a step commits: LLaDA's even split over blocks, and Dream's linear schedule.

Knows nothing of orders. An adaptive order ignores the schedule.
"""

from __future__ import annotations

from functools import lru_cache

from flexeval.records import SamplingConfig

DREAM_EPSILON = 1e-3
"""The time at which Dream's schedule ends."""


def num_steps(config: SamplingConfig, block_size: int) -> int:
    """Steps of a block of `block_size` positions."""
    if config.schedule == "dream":
        return config.steps or block_size
    return len(_even_counts(config, block_size))


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
    return _even_counts(config, block_size)[step]


@lru_cache(maxsize=256)
def _even_counts(config: SamplingConfig, block_size: int) -> tuple[int, ...]:
    if config.steps is not None:
        return even_counts(block_size, config.steps // (config.gen_length // config.block))
    per_step = config.tokens_per_step or 1
    full, rest = divmod(block_size, per_step)
    return (per_step,) * full + ((rest,) if rest else ())


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
