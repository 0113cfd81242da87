"""Decodes equal those of the public reference implementations, token for token and step for step."""

from __future__ import annotations

import golden_vectors
import numpy as np
import pytest

from flexeval.models import load_model
from flexeval.orders import get_order
from flexeval.records import SamplingConfig
from flexeval.sampling import Sampler, SampleRequest

CASES = [
    (family, number)
    for family in ("llada", "dream")
    for number in range(len(golden_vectors.decodes_of(family)["decode"]))
]


@pytest.fixture(scope="module")
def predictors():
    return {family: load_model(str(golden_vectors.folder_of(family)), device="cpu", dtype="float32")
            for family in ("llada", "dream")}  # fmt: skip


def translate(case: dict) -> tuple[str, SamplingConfig]:
    """The order and settings that mean what a reference implementation's parameters mean."""
    algorithm, params = case["algorithm"], dict(case["params"])
    settings = {"temperature": 0.0, "stop_at_eos": False, "logits_mask_inf": False}
    if algorithm.startswith("llada.generate"):
        return "confidence", SamplingConfig(**settings, **params)
    if algorithm.startswith("dream."):
        order = {"maskgit_plus": "confidence", "topk_margin": "margin", "entropy": "entropy"}[params.pop("alg")]
        return order, SamplingConfig(**settings, **params, schedule="dream", scored="sampled")
    params.pop("steps", None)
    if algorithm.startswith("fast-dllm"):
        return f"threshold:tau={params.pop('threshold')}", SamplingConfig(**settings, **params)
    whole = {"block_length": params["gen_length"]}
    return f"eb:gamma={params.pop('gamma')}", SamplingConfig(**settings, **params, **whole)


@pytest.mark.parametrize(("family", "number"), CASES)
def test_a_golden_decode_is_reproduced(predictors, family, number):
    case = golden_vectors.decodes_of(family)["decode"][number]
    spec, config = translate(case)
    rows = len(case["prompt_ids"])
    mask = case.get("attention_mask") or [[1] * len(case["prompt_ids"][0])] * rows
    prompts = [np.array(ids)[np.array(kept) == 1].tolist() for ids, kept in zip(case["prompt_ids"], mask, strict=True)]
    requests = [
        SampleRequest(problem_id=f"row{row}", sample_index=0, prompt_ids=ids) for row, ids in enumerate(prompts)
    ]
    trajectories = {t.problem_id: t for t in Sampler(predictors[family], get_order(spec), config).run(requests)}
    for row in range(rows):
        got = trajectories[f"row{row}"]
        np.testing.assert_array_equal(got.token_ids_G, case["generated_ids"][row])
        np.testing.assert_array_equal(got.commit_step_G, case["commit_step"][row])
