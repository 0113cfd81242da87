"""Estimates equal a calculation by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from safetensors.numpy import save_file

from flexeval.errors import InputError
from flexeval.records import RunConfig, SamplingConfig
from flexeval.reproduce.estimate import (
    Machine,
    count_parameters,
    count_problems,
    estimate,
)
from flexeval.runs.timing import evaluations_per_sample
from flexeval.tasks import get_task


def config(order="ar", **sampling):
    return RunConfig(order=order, num_samples=128, limit=1000, sampling=SamplingConfig(**sampling))


def test_gpu_hours_by_hand():
    """8e9 parameters, 200 + 256 tokens, 256 evaluations, 128,000 samples: 2.39e20 operations. An H100 at 40 % makes
    3.956e14 a second: 604,400 seconds."""
    cost = estimate(
        config(gen_length=256), samples=128_000, parameters=8e9, machine=Machine(utilization=0.4, prompt_tokens=200)
    )
    assert cost.samples == 128_000
    assert cost.evaluations == 32_768_000
    operations = 2 * 8e9 * 456 * 32_768_000
    assert operations == pytest.approx(2.3908e20, rel=1e-4)
    assert cost.operations == operations
    assert cost.gpu_hours == pytest.approx(operations / 3.956e14 / 3600)
    assert cost.gpu_hours == pytest.approx(167.9, abs=0.1)


@pytest.mark.parametrize(
    ("run", "evaluations"),
    [
        (config(gen_length=256), 256),
        (config("confidence", gen_length=256, steps=64, block_length=32), 64),
        (config("confidence", gen_length=48, tokens_per_step=3, block_length=32), 11 + 6),
        (config("parallel-4", gen_length=48, block_length=30), 8 + 5),
        (config("eb", gen_length=48), 48),
        (config("confidence", gen_length=48, cfg_scale=1.5), 96),
        (config("entropy", gen_length=32, schedule="dream", steps=8), 8),
    ],
)
def test_evaluations_of_a_sample(run, evaluations):
    assert evaluations_per_sample(run) == evaluations


def test_an_unknown_size_costs_unknown_hours():
    assert estimate(config(), samples=1, parameters=None, machine=Machine()).gpu_hours is None
    assert count_parameters("llada-8b-instruct", {}) is None
    assert count_parameters("llada-8b-instruct", {"llada-8b-instruct": 8e9}) == 8e9


def test_parameters_are_counted_where_the_weights_are(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    weights = {"a": np.zeros((3, 5), np.float16), "b": np.zeros(7, np.float32)}
    save_file(weights, tmp_path / "model.safetensors")
    assert count_parameters(str(tmp_path), {}) == 22
    for bundled in ("tiny", "forks", "tiny-block"):
        assert 5e5 < count_parameters(bundled, {}) < 5e6


def test_problems_are_the_limit_or_all_and_a_hub_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.delenv("FLEXEVAL_DATA_DIR", raising=False)
    task = get_task("sudoku4:size=17")
    for limit, problems in ((1000, 17), (17, 17), (5, 5), (None, 17)):
        assert count_problems(dataclasses.replace(config(), limit=limit), task) == problems
    assert count_problems(config(), get_task("gsm8k")) == 1000
    with pytest.raises(InputError, match="no GSM8K test in"):
        count_problems(config(), get_task("gsm8k", data_dir=tmp_path))


@pytest.mark.parametrize(
    ("setting", "value"), [("utilization", 0), ("utilization", 30.0), ("peak_tflops", 0), ("prompt_tokens", -1)]
)
def test_impossible_machines_are_refused(setting, value):
    with pytest.raises(InputError, match=setting):
        Machine(**{setting: value})
