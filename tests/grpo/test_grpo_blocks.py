"""Training under attention rules with blocks: finished prefixes are computed once, and the gradient is that of single
canvases, in float64.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from checkpoints import write_qwen
from grpo_toys import ToyTask, gradients, make_trainer
from test_grpo_gradient import assert_equal

from flexeval import load_model
from flexeval.errors import InputError
from flexeval.grpo import trainer as trainers
from flexeval.grpo.checkpoint import check_trainable, write_model
from flexeval.grpo.objective import group_advantages
from flexeval.models.attention import Attention
from flexeval.models.files import find_checkpoint
from flexeval.models.lineage import Lineage

RULES = {
    "from the prompt": Attention(kind="block-causal", block=3, from_prompt=True),
    "from the answer": Attention(kind="block-causal", block=3),
    "forgets": Attention(kind="block-causal", block=2, forgets=7),
    "full to the block": Attention(kind="full-to-block", block=3),
    "open block": Attention(kind="open-block", block=3),
    "rank": Attention(kind="rank"),
}
TASK = ToyTask(right=lambda problem, text: sum(text.encode()) % 2 == 1)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    model = load_model(str(write_qwen(tmp_path_factory.mktemp("m") / "m", "sdar", block_size=3)), device="cpu")
    # Longer texts are rare with random weights, and so are early ends.
    model.stop_ids = frozenset(range(12))
    model.module.double()
    model.dtype = torch.float64
    return model


def single(monkeypatch):
    """From now on every canvas is computed by itself, whole."""
    monkeypatch.setattr(trainers, "shares_prefixes", lambda *_, **__: False)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("order", ["ar", "random"])
def test_the_gradient_is_that_of_single_canvases(loaded, monkeypatch, rule, order):
    loaded.attention = RULES[rule]
    settings = {
        "rollout_order": order,
        "gen_length": 8,
        "group_size": 4,
        "problems_per_step": 2,
        "loss_positions": "answer" if order == "ar" else "all",
    }
    trainer = make_trainer(copy.deepcopy(loaded), TASK, **settings)
    assert trainer.policy.shared
    rollout = trainer.roll_out(0)
    update = trainer.prepare(rollout, group_advantages(rollout.rewards(wrong=0.0)))
    totals = trainer.accumulate(update)
    assert totals["drift"] / totals["readings"] < 1e-5, "the canvases are those of the rollout"
    shared = gradients(make_trainer(copy.deepcopy(loaded), TASK, **settings))
    few = gradients(make_trainer(copy.deepcopy(loaded), TASK, **settings, tokens_per_forward=30))
    single(monkeypatch)
    alone = gradients(make_trainer(copy.deepcopy(loaded), TASK, **settings))
    assert_equal(shared, alone, tolerance=1e-6)
    assert_equal(few, alone, tolerance=1e-6)


def test_gradient_checkpointing_and_a_reference_give_the_same(loaded, monkeypatch):
    loaded.attention = RULES["from the prompt"]
    found = []
    for settings in ({}, {"gradient_checkpointing": True}):
        model = copy.deepcopy(loaded)
        model.module.train()
        found.append(gradients(make_trainer(model, TASK, gen_length=8, kl=0.1, **settings)))
    assert_equal(found[0], found[1], tolerance=1e-6)


def test_each_prefix_is_computed_once(loaded):
    """Columns of one sample of 9 tokens after a prompt of whole blocks, one token a step."""
    loaded.attention = RULES["from the prompt"]
    model = copy.deepcopy(loaded)
    model.stop_ids = frozenset()
    trainer = make_trainer(model, ToyTask(count=1, right=lambda _, text: sum(text.encode()) % 2 == 1),
                           problems_per_step=1, group_size=2, gen_length=9, tokens_per_forward=10**6)  # fmt: skip
    rollout = trainer.roll_out(0)
    sample = dataclasses.replace(rollout.samples[0], prompt_ids=[5] * 6)
    sample = dataclasses.replace(sample, trajectory=dataclasses.replace(sample.trajectory, prompt_length=6))
    rollout = dataclasses.replace(rollout, samples=[sample] * 2, group_size=2)
    sizes = []
    model.module.model.embed_tokens.register_forward_pre_hook(lambda _, given: sizes.append(given[0].numel()))
    update = trainer.prepare(rollout, np.array([[1.0, -1.0]]))
    trainer.accumulate(update)
    # The text up to its last block, then a block for each of nine canvases.
    assert sizes == [12, 27]


def test_a_trained_model_says_its_rule(tmp_path):
    source = find_checkpoint(str(write_qwen(tmp_path / "m", "sdar", attention_rule="block-causal:4")))
    check_trainable(source)
    model = load_model(source.name, device="cpu")
    lineage = Lineage(base="m", training="t", rollout_order="ar", fast=False, step=1, samples=1, seconds=1.0)
    write_model(tmp_path / "out", model.module.state_dict(), source, lineage)
    assert load_model(str(tmp_path / "out"), device="cpu").attention == model.attention


def test_a_first_token_at_no_step_of_its_own_is_not_trained(tmp_path):
    source = find_checkpoint(str(write_qwen(tmp_path / "m", "Fast_dLLM_Qwen", bd_size=4)))
    with pytest.raises(InputError, match="takes the first token of a block from the block before it"):
        check_trainable(source)
