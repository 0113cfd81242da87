"""A plan is the sum of its groups, each run once; the presets can be run; mistakes are found with their line."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml
from published_runs import paper_run

from flexeval import published
from flexeval.errors import InputError
from flexeval.grpo.config import GRPOConfig, read_settings, require_same_training
from flexeval.grpo.problems import canonical_training
from flexeval.models import MODELS
from flexeval.records import SamplingConfig
from flexeval.reproduce.estimate import count_parameters
from flexeval.reproduce.grid import expand
from flexeval.reproduce.plan import PRESETS, read_plan, read_preset
from flexeval.reproduce.trainings import Training, base_model
from flexeval.runs.store import BLOCK, TEMPERATURE
from flexeval.tasks import get_task

TRAININGS = """
trainings:
  ar: {steps: 30, save_every: 10}
runs:
"""


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


def test_trainings_are_what_grpo_would_make_of_the_same_settings(tmp_path):
    (tmp_path / "mine.settings").write_text("task: sudoku4\nsteps: 7\nlearning_rate: 1e-3\n")
    plan = read(
        tmp_path,
        f"""
trainings:
  plain: {{}}
  changed: {{config: {tmp_path}/mine.settings, steps: 9, fast: yes, limit: null, rollout_order: left_to_right}}
runs:
  - {{model: [tiny, changed@9], order: ar}}
""",
    )
    given = {**read_settings(f"{tmp_path}/mine.settings"), "steps": 9, "fast": True, "limit": None}
    wanted = [GRPOConfig(), GRPOConfig(**given, rollout_order="ar")]
    canonical = [canonical_training(config, get_task(config.task))[0] for config in wanted]
    assert plan.trainings == (
        Training(name="plain", config=canonical[0]),
        Training(name="changed", config=canonical[1]),
    )
    assert canonical[1].task.startswith("sudoku4")
    assert [config.model for config in plan.configs] == ["tiny", "changed@9"]


def test_written_out_and_read_again_a_plan_is_the_same(tmp_path):
    plan = read_preset("tiny", quick=True)
    groups = []
    for config in plan.configs:
        settings = {**dataclasses.asdict(config), **dataclasses.asdict(config.sampling)}
        del settings["sampling"]
        groups.append(settings)
    assert read(tmp_path, yaml.safe_dump({"runs": groups})).configs == plan.configs


def test_a_plan_says_which_verdict_counts(tmp_path):
    runs = "runs:\n  - {task: forks, order: ar}\n"
    assert read(tmp_path, runs).verdict == "correct"
    assert read(tmp_path, "verdict: sound\n" + runs).verdict == "sound"


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
        ("runs:\n  - {order: ar, model: ar@10}", "line 2: unknown training: 'ar'. Known: none in this plan"),
        (TRAININGS + "  - model: tiny\n  - model: ra@10", "line 6: unknown training: 'ra'. Known: ar."),
        (TRAININGS + "  - model: ar@15", "line 5: training 'ar' has no checkpoint '15'; it has 10, 20, 30"),
        ("trainings: [ar]\nruns:\n  - order: ar", "line 1: expected names with values"),
        ("trainings:\n  a/b: {}\nruns:\n  - order: ar", "line 2: a training's name has letters"),
        (
            "trainings:\n  ar:\n    stepps: 3\nruns:\n  - order: ar",
            "line 3: unknown setting in training 'ar': 'stepps'. Did you mean 'steps'",
        ),
        ("trainings:\n  ar:\n    steps: many\nruns:\n  - order: ar", "line 3: steps in training 'ar' must be a whole"),
        ("trainings:\n  ar: {group_size: 1}\nruns:\n  - order: ar", "line 2: group_size must be at least 2"),
        ("trainings:\n  ar: {task: math500}\nruns:\n  - order: ar", "line 2: task 'math500' has no training problems"),
        ("trainings:\n  a: {rollout_order: confidence}\nruns:\n  - order: ar", "line 2: order 'confidence' cannot be"),
        ("trainings:\n  a: {config: tinny}\nruns:\n  - order: ar", "line 2: unknown config: 'tinny'. Did you mean"),
        ("trainings: {a: {bf16: true}, b: {}}\nruns:\n  - order: ar", "line 1: the trainings of a plan are all in"),
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
        model = base_model(config.model, plan.trainings)
        assert model in MODELS
        assert config.limit is not None
        assert count_parameters(model, plan.parameters)
    assert all(k <= max(config.num_samples for config in plan.configs) for k in plan.ks)


def test_the_tiny_plan_stays_within_its_time():
    """Samples a second on two slow cores, measured: within 100 minutes, and within 4 quickly."""
    per_second = {"word-problems": 10, "sudoku4": 80, "forks": 80}
    for quick, minutes in ((False, 100), (True, 4)):
        seconds = sum(
            config.num_samples * (config.limit or 0) / per_second[config.task]
            for config in read_preset("tiny", quick=quick).configs
        )
        assert seconds / 60 < minutes


def test_the_tiny_plan_has_the_runs_of_every_claim():
    """At the paper's settings: the orders that claims compare; block lengths; a hot run; both kinds of task. The main
    orders at the models' own temperature, too."""
    configs = read_preset("tiny", quick=False).configs
    for task in ("forks", "word-problems"):
        of_task = [config for config in configs if config.task == task]
        at = {
            temperature: {
                config.order
                for config in of_task
                if (config.sampling.temperature, config.sampling.block) == (temperature, BLOCK)
            }
            for temperature in (TEMPERATURE, 1.0)
        }
        assert {"ar", "confidence", "top_prob", "egi"} <= at[TEMPERATURE]
        assert {"ar", "confidence", "top_prob"} <= at[1.0]
        of_confidence = [config for config in of_task if config.order == "confidence"]
        assert {1, 8, BLOCK} <= {config.sampling.block for config in of_confidence}
        assert max(config.sampling.temperature for config in of_confidence) >= 1
    assert {"ar", "confidence"} <= {config.order for config in configs if config.task == "sudoku4"}


