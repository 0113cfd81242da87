"""Settings that contradict themselves are refused with what to write instead."""

from __future__ import annotations

import pytest

from flexeval.errors import InputError
from flexeval.records import RunConfig, SamplingConfig


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"gen_length": 0}, "gen_length must be at least 1"),
        ({"block_length": 0}, "block_length must be at least 1"),
        ({"gen_length": 16, "block_length": 32}, "use at most 16"),
        ({"temperature": -0.1}, ">= 0"),
        ({"temperature": float("nan")}, ">= 0"),
        ({"temperature": float("inf")}, ">= 0"),
        ({"top_p": 0.0}, "(0, 1]"),
        ({"top_p": 1.5}, "(0, 1]"),
        ({"top_k": -1}, "at least 0"),
        ({"cfg_scale": -1.0}, ">= 0"),
        ({"steps": 4, "tokens_per_step": 2}, "give one of them"),
        ({"steps": 0}, "at least 1"),
        ({"gen_length": 16, "steps": 17}, "use at most 16"),
        ({"tokens_per_step": 0}, "at least 1"),
        ({"gen_length": 20, "block_length": 8, "steps": 10}, "not a multiple of block_length 8"),
        ({"gen_length": 32, "block_length": 8, "steps": 10}, "use 8"),
        ({"gen_length": 32, "block_length": 8, "steps": 3}, "use 4"),
        ({"schedule": "dream", "block_length": 8}, "leave block_length out"),
        ({"schedule": "dream", "tokens_per_step": 2}, "takes steps"),
    ],
)
def test_sampling_settings(settings, says):
    with pytest.raises(InputError) as refusal:
        SamplingConfig(**settings)
    assert says in str(refusal.value) and "\n" not in str(refusal.value)


def test_the_block_in_force():
    assert SamplingConfig().block == 32
    assert SamplingConfig(gen_length=20).block == 20
    assert SamplingConfig(gen_length=20, block_length=7).block == 7
    assert SamplingConfig(gen_length=64, schedule="dream").block == 64


@pytest.mark.parametrize("settings", [{"num_samples": 0}, {"limit": 0}])
def test_run_settings(settings):
    with pytest.raises(InputError, match="at least 1, not 0"):
        RunConfig(**settings)
