"""How many positions a step commits: LLaDA's even split over blocks, and Dream's linear schedule.

Knows nothing of orders; an adaptive order ignores what this says.
"""

from __future__ import annotations

from functools import lru_cache

from flexeval.records import SamplingConfig

DREAM_EPSILON = 1e-3
"""The time at which Dream's schedule ends."""


@lru_cache(maxsize=256)
def budgets(config: SamplingConfig, block_size: int) -> tuple[int, ...]:
    """Commits of each step of a block of `block_size` positions; they sum to `block_size`."""
    if config.schedule == "dream":
        return dream_budgets(block_size, config.steps or block_size)
    if config.steps is not None:
        return even_budgets(block_size, config.steps // (config.gen_length // config.block))
    per_step = config.tokens_per_step or 1
    full, rest = divmod(block_size, per_step)
    return (per_step,) * full + ((rest,) if rest else ())


def even_budgets(positions: int, steps: int) -> tuple[int, ...]:
    """Evenly: n // S per step and one more in the first n % S steps (LLaDA, generate.py, get_num_transfer_tokens)."""
    each, more = divmod(positions, steps)
    return tuple(each + (step < more) for step in range(steps))


def dream_budgets(positions: int, steps: int) -> tuple[int, ...]:
    """int(masks * (1 - s / t)) with t from 1 to 1e-3 in equal parts, all that remain at the last step.

    Dream, generation_utils.py. With steps = positions this is 0, 1, ..., 1, 2: some steps commit nothing.
    """
    times = [1 + (DREAM_EPSILON - 1) * i / steps for i in range(steps + 1)]
    counts: list[int] = []
    masks = positions
    for step in range(steps - 1):
        counts.append(int(masks * (1 - times[step + 1] / times[step])))
        masks -= counts[-1]
    return (*counts, masks)
