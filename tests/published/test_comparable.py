"""A published number stands beside a run only where every setting agrees; each setting on its own keeps it away."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from published_runs import SIZES, paper_run

from flexeval import published
from flexeval.models import MODELS
from flexeval.models.lineage import Lineage
from flexeval.published.comparable import IRRELEVANT
from flexeval.records import RunConfig, SamplingConfig
from flexeval.runs.store import Run
from flexeval.tasks import TASKS, get_task
from flexeval.tasks.prompts import D1_GSM8K

CHANGED: dict[str, dict[str, Any]] = {
    "gen_length": {"gen_length": 128},
    "block_length": {"block_length": 64},
    "steps": {"steps": 64},
    "tokens_per_step": {"tokens_per_step": 4},
    "steps_per_block": {"steps_per_block": 16},
    "schedule": {"schedule": "dream"},
    "temperature": {"temperature": 1.0},
    "top_p": {"top_p": 0.5},
    "top_k": {"top_k": 50},
    "scored": {"scored": "sampled"},
    "cfg_scale": {"cfg_scale": 0.5},
    "logits_mask_inf": {"logits_mask_inf": False},
    "logits_eos_inf": {"logits_eos_inf": True},
    "confidence_eos_eot_inf": {"confidence_eos_eot_inf": True},
    "cache": {"cache": "dual"},
}
"""Field of `SamplingConfig` -> a setting away from the paper's in that field."""
SHOWN_AS = {"steps": "tokens_per_step", "steps_per_block": "tokens_per_step", "schedule": "block_length"}
FILES = ("pass_at_k", "coverage")


def shown(run: Run) -> bool:
    found = published.pass_at_k(run)
    assert bool(len(found.rows)) != bool(found.why_none)
    return bool(len(found.rows))


@pytest.mark.parametrize("order", ["ar", "confidence"])
@pytest.mark.parametrize("task", ["gsm8k:template=d1", "math500:template=d1"])
def test_the_papers_setting_is_known(order, task):
    run = paper_run(order, task=task)
    assert shown(run)
    assert set(published.pass_at_k(run).rows["benchmark"]) == {task.partition(":")[0]}


def test_every_setting_of_a_run_is_compared_or_said_to_be_irrelevant():
    """A field that is added to the records belongs into one of the two."""
    assert {field.name for field in dataclasses.fields(SamplingConfig)} - IRRELEVANT == set(CHANGED)
    of_run = {field.name for field in dataclasses.fields(RunConfig)} - IRRELEVANT
    # A run that says how its model attends is of a checkpoint without published numbers.
    assert of_run == {"model", "task", "order", "sampling", "attention", "adapter"}


@pytest.mark.parametrize("field", CHANGED)
def test_one_setting_away_nothing_is_shown(field):
    run = paper_run("confidence", **CHANGED[field])
    assert not shown(run)
    assert published.pass_at_k(run).why_none.startswith(f"{SHOWN_AS.get(field, field)} ")
    both = published.coverage(paper_run("ar", samples=1024, problems=4), run)
    assert both.rows.empty and both.why_none


def test_what_differs_is_said_with_both_values():
    run = paper_run("confidence", task="gsm8k", gen_length=128, tokens_per_step=4, top_p=0.5)
    assert published.pass_at_k(run).why_none == (
        "prompt default (published d1), gen_length 128 (published 256), tokens_per_step 4 (published 1), "
        "top_p 0.5 (published 1)"
    )


@pytest.mark.parametrize(
    "other", [{"seed": 7}, {"stop_at_eos": False}, {"batch_invariant": True}, {"steps": 256}, {"tokens_per_step": 1}]
)
def test_what_changes_numbers_by_chance_or_rounding_only_does_not_matter(other):
    assert shown(paper_run("confidence", **other))
    assert shown(paper_run("confidence", samples=3))


def test_the_block_of_ar_order_changes_nothing():
    assert shown(paper_run("ar", block_length=1)) and shown(paper_run("ar", block_length=256))
    assert not shown(paper_run("confidence", block_length=1))


@pytest.mark.parametrize(
    "model",
    [
        "llada-8b-instruct",
        "GSAI-ML/LLaDA-8B-Instruct",
        "/data/models/LLaDA-8B-Instruct/",
        "./LLaDA-8B-Instruct",
        "/cache/hub/models--GSAI-ML--LLaDA-8B-Instruct/snapshots/0123abcd",
    ],
)
def test_a_model_is_known_by_each_of_its_names(model):
    assert shown(paper_run(model=model))


