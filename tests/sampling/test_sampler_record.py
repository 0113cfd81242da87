"""The batched sampler and its record equal the plain one-sample loop of `naive.py`, field by field."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import RandomOracle
from precision import UNIT, UNITS

from flexeval.orders import get_order
from flexeval.records import SamplingConfig
from flexeval.sampling import Sampler, SampleRequest

from naive import naive_sample  # isort: skip

PROMPTS = {"a": [1, 2, 3], "b": [4], "c": [], "d": [2, 2, 5, 1, 0, 3]}

CASES = {
    "ar": ("ar", {}),
    "ar, two a step": ("ar", {"tokens_per_step": 2, "block_length": 5}),
    "confidence": ("confidence", {}),
    "confidence, blocks": ("confidence", {"block_length": 4}),
    "confidence, few steps": ("confidence", {"block_length": 6, "steps": 4}),
    "confidence, no end in sight": ("confidence", {"confidence_eos_eot_inf": True}),
    "confidence, nothing but the end": (
        "confidence",
        {"confidence_eos_eot_inf": True, "scored": "sampled", "top_p": 0.5, "stop_at_eos": False},
    ),
    "entropy, nothing but the end": (
        "entropy",
        {"confidence_eos_eot_inf": True, "scored": "sampled", "top_k": 1, "tokens_per_step": 2},
    ),
    "confidence, never ends": ("confidence", {"logits_eos_inf": True}),
    "confidence, full length": ("confidence", {"stop_at_eos": False, "block_length": 4}),
    "confidence, greedy": ("confidence", {"temperature": 0.0}),
    "top_prob": ("top_prob", {"block_length": 6}),
    "margin": ("margin", {}),
    "entropy": ("entropy", {"temperature": 1.3}),
    "entropy, as Dream": ("entropy", {"schedule": "dream", "steps": 12, "scored": "sampled", "top_p": 0.9}),
    "confidence, as Dream": ("confidence", {"schedule": "dream", "steps": 5, "scored": "sampled", "top_k": 3}),
    "random": ("random", {"block_length": 6}),
    "permutation": ("permutation:seed=2", {}),
    "egi": ("egi", {}),
    "egi, the mask may be drawn": ("egi", {"logits_mask_inf": False}),
    "egi, guided": ("egi", {"cfg_scale": 0.7}),
    "parallel": ("parallel-3", {"block_length": 5}),
    "threshold": ("threshold:tau=0.5", {"block_length": 6}),
    "factor": ("factor", {}),
    "eb": ("eb:gamma=1.5", {}),
    "eb, margin": ("eb:gamma=1.5,proxy=margin", {"block_length": 6}),
    "fork": ("fork:tau=0.6", {}),
    "the mask may be drawn": ("confidence", {"logits_mask_inf": False, "block_length": 4}),
    "the mask may be drawn, in parallel": ("parallel-2", {"logits_mask_inf": False, "block_length": 4}),
    "the mask may be drawn, in AR order": ("ar", {"logits_mask_inf": False, "block_length": 4}),
}


def two_ends():
    """An oracle of which two tokens end a text, as LLaDA's models have."""
    oracle = RandomOracle(words=7, eos_bonus=0.5)
    oracle.stop_ids = frozenset({oracle.eos_id, 3})
    return oracle


@pytest.mark.parametrize("case", CASES)
def test_the_record_is_that_of_the_plain_loop(case):
    spec, settings = CASES[case]
    oracle, order = two_ends(), get_order(spec)
    config = SamplingConfig(**{"gen_length": 12, "temperature": 0.8, "seed": 5, **settings})
    requests = [SampleRequest(problem_id=name, sample_index=i, prompt_ids=prompt)
                for name, prompt in PROMPTS.items() for i in range(3)]  # fmt: skip
    trajectories = list(Sampler(oracle, order, config, batch_size=5).run(requests))

    assert sorted((t.problem_id, t.sample_index) for t in trajectories) == sorted(
        (request.problem_id, request.sample_index) for request in requests
    )
    for got in trajectories:
        want = naive_sample(oracle, order, config, got.problem_id, got.sample_index, PROMPTS[got.problem_id])
        assert got.prompt_length == len(PROMPTS[got.problem_id])
        for name, value in want.items():
            np.testing.assert_allclose(
                getattr(got, name), value, rtol=UNITS * UNIT, atol=16 * UNIT, err_msg=f"{name} of {got.problem_id}"
            )


def test_the_cases_reach_what_they_are_named_after():
    """At least one sample ends early, one never does, one draws the mask: else the law above is hollow."""
    seen = set()
    for spec, settings in CASES.values():
        oracle = two_ends()
        config = SamplingConfig(**{"gen_length": 12, "temperature": 0.8, "seed": 5, **settings})
        requests = [SampleRequest(problem_id="a", sample_index=i, prompt_ids=[1, 2, 3]) for i in range(3)]
        for trajectory in Sampler(oracle, get_order(spec), config).run(requests):
            masks = trajectory.token_ids_G == oracle.mask_id
            seen.add("early" if masks.any() and config.stop_at_eos else "full")
            seen.add("ended" if trajectory.length < 12 else "endless")
            if masks.any() and not config.logits_mask_inf and trajectory.length == 12:
                seen.add("mask in the text")
    assert seen == {"early", "full", "ended", "endless", "mask in the text"}
