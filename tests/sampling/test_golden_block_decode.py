"""Decodes equal those of the families' own public code: token for token, step for step, and in their evaluations."""

from __future__ import annotations

import math
from typing import Any

import golden_vectors
import numpy as np
import pytest

from flexeval.orders import get_order
from flexeval.records import SamplingConfig, Trajectory
from flexeval.sampling import Sampler, SampleRequest

FAMILIES = [family for family in golden_vectors.FAMILIES if family not in (*golden_vectors.FIRST, "llada2.1_moe")]
DECODES = {family: golden_vectors.decodes_of(family)["decode"] for family in FAMILIES}
CASES = [(family, number) for family in FAMILIES for number in range(len(DECODES[family]))]
GREEDY = {"temperature": 0.0, "logits_mask_inf": False, "stop_at_eos": False}


def decoded(case: dict[str, Any]) -> int:
    """Generated positions that were decoded: all, or up to the end of the block where the published loop stopped."""
    steps = case.get("canvas_commit_step", case["commit_step"])
    return max(sum(step >= 0 for step in row) for row in steps)


def translate(family: str, case: dict[str, Any]) -> tuple[str | None, str, SamplingConfig]:
    """The attention rule to load with, the order and the settings that mean what a loop's parameters mean."""
    params = case["params"]
    length, block = params["gen_length"], params.get("block_length")
    length = decoded(case) if block is not None and "canvas" not in params else length
    settings: dict[str, Any] = {**GREEDY, "gen_length": length, "cfg_scale": params.get("cfg_scale", 0.0)}
    if block is not None:
        settings["block_length"] = min(block, length)
    blocks = None if block is None else math.ceil(params["gen_length"] / block)
    causal = f"block-causal:{block}"

    if family.startswith("a2d"):
        settings |= {"schedule": "dllm", "steps_per_block": min(math.ceil(params["steps"] / blocks), length)}
        return causal, "confidence", SamplingConfig(**settings)
    if family == "sdar":
        rules = {"low_confidence_static": "confidence", "sequential": "ar"}
        rule = params["remasking_strategy"]
        order = rules.get(rule) or f"{rule}:tau={params['confidence_threshold']}"
        return causal, order, SamplingConfig(**settings, steps_per_block=params["denoising_steps"])
    if family == "stable_diffcoder":
        if params["threshold"] is not None:
            return causal, f"threshold:tau={params['threshold']}", SamplingConfig(**settings)
        return causal, "confidence", SamplingConfig(**settings, steps=params["steps"])
    if family == "fast_dllm_v2":
        # Whole blocks from the prompt's tail on, and the first token of the next.
        prompt = len(case["prompt_ids"][0])
        settings |= {"gen_length": params["gen_length"] // block * block - prompt % block + 1, "stop_at_eos": True}
        settings |= {"block_length": params["small_block_length"]}
        return causal, f"low_confidence_dynamic:tau={params['threshold']}", SamplingConfig(**settings)
    if family == "llada2_moe":
        steps = min(params["steps"], params["gen_length"] // params.get("minimal_topk", 1))
        if params.get("eos_early_stop"):
            settings |= {"gen_length": params["gen_length"], "stop_at_eos": True, "block_length": block}
        order = f"low_confidence_dynamic:tau={params['threshold']}"
        return causal, order, SamplingConfig(**settings, steps_per_block=min(steps, settings["block_length"]))
    if family == "llada_moe":
        return None, "confidence", SamplingConfig(**settings, steps=params["steps"])
    if family == "illada":
        if params["canvas"] == "fixed":
            return "full", "confidence", SamplingConfig(**settings, steps=params["steps"])
        settings |= {"gen_length": decoded(case)}
        pace = {"steps_per_block": params["steps_per_block"]}
        return f"full-to-block:{block}", "confidence", SamplingConfig(**settings, **pace)
    if family == "wedlm":
        order = f"threshold:tau={params['threshold']}" if params["threshold"] else "confidence"
        return None, order, SamplingConfig(**settings)
    assert family == "coda"
    order = {"maskgit_plus": "confidence", "topk_margin": "margin", "entropy": "entropy"}[params["alg"]]
    return None, order, SamplingConfig(**settings, steps=params["steps"], schedule="dream", scored="sampled")


def draw(model: Any, order: str, config: SamplingConfig, case: dict[str, Any]) -> list[Trajectory]:
    """The decode of each of a case's rows, all in one batch."""
    masks = case.get("attention_mask") or [[1] * len(ids) for ids in case["prompt_ids"]]
    prompts = [[token for token, kept in zip(*row, strict=True) if kept]
               for row in zip(case["prompt_ids"], masks, strict=True)]  # fmt: skip
    requests = [SampleRequest(problem_id=str(row), sample_index=0, prompt_ids=ids) for row, ids in enumerate(prompts)]
    found = {t.problem_id: t for t in Sampler(model, get_order(order), config).run(requests)}
    return [found[str(row)] for row in range(len(prompts))]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    loaded: dict[tuple[str, str | None], Any] = {}

    def load(family: str, attention: str | None) -> Any:
        if (family, attention) not in loaded:
            loaded[family, attention] = golden_vectors.load(
                family, tmp_path_factory.mktemp("golden"), attention=attention
            )
        return loaded[family, attention]

    return load


@pytest.mark.parametrize(("family", "number"), CASES)
def test_a_decode_is_reproduced(models, family, number):
    case = DECODES[family][number]
    attention, order, config = translate(family, case)
    model = models(family, attention)
    tokens, steps = case.get("canvas_ids", case["generated_ids"]), case.get("canvas_commit_step", case["commit_step"])
    evaluations = case["denoise_calls"] * (2 if config.cfg_scale else 1)
    for row, got in enumerate(draw(model, order, config, case)):
        wanted_tokens, wanted_steps = np.array(tokens[row]), np.array(steps[row])
        committed = wanted_steps >= 0
        ours, when = got.token_ids_G[: len(committed)], got.commit_step_G[: len(committed)]
        np.testing.assert_array_equal(when[committed[: len(when)]], wanted_steps[committed])
        if family == "stable_diffcoder" and case["params"].get("eos_id") is not None:
            # It overwrites what follows the first end of sequence.
            committed &= np.arange(len(committed)) <= np.argmax(wanted_tokens == case["params"]["eos_id"])
        np.testing.assert_array_equal(ours[committed[: len(ours)]], wanted_tokens[committed])
        # Dream's schedule has steps that commit nothing, which we do not evaluate.
        idle = case["denoise_calls"] - len(set(steps[row])) if config.schedule == "dream" else 0
        assert got.nfe == evaluations - idle


def test_a_checkpoint_that_was_made_for_editing_runs_without_it(models):
    """Where LLaDA2.1's own loop edits nothing, ours gives its tokens, without the evaluation that finds nothing to edit
    after every block."""
    family, checked = "llada2.1_moe", 0
    for case in golden_vectors.decodes_of(family)["decode"]:
        if not case["edits"]:
            params = case["params"]
            settings = {**GREEDY, "gen_length": len(case["canvas_ids"][0]), "block_length": params["block_length"]}
            model = models(family, f"block-causal:{params['block_length']}")
            order = f"low_confidence_dynamic:tau={params['threshold']}"
            (got,) = draw(model, order, SamplingConfig(**settings), case)
            np.testing.assert_array_equal(got.token_ids_G, case["canvas_ids"][0])
            steps, rank_G = np.unique(case["canvas_commit_step"][0], return_inverse=True)
            np.testing.assert_array_equal(got.commit_step_G, rank_G)
            assert got.nfe == len(steps)
            checked += 1
    assert checked
