"""The block that a token is said to be in is the one that the sampler filled."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs_fakes import CONFIG, FakePredictor, FakeTask, make

from flexeval.errors import InputError
from flexeval.models.attention import Attention
from flexeval.records import SamplingConfig
from flexeval.runs.blocks import with_blocks
from flexeval.runs.layout import ConfigFile, check
from flexeval.runs.store import RunSet, pooled
from flexeval.sampling.schedule import windows

RULE = Attention(kind="block-causal", block=4, from_prompt=True)
RULES = [
    Attention(), RULE, Attention(kind="full-to-block", block=5), Attention(kind="open-block", block=4),
    dataclasses.replace(RULE, first_token_apart=True),
]  # fmt: skip


PROMPTS = st.lists(st.integers(0, 9), min_size=1, max_size=4)


@given(st.sampled_from(RULES), st.integers(1, 4), PROMPTS, st.integers(4, 12))
def test_blocks_are_the_windows_of_the_sampler(rule, length, prompts, gen_length):
    """But a first token that is drawn before its block is evaluated belongs to its block."""
    names = pd.Categorical([f"p{place}" for place in range(len(prompts)) for _ in range(gen_length)])
    rows = pd.DataFrame({"problem_id": names, "position": np.tile(np.arange(gen_length), len(prompts))})
    sampling = SamplingConfig(gen_length=gen_length, block_length=length)
    found = with_blocks(rows, prompts, sampling, rule)
    for prompt, (_, own) in zip(prompts, found.groupby("problem_id", observed=True), strict=True):
        expected, block = [], -1
        for before, window in zip([None, *(all_ := windows(sampling, rule, prompt))], all_, strict=False):
            block += not (before and before.free and length > 1)
            expected += [block] * window.size
        assert own["block"].tolist() == expected
        place = own["in_block"].to_numpy()
        assert place.min() >= 0 and place.max() < length
        # One further with each position of a block, and 0 where one begins that the prompt has not begun.
        same = np.diff(own["block"]) == 0
        assert (np.diff(place)[same] == 1).all() and (place[1:][~same] == 0).all()
        if rule.block and rule.block % length == 0:
            tail = prompt if rule.from_prompt else 0
            assert place.tolist() == [(tail + position) % rule.block % length for position in range(gen_length)]


def test_a_run_remembers_how_its_model_attends(tmp_path: Path) -> None:
    """Prompts of six tokens and of seven, in blocks of four from the prompt's start."""
    config = dataclasses.replace(CONFIG, task="runs-fake:size=12", limit=12)
    run = make(config, tmp_path, predictor=FakePredictor(attention=RULE), task=FakeTask(size=12))
    assert run.attention == RULE
    tokens = run.tokens(["problem_id", "position", "block", "in_block"])
    prompt_R = tokens["problem_id"].map(run.problems.set_index("problem_id")["prompt_length"]).to_numpy(int)
    assert set(prompt_R) == {6, 7}
    assert tokens["block"].tolist() == ((prompt_R + tokens["position"]) // 4 - prompt_R // 4).tolist()
    assert tokens["in_block"].tolist() == ((prompt_R + tokens["position"]) % 4).tolist()
    # Columns come as they were asked for, in parts and for words too.
    assert list(run.tokens(["in_block"])) == ["in_block"]
    assert [list(part) for part in run.word_parts(["in_block"])] == [["problem_id", "word", "connector", "in_block"]]
    with pytest.raises(InputError, match="in_block"):
        run.tokens(["in_blok"])


def test_runs_of_earlier_versions_are_read_and_pooled_with_later_ones(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, sampling=dataclasses.replace(CONFIG.sampling, seed=1))
    later, earlier = make(CONFIG, tmp_path / "later"), make(config, tmp_path / "earlier")
    without = dataclasses.replace(earlier, record={k: v for k, v in earlier.record.items() if k != "attention_rule"})
    assert without.attention == later.attention == Attention()
    assert len(pooled(RunSet((later, without)))) == 1


@pytest.mark.parametrize("rule", [{"kind": "full"}, {**dataclasses.asdict(RULE), "kind": "half"}, "full", [], 4])
def test_a_damaged_rule_is_refused(tmp_path: Path, rule: object) -> None:
    values = json.loads((make(CONFIG, tmp_path).folder / "config.json").read_text())
    check(ConfigFile, values, where="config.json")
    with pytest.raises(InputError, match="attention_rule"):
        check(ConfigFile, {**values, "attention_rule": rule}, where="config.json")
