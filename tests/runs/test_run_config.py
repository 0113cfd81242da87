"""RunConfig on disk, which runs are the same, and what their folders are called."""

from __future__ import annotations

import json

import pytest
import runs_fakes  # registers the task
from hypothesis import given, settings
from hypothesis import strategies as st
from runs_fakes import CONFIG, extended

from flexeval.errors import InputError
from flexeval.records import RunConfig, SamplingConfig
from flexeval.runs.config import (
    canonical_config,
    config_from_dict,
    config_to_dict,
    default_folder_name,
    larger_extent,
    require_same_run,
)

CONFIGS = st.builds(
    RunConfig,
    model=st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs"])),
    sampling=st.builds(
        SamplingConfig,
        gen_length=st.integers(32, 512),
        temperature=st.just(0.0) | st.floats(1e-30, 10),
        top_p=st.floats(0.01, 1),
        schedule=st.sampled_from(["even", "dream"]),
    ),
    num_samples=st.integers(1, 10**6),
    limit=st.none() | st.integers(1, 2**31 - 1),
)


@settings(deadline=None)
@given(CONFIGS)
def test_a_config_survives_its_file(config):
    assert config_from_dict(json.loads(json.dumps(config_to_dict(config))), where="x") == config


def test_settings_that_are_left_out_have_their_defaults():
    assert config_from_dict({"order": "random"}, where="x") == RunConfig(order="random")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"ordr": "ar"}, r"unknown setting in config\.json: 'ordr'\. Did you mean 'order'"),
        (
            {"sampling": {"temprature": 1}},
            r"unknown setting in config\.json: 'temprature'\. Did you mean 'temperature'",
        ),
        ({"sampling": {"temperature": -1}}, r"config\.json: temperature must be a number >= 0"),
        (
            {"sampling": {"temperature": "hot"}},
            r"config\.json: a setting has a value of the wrong type",
        ),
        ({"sampling": 3}, r"config\.json: 'sampling' must be a mapping"),
    ],
)
def test_a_file_that_is_no_config_is_refused(data, message):
    with pytest.raises(InputError, match=message):
        config_from_dict(data, where="config.json")


def test_aliases_and_default_blocks_name_the_same_run():
    by_alias = canonical_config(extended(order="left_to_right", sampling=SamplingConfig(gen_length=64)))
    by_name = canonical_config(extended(order="ar", sampling=SamplingConfig(gen_length=64, block_length=32)))
    assert by_alias == by_name
    assert canonical_config(by_name) == by_name


def test_the_first_setting_that_differs_is_named(tmp_path):
    warmer = extended(sampling=SamplingConfig(gen_length=8, block_length=4, temperature=1.0, seed=5))
    with pytest.raises(InputError, match=r"made with temperature 0\.6, not 1\.0; use another --out"):
        require_same_run(CONFIG, warmer, folder=tmp_path)
    with pytest.raises(InputError, match="made with order 'ar', not 'random'"):
        require_same_run(CONFIG, extended(order="random"), folder=tmp_path)


def test_extents_do_not_make_another_run(tmp_path):
    more = extended(num_samples=9, limit=None)
    require_same_run(CONFIG, more, folder=tmp_path)
    assert larger_extent(CONFIG, more) == larger_extent(more, CONFIG) == more
    assert larger_extent(extended(limit=2), extended(limit=7)).limit == 7
    assert default_folder_name(CONFIG) == default_folder_name(more)


def test_a_folder_name_reads_and_is_unique():
    name = default_folder_name(CONFIG)
    assert name.startswith("tiny/runs-fake/ar-T0.6-L8-B4-s0-")
    others = [
        extended(model="other"),
        extended(order="random"),
        extended(task="runs-fake:size=3"),
        extended(sampling=SamplingConfig(gen_length=8, block_length=4, seed=1)),
        extended(sampling=SamplingConfig(gen_length=8, block_length=4, top_p=0.9)),
        extended(sampling=SamplingConfig(gen_length=8, block_length=8)),
    ]
    assert len({name, *map(default_folder_name, others)}) == 7


@pytest.mark.parametrize("model", ["GSAI-ML/LLaDA-8B", "../up/", "C:\\models\\x", "a b:c*?", "…", ".", "m" * 300])
def test_a_folder_name_is_a_safe_path_of_three_parts(model):
    parts = default_folder_name(extended(model=model)).split("/")
    assert len(parts) == 3
    for part in parts:
        assert part.strip(".") == part and 0 < len(part) < 120
        assert all(character.isalnum() or character in "._=-" for character in part) and part.isascii()


def test_models_of_the_same_last_name_have_other_folders():
    names = {default_folder_name(extended(model=model)) for model in ("a/llada", "b/llada", "llada")}
    assert len(names) == 3


def test_an_unknown_name_is_refused():
    assert runs_fakes.FakeTask.name in runs_fakes.TASKS
    with pytest.raises(InputError, match="unknown order"):
        canonical_config(extended(order="sideways"))
    with pytest.raises(InputError, match="unknown task"):
        canonical_config(extended(task="golf"))
