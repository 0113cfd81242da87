"""Schedules against the published formulas."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flexeval.errors import InputError
from flexeval.records import SamplingConfig
from flexeval.sampling.schedule import budget, dream_count, even_counts, num_steps


@given(st.integers(1, 300), st.integers(1, 300))
def test_even_split_is_llada_s(positions, steps):
    counts = even_counts(positions, steps)
    assert sum(counts) == positions and len(counts) == steps
    assert max(counts) - min(counts) <= 1
    assert list(counts) == sorted(counts, reverse=True)


def counts_of(config, block):
    """What each step of a block commits when every commit succeeds."""
    counts = []
    for step in range(num_steps(config, block)):
        counts.append(budget(config, block, step, block - sum(counts)))
    return tuple(counts)


@given(st.integers(0, 300), st.integers(1, 300), st.data())
def test_dream_s_schedule_is_its_formula(masks, steps, data):
    step = data.draw(st.integers(0, steps - 1))
    times = torch.linspace(1, 1e-3, steps + 1)
    expected = masks if step == steps - 1 else int(masks * (1 - times[step + 1] / times[step]))
    assert dream_count(masks, step, steps) == expected


def test_dream_s_schedule_at_one_token_a_step():
    """The sequence that Dream's code gives for steps = gen_length."""
    assert counts_of(SamplingConfig(gen_length=24, schedule="dream"), 24) == (0, *[1] * 22, 2)


@pytest.mark.parametrize(
    ("settings", "block", "expected"),
    [
        ({"gen_length": 8}, 8, (1,) * 8),
        ({"gen_length": 32, "block_length": 8, "steps": 12}, 8, (3, 3, 2)),
        ({"gen_length": 10, "block_length": 4, "tokens_per_step": 3}, 4, (3, 1)),
        ({"gen_length": 10, "block_length": 4, "tokens_per_step": 3}, 2, (2,)),
        ({"gen_length": 7, "block_length": 4, "steps_per_block": 2}, 4, (2, 2)),
        ({"gen_length": 7, "block_length": 4, "steps_per_block": 2}, 3, (2, 1)),
        ({"gen_length": 16, "block_length": 8, "steps": 5, "schedule": "dllm"}, 8, (3, 2, 3)),
    ],
)
def test_budgets_of_a_block(settings, block, expected):
    assert counts_of(SamplingConfig(**settings), block) == expected


@given(
    gen_length=st.integers(1, 64),
    block_length=st.one_of(st.none(), st.integers(1, 64)),
    steps=st.one_of(st.none(), st.integers(1, 64)),
    tokens_per_step=st.one_of(st.none(), st.integers(1, 9)),
)
def test_every_accepted_setting_fills_every_block_exactly(gen_length, block_length, steps, tokens_per_step):
    try:
        config = SamplingConfig(
            gen_length=gen_length, block_length=block_length, steps=steps, tokens_per_step=tokens_per_step
        )
    except InputError as refusal:
        assert "\n" not in str(refusal)
        return
    ends = [*range(config.block, gen_length, config.block), gen_length]
    counts = [counts_of(config, end - start) for start, end in zip([0, *ends], ends, strict=False)]
    assert [sum(count) for count in counts] == [end - start for start, end in zip([0, *ends], ends, strict=False)]
    if steps is not None:
        assert sum(map(len, counts)) == steps