def test_the_quick_training_is_the_beginning_of_the_whole_one():
    """So that the whole plan goes on from it: the same settings, fewer steps."""
    whole, quick = ({each.name: each.config for each in read_preset("forks-grpo", quick=quick).trainings}
                    for quick in (False, True))  # fmt: skip
    for name, config in quick.items():
        require_same_training(dataclasses.asdict(config), whole[name], folder=Path(name))
        assert config.steps < min(whole[name].checkpoint_steps)


def test_the_training_plan_has_the_runs_of_its_comparisons():
    """Before and after in three orders and with several tokens a step; at equal steps, trainings that differ by order;
    three seeds of each reward, equally sampled.
    """
    plan = read_preset("forks-grpo", quick=False)
    by_model = {}
    for config in plan.configs:
        by_model.setdefault(config.model, {})[config.order, config.sampling.temperature] = config
    before, config_of = by_model["forks"], {training.name: training.config for training in plan.trainings}
    for reward, last in (("sound", {("ar", 1.0), ("confidence", 1.0)}), ("answer", set())):
        seeds = [f"{reward}-{seed}" for seed in range(3)]
        one, *others = (dataclasses.replace(config_of[name], seed=0) for name in seeds)
        assert others == [one, one] and [config_of[name].seed for name in seeds] == [0, 1, 2]
        for name in seeds:
            after = by_model[f"{name}@110"]
            assert all(dataclasses.replace(config, model="forks") == before[key] for key, config in after.items())
            paced = {(order, TEMPERATURE) for order in ("top_prob", "parallel-3", "parallel-5", "eb:gamma=0.5")}
            assert {("ar", TEMPERATURE), ("confidence", TEMPERATURE)} | paced | last <= after.keys()
            assert after["ar", TEMPERATURE].num_samples == after["confidence", TEMPERATURE].num_samples == 128
    curves = [own["ar", TEMPERATURE] for own in by_model.values()]
    assert len({(config.task, config.sampling, config.limit) for config in curves}) == 1
    for name, exact, steps in (("random", "sound-0", (55,)), ("fast", "sound-1", (55, 110))):
        same = dataclasses.replace(config_of[name], rollout_order="ar", fast=False, steps=110)
        assert same == config_of[exact]
        assert {f"{one}@{step}" for one in (name, exact) for step in steps} <= by_model.keys()
    assert len([model for model in by_model if model.startswith("fast@")]) == 3


def test_the_plans_of_the_paper_have_its_prompt():
    """d1's where the paper says so; that of its released evaluation elsewhere, and at T = 0, as its checkpoints had."""
    for quick in (False, True):
        for config in read_preset("llada", quick=quick).configs:
            name, _, template = config.task.partition(":template=")
            of_paper = config.sampling.temperature > 0 and name in ("gsm8k", "math500")
            assert template == ("d1" if of_paper else "justgrpo"), config


def test_what_the_paper_plan_samples_can_stand_beside_the_papers_numbers():
    """Whole benchmarks in the paper's setting: nothing differs, where the paper states its setting at all."""
    for config in read_preset("llada", quick=False).configs:
        if config.model == "llada-8b-instruct" and config.order in ("ar", "confidence"):
            sampling = {
                field.name: getattr(config.sampling, field.name) for field in dataclasses.fields(SamplingConfig)
            }
            run = paper_run(config.order, task=config.task, problems=config.limit, **sampling)
            found = published.pass_at_k(run)
            if "d1" in config.task and (config.sampling.temperature, config.sampling.block) == (TEMPERATURE, BLOCK):
                assert len(found.rows)
            else:
                assert found.rows.empty and found.why_none


@pytest.mark.parametrize("task", ["gsm8k:template=d2", "gsm8k:template=none.yaml"])
def test_a_template_that_does_not_exist_is_found_with_its_line(tmp_path, task):
    with pytest.raises(InputError, match=r"mine\.yaml, line 4: (unknown prompt: 'd2'\. Known: .*d1|cannot read)"):
        read(tmp_path, f"runs:\n  - order: ar\n    task: countdown\n  - task: '{task}'\n")
