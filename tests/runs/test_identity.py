"""Which runs are the same, and what their folders are called: settings, model, problems."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import runs_fakes  # registers the task
from hypothesis import given, settings
from hypothesis import strategies as st
from runs_fakes import CONFIG, FakePredictor, FakeTask, extended, make

import flexeval
from flexeval.errors import InputError
from flexeval.models.files import Source, read_source
from flexeval.orders import Order
from flexeval.records import RunConfig, SamplingConfig
from flexeval.runs import grading, identity, reuse
from flexeval.runs.grading import regrade
from flexeval.runs.identity import (
    canonical_config,
    config_from_dict,
    config_to_dict,
    default_folder_name,
    larger_extent,
    require_same_run,
    run_key,
)
from flexeval.runs.reader import read_header
from flexeval.runs.reuse import stored_extent
from flexeval.runs.shards import Shard
from flexeval.runs.store import read_run, read_runs, reusable_run
from flexeval.runs.writer import header_bytes

# Settings

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


@pytest.mark.parametrize(
    ("model", "attention", "asked", "block"),
    [
        ("tiny-block", None, None, 8),
        ("tiny-block", None, 32, 32),
        ("tiny", "block-causal:4", None, 4),
        ("tiny", "block-causal:64", None, 32),
        ("tiny", None, None, 32),
    ],
)
def test_the_default_block_is_no_longer_than_the_models_own(model, attention, asked, block):
    sampling = SamplingConfig(gen_length=64, block_length=asked)
    config = canonical_config(extended(model=model, attention=attention, sampling=sampling))
    assert config.sampling.block_length == block and canonical_config(config) == config


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


OTHER = {
    "model": "other", "task": "runs-fake:size=3", "order": "random", "attention": "block-causal:4", "adapter": "lora",
    "prompt_date": "2025-01-01", "gen_length": 16, "block_length": 4, "steps": 4, "tokens_per_step": 2,
    "steps_per_block": 2, "schedule": "dream", "temperature": 1.0, "top_p": 0.9, "top_k": 3, "scored": "sampled",
    "cfg_scale": 1.0, "logits_mask_inf": False, "logits_eos_inf": True, "confidence_eos_eot_inf": True, "seed": 1,
    "stop_at_eos": False, "batch_invariant": True, "cache": "dual",
}  # fmt: skip
"""Another value of every setting that makes another run."""
RECORD = {"model": {"weights": "w", "network": "n", "vocabulary": "v"}, "environment": {"dtype": "float32"}}


def test_every_setting_but_the_extent_makes_another_run(tmp_path):
    top, below = ({field.name for field in dataclasses.fields(kind)} for kind in (RunConfig, SamplingConfig))
    assert set(OTHER) == (top | below) - {"sampling", "num_samples", "limit"}
    # Where one goes with the next.
    plain = extended(sampling=SamplingConfig(gen_length=8, block_length=8))
    keys = {run_key(plain, RECORD)}
    for name, value in OTHER.items():
        changed = {name: value}
        other = dataclasses.replace(
            plain, **changed if name in top else {"sampling": dataclasses.replace(plain.sampling, **changed)}
        )
        with pytest.raises(InputError, match=f"made with {name} "):
            require_same_run(plain, other, folder=tmp_path)
        keys.add(run_key(other, RECORD))
    for part in RECORD["model"]:
        keys.add(run_key(plain, {**RECORD, "model": {**RECORD["model"], part: "other"}}))
    keys.add(run_key(plain, {**RECORD, "environment": {"dtype": "bfloat16"}}))
    assert len(keys) == 1 + len(OTHER) + 4
    assert run_key(dataclasses.replace(plain, num_samples=9, limit=None), RECORD) in keys


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


# Models and data


def predictor(**parts):
    made = FakePredictor()
    made.name = CONFIG.model
    made.fingerprint = dataclasses.replace(made.fingerprint, **parts)
    return made


def test_a_checkpoint_of_another_name_is_refused_unless_its_files_are_those_of_the_model(tmp_path):
    """Its numbers would stand under the name of the model that the configuration names, often the default."""
    for files in ("a", read_source(Path(flexeval.__file__).parent / "models" / CONFIG.model).files):
        made = predictor(source=Source(files=files, revision=None))
        made.name = "my-checkpoint"
        if files == "a":
            with pytest.raises(InputError, match=f"names model '{CONFIG.model}', but 'my-checkpoint' was given"):
                make(CONFIG, tmp_path / "run", predictor=made)
            assert not (tmp_path / "run").exists()
        else:
            assert make(CONFIG, tmp_path / "run", predictor=made).complete


@pytest.mark.parametrize("part", ["weights", "network", "vocabulary"])
@pytest.mark.parametrize("num_samples", [3, 4])
def test_another_model_under_the_same_name_is_refused(tmp_path, part, num_samples):
    run = make(CONFIG, tmp_path)
    stored = (tmp_path / "samples.jsonl").read_bytes()
    with pytest.raises(InputError, match=rf"made by another model: the {part}.*use another --out"):
        make(extended(num_samples=num_samples), tmp_path, predictor=predictor(**{part: "other"}))
    assert (tmp_path / "samples.jsonl").read_bytes() == stored
    assert len(read_run(tmp_path).samples) == len(run.samples)


def test_the_same_model_from_another_place_continues(tmp_path):
    make(CONFIG, tmp_path, predictor=predictor(source=Source(files="a", revision="1")))
    run = make(extended(num_samples=4), tmp_path, predictor=predictor(source=Source(files="b", revision="2")))
    assert run.complete


def test_a_folder_that_does_not_say_which_model_can_be_read_but_not_grown(tmp_path):
    run = make(CONFIG, tmp_path)
    header = read_header(tmp_path)
    record = {name: value for name, value in header.record.items() if name != "model"}
    (tmp_path / "config.json").write_bytes(header_bytes(dataclasses.replace(header, record=record)))
    assert len(read_run(tmp_path).samples) == len(run.samples)
    with pytest.raises(InputError, match=r"earlier version.*read but not continued"):
        make(extended(num_samples=4), tmp_path)


def test_a_stored_run_is_used_without_the_model_only_while_its_files_are_the_same(tmp_path, monkeypatch):
    ckpt, other = tmp_path / "ckpt", tmp_path / "elsewhere"
    ckpt.mkdir()
    (ckpt / "config.json").write_text("{}")
    (ckpt / "model.safetensors").write_bytes(b"weights")
    config = canonical_config(extended(model=str(ckpt)))
    make(config, tmp_path / "run", predictor=predictor(source=read_source(ckpt)))
    assert reusable_run(tmp_path / "run", config, FakeTask()) is not None
    assert reusable_run(tmp_path / "run", config, FakeTask(), dtype="bfloat16") is None

    # A kill may have come before the seal; then the run is continued, which seals it.
    seal = tmp_path / "run" / "summary.json"
    sealed = seal.read_bytes()
    seal.unlink()
    assert reusable_run(tmp_path / "run", config, FakeTask()) is None
    make(config, tmp_path / "run", predictor=predictor(source=read_source(ckpt)))
    assert seal.read_bytes() == sealed
    unfinished, first = tmp_path / "unfinished", runs_fakes.only([("p0", 0)])
    make(config, unfinished, predictor=predictor(source=read_source(ckpt)), make_sampler=first)
    assert reusable_run(unfinished, dataclasses.replace(config, limit=1, num_samples=1), FakeTask()) is not None

    others = [dataclasses.replace(one, target="?") if one.id == "p3" else one for one in FakeTask().problems()]
    with monkeypatch.context() as changed:
        changed.setattr(reuse, "problems_of", lambda _: others)
        assert reusable_run(tmp_path / "run", config, FakeTask()) is None
    (ckpt / "model.safetensors").write_bytes(b"Weights")
    assert reusable_run(tmp_path / "run", config, FakeTask()) is None
    (ckpt / "model.safetensors").write_bytes(b"weights")
    assert reusable_run(tmp_path / "run", config, FakeTask()) is not None
    ckpt.rename(other)
    assert reusable_run(tmp_path / "run", config, FakeTask()) is None


@pytest.mark.parametrize("name", ["order_code", "task_code"])
@pytest.mark.parametrize("num_samples", [3, 4])
def test_a_run_whose_order_or_task_has_other_code_by_now_is_neither_taken_nor_grown(
    tmp_path, monkeypatch, name, num_samples
):
    kind, config = {"order_code": Order, "task_code": FakeTask}[name], extended(num_samples=num_samples)

    def edit(code):
        hashed = lambda of: code if issubclass(of, kind) else None  # noqa: E731
        for module in (identity, grading):
            monkeypatch.setattr(module, "code_hash", hashed)

    edit("now")
    make(CONFIG, tmp_path)
    for refused in (
        lambda: make(config, tmp_path),
        lambda: reusable_run(tmp_path, canonical_config(config), FakeTask()),
        *([lambda: stored_extent(tmp_path, config)] if name == "order_code" else []),
    ):
        edit("then")
        with pytest.raises(InputError, match=rf"other code of its {name.split('_')[0]} than there is now; use another"):
            refused()
        edit("now")
        assert make(CONFIG, tmp_path).complete

    edit("then")
    regrade(tmp_path, FakeTask())
    if name == "task_code":
        assert make(config, tmp_path).complete
    else:
        with pytest.raises(InputError, match="other code of its order"):
            make(config, tmp_path)


@pytest.mark.parametrize(("kind", "instead"), [(Order, "join those of one run"), (FakeTask, "have `flexeval grade`")])
def test_shards_that_were_made_with_other_code_are_no_run(tmp_path, monkeypatch, kind, instead):
    for index, code in enumerate([None, "now", "then"]):
        for module in (identity, grading):
            monkeypatch.setattr(module, "code_hash", lambda of, code=code: code if issubclass(of, kind) else None)
        shard = Shard(index=index, count=3)
        if code == "then":  # it is refused here, so it was made elsewhere
            with pytest.raises(InputError, match="1-of-3 was made with other code"):
                make(CONFIG, tmp_path, shard=shard)
        make(CONFIG, tmp_path / "elsewhere", shard=shard)
        shard.folder(tmp_path / "elsewhere").rename(shard.folder(tmp_path))
        if code == "now":  # the first one, as of an earlier version, does not say
            assert code in read_run(tmp_path).record.values()
    with pytest.raises(InputError, match=f"1-of-3 and .*2-of-3 were made with other code of their .*; {instead}"):
        read_run(tmp_path)
    if kind is FakeTask:
        for shard in sorted(tmp_path.glob("shard-*")):
            regrade(shard, FakeTask())
        assert read_run(tmp_path).complete


def test_one_model_has_one_name(tmp_path, monkeypatch):
    (tmp_path / "ckpt").mkdir()
    (tmp_path / "link").symlink_to("ckpt")
    monkeypatch.chdir(tmp_path)
    names = ["ckpt", "./ckpt", "ckpt/", str(tmp_path / "ckpt"), "link", " ckpt ", "../" + tmp_path.name + "/ckpt"]
    assert {canonical_config(extended(model=name)).model for name in names} == {str(tmp_path / "ckpt")}
    assert len({default_folder_name(extended(model=name)) for name in names}) == 1
    hub = [canonical_config(extended(model=name)).model for name in ("GSAI-ML/LLaDA-8B-Base", "llada-8b-base")]
    assert hub == ["llada-8b-base"] * 2


def test_the_date_of_prompts_is_a_setting_of_the_run(tmp_path):
    dates = []

    class Dated(FakePredictor):
        def encode(self, prompt):
            dates.append(prompt.date)
            return [ord(character) for character in prompt.date]

    run = make(extended(prompt_date="2026-03-01"), tmp_path, predictor=Dated())
    assert set(dates) == {"2026-03-01"} == {run.record["first_prompt"]["date"]}
    with pytest.raises(InputError, match="prompt_date"):
        make(CONFIG, tmp_path, predictor=Dated())
    assert default_folder_name(CONFIG) != default_folder_name(extended(prompt_date="2026-03-01"))


@pytest.mark.parametrize("text", ["today", "2026-02-30", "26-01-01", "2026-01-01 09:30", "", None, 20260101])
def test_a_prompt_date_is_a_date(text):
    with pytest.raises(InputError, match="prompt_date"):
        extended(prompt_date=text)


class WithChecks(FakeTask):
    """Its grader reads more than the target."""

    tests = ("assert",)

    def problems(self):
        return [dataclasses.replace(problem, metadata={"tests": self.tests}) for problem in super().problems()]


@pytest.mark.parametrize(
    ("checks", "others"),
    [("assert", "assert not"), (np.int64(1), np.int64(2)), (np.arange(3.0), np.ones(3))],
    ids=["texts", "numbers of numpy's", "arrays"],
)
def test_what_the_grader_reads_is_part_of_the_data(tmp_path, checks, others):
    task, other = (type("Checks", (WithChecks,), {"tests": (each,)})() for each in (checks, others))
    make(CONFIG, tmp_path, task=task)
    assert make(extended(num_samples=4), tmp_path, task=task).complete
    with pytest.raises(InputError, match=r"other data: problem 'p0' has another data hash"):
        make(extended(num_samples=5), tmp_path, task=other)
    with pytest.raises(InputError, match="made from other data"):
        regrade(tmp_path, other)


def test_models_of_one_name_are_told_apart(tmp_path):
    def stored(name, *, weights="one", **model):
        config = extended(order="ar" if name == "a" else "random")
        return make(config, tmp_path / name, predictor=predictor(weights=weights, **model))

    stored("a")
    stored("b")
    assert {run.model for run in read_runs([tmp_path])} == {CONFIG.model}
    stored("c", weights="another one")
    marked = read_runs([tmp_path])
    assert [run.model for run in marked] == ["tiny (one)", "tiny (one)", "tiny (another )"]
    assert marked.where(model="tiny (one)").varying() == ["order"]
    # The type of the weights makes no other model of the same files.
    source = Source(files="same", revision=None)
    for name, weights in (("d", "in float32"), ("e", "in bfloat16")):
        stored(f"sub/{name}", weights=weights, source=source)
    assert {run.model for run in read_runs([tmp_path / "sub"])} == {CONFIG.model}
