"""A plan is the sum of its groups, each run once; the presets can be run; mistakes are found with their line."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

from flexeval.claims.selection import BLOCK, TEMPERATURE
from flexeval.errors import InputError
from flexeval.models import MODELS
from flexeval.reproduce.estimate import count_parameters
from flexeval.reproduce.grid import expand
from flexeval.reproduce.plan import PRESETS, read_plan, read_preset


def read(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return read_plan(path)


def test_a_plan_is_what_its_groups_expand_to(tmp_path):
    plan = read(
        tmp_path,
        """
title: two groups
ks: [4, 1]
defaults: {temperature: 0.6, num_samples: 8}
runs:
  - order: [ar, confidence]
    limit: 10
  - about: more of one of them, and a hotter one
    order: confidence
    temperature: [0.6, 1.0]
    num_samples: 4
    limit: 20
""",
    )
    assert (plan.name, plan.title, plan.ks) == ("mine", "two groups", (1, 4))
    first = expand({"order": ["ar", "confidence"], "num_samples": ["8"], "limit": ["10"]})
    (hot,) = expand({"order": ["confidence"], "temperature": ["1.0"], "num_samples": ["4"], "limit": ["20"]})
    assert plan.configs == (first[0], dataclasses.replace(first[1], limit=20), hot)


def test_written_out_and_read_again_a_plan_is_the_same(tmp_path):
    plan = read_preset("tiny", quick=True)
    groups = []
    for config in plan.configs:
        settings = {**dataclasses.asdict(config), **dataclasses.asdict(config.sampling)}
        del settings["sampling"]
        groups.append(settings)
    assert read(tmp_path, yaml.safe_dump({"runs": groups})).configs == plan.configs


def test_models_come_one_after_the_other(tmp_path):
    plan = read(tmp_path, "runs:\n  - {model: [a/b, c/d], order: ar}\n  - {model: [a/b, c/d], order: random}\n")
    assert [(config.model, config.order) for config in plan.configs] == [
        ("a/b", "ar"), ("a/b", "random"), ("c/d", "ar"), ("c/d", "random"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("runs: [", "not YAML"),
        ("- 1", "expected names with values"),
        ("title: no runs", "a plan needs runs"),
        ("runs: ar", "line 1: expected a list"),
        (
            "runs:\n  - order: ar\n    temprature: 0.6",
            "line 2: unknown setting: 'temprature'. Did you mean 'temperature'",
        ),
        ("runs:\n  - order: ar\n  - order: confidenc", "line 3: unknown order: 'confidenc'"),
        ("runs:\n  - order: ar\n    order: random", "line 3: 'order' is given twice"),
        ("runs:\n  - order: {a: 1}", "line 2: a setting has one value"),
        ("rns: []\nruns: []", "line 1: unknown entry: 'rns'. Did you mean 'runs'"),
        ("ks: [0]\nruns:\n  - order: ar", "line 1: ks are whole numbers"),
        ("parameters: {a: b}\nruns:\n  - order: ar", "line 1: parameters are sizes"),
        ("runs:\n  - {order: ar, block_length: 99}", "line 2: block_length 99 is longer"),
    ],
)
def test_mistakes_are_found_with_their_line(tmp_path, text, said):
    with pytest.raises(InputError) as refused:
        read(tmp_path, text)
    assert "mine.yaml" in str(refused.value)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_unknown_presets_and_files_answer_with_what_there_is(tmp_path):
    with pytest.raises(InputError, match="Did you mean 'tiny'"):
        read_preset("tinny", quick=False)
    with pytest.raises(InputError, match="there is no plan"):
        read_plan(tmp_path / "none.yaml")


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("preset", PRESETS)
def test_presets_can_be_run_and_estimated(preset, quick):
    plan = read_preset(preset, quick=quick)
    assert plan.title and plan.description
    for config in plan.configs:
        assert config.model in MODELS
        assert config.limit is not None
        assert count_parameters(config.model, plan.parameters)
    assert all(k <= max(config.num_samples for config in plan.configs) for k in plan.ks)


def test_the_tiny_plan_stays_within_its_time():
    """At 10 word problems and 80 Sudokus a second (two slow cores): within 100 minutes, and within 4 quickly."""
    for quick, minutes in ((False, 100), (True, 4)):
        seconds = sum(
            config.num_samples * (config.limit or 0) / (80 if config.task == "sudoku4" else 10)
            for config in read_preset("tiny", quick=quick).configs
        )
        assert seconds / 60 < minutes


def test_the_tiny_plan_has_the_runs_of_every_claim():
    """At the paper's settings: the orders that claims compare; block lengths; a hot run; both kinds of task."""
    configs = read_preset("tiny", quick=False).configs
    plain = {
        config.order
        for config in configs
        if config.task == "word-problems"
        and (config.sampling.temperature, config.sampling.block) == (TEMPERATURE, BLOCK)
    }
    assert {"ar", "confidence", "top_prob", "egi"} <= plain
    of_confidence = [config for config in configs if (config.task, config.order) == ("word-problems", "confidence")]
    assert {1, 8, BLOCK} <= {config.sampling.block for config in of_confidence}
    assert max(config.sampling.temperature for config in of_confidence) >= 1
    assert {"ar", "confidence"} <= {config.order for config in configs if config.task == "sudoku4"}