@pytest.mark.parametrize("model", ["tiny", "llada-1.5", "someone/LLaDA-8B-Instruct", "/data/LLaDA-8B-Instruct-v2"])
def test_another_model_has_no_number_and_no_excuse(model):
    found = published.pass_at_k(paper_run(model=model))
    assert found.rows.empty and not found.why_none


def test_a_trained_checkpoint_is_not_the_model_before_it():
    lineage = Lineage(
        base="llada-8b-instruct", training="t", rollout_order="ar", fast=False, step=1, samples=1, seconds=1.0
    )
    assert published.pass_at_k(paper_run(lineage=lineage)).rows.empty


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"problems": 100}, "problems 100 (published 1319)"),
        ({"task": "gsm8k"}, "prompt default (published d1)"),
        ({"task": "gsm8k:template=bare"}, "prompt bare (published d1)"),
        ({"task": "gsm8k:template=missing.yaml"}, "prompt missing.yaml (published d1)"),
        ({"task": "gsm8k:split=train,template=d1"}, "none for gsm8k:split=train"),
        ({"task": "humaneval"}, "prompt default (published not stated)"),
        ({"task": "mbpp:template=justgrpo"}, "prompt justgrpo (published not stated)"),
    ],
)
def test_problems_and_prompt_have_to_agree(other, why):
    assert published.pass_at_k(paper_run(**other)).why_none == why


def test_the_wording_decides_and_not_its_name():
    recorded = dataclasses.asdict(D1_GSM8K)
    assert shown(paper_run(task="gsm8k:template=mine.yaml", record={"prompt_template": recorded}))
    reworded = {**recorded, "prefill": ""}
    assert not shown(paper_run(record={"prompt_template": reworded}))


def test_what_the_source_does_not_state_agrees_with_nothing():
    for block in (1, 32, 256):
        assert "block_length" in published.pass_at_k(paper_run("random", block_length=block)).why_none
    assert published.pass_at_k(paper_run("top_prob")).why_none == ""


def test_tables_are_preferred_to_plots():
    rows = published.pass_at_k(paper_run("confidence")).rows.set_index("k")
    assert rows.index.is_unique and rows.index.is_monotonic_increasing
    assert rows["pass_at_k_percent"][1] == 78.6 and "Table 4" in rows["source"][1]
    assert rows["pass_at_k_percent"][8] == 92.5 and "read off" in rows["source"][8]


def test_coverage_is_of_both_orders_and_as_many_samples():
    def pair(samples: int, **other: Any) -> published.Published:
        ours = {"samples": samples, "task": "math500:template=d1"}
        return published.coverage(paper_run("ar", **ours, **other), paper_run("confidence", **ours))

    assert pair(1024).rows[["k", "ar_only_percent", "confidence_only_percent"]].to_numpy().tolist() == [
        [1024, 4.8, 0.6]
    ]
    assert pair(64).why_none == "num_samples 64 (published 1024)"
    assert pair(1024, temperature=0.9).why_none == "temperature 0.9 (published 0.6)"


def test_a_number_by_another_verdict_is_never_compared():
    from flexeval.published.comparable import differing

    run = paper_run("ar", samples=1024)
    sound = dataclasses.replace(run, counted="sound")
    row = {"counted": "correct"}
    found = set(differing(sound, row)) - set(differing(run, row))
    assert found == {"counted sound (published correct)"}
    assert "counted" not in " ".join(differing(run, {}))


# ----- the files -----


@pytest.mark.parametrize("name", FILES)
def test_a_file_names_models_prompts_and_settings_that_exist(name):
    table = pd.read_csv(Path(published.__file__).parent / f"{name}.csv")
    settings = {field.name for field in dataclasses.fields(SamplingConfig)} | {"model", "benchmark", "prompt", "order"}
    numbers = {"source", "k", "note", "problems"}
    assert {column for column in table if not column.endswith("_percent")} <= settings | numbers
    assert {"gen_length", "block_length", "tokens_per_step", "temperature", "prompt", "problems"} <= set(table)
    assert set(table["model"]) <= set(MODELS)
    for row in table.dropna(subset="prompt").to_dict("records"):
        assert row["prompt"] in TASKS.get(row["benchmark"]).templates
    assert table["source"].notna().all()


@pytest.mark.parametrize("benchmark", SIZES)
def test_the_sizes_are_those_of_the_benchmarks(benchmark, shared_dir):
    assert len(get_task(benchmark, data_dir=shared_dir / "data").problems()) == SIZES[benchmark]
    for name in FILES:
        table = pd.read_csv(Path(published.__file__).parent / f"{name}.csv")
        sizes = table[table["benchmark"] == benchmark]["problems"].dropna()
        assert set(sizes) == {SIZES[benchmark]}
