"""A run is of one model: another one under its name neither continues it nor adds to it."""

from __future__ import annotations

import dataclasses

import pytest
from runs_fakes import CONFIG, FakePredictor, FakeTask, extended, make

from flexeval.errors import InputError
from flexeval.models.files import Source, read_source
from flexeval.models.fingerprint import Fingerprint
from flexeval.runs.config import canonical_config, default_folder_name
from flexeval.runs.contents import read_contents
from flexeval.runs.layout import header_bytes
from flexeval.runs.regrade import regrade
from flexeval.runs.reuse import reusable_run
from flexeval.runs.store import read_run, read_runs


def predictor(**parts):
    made = FakePredictor()
    values = {"weights": "one", "network": "fake", "vocabulary": "digits", **parts}
    made.fingerprint = Fingerprint(**values)
    return made


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
    header = read_contents(tmp_path).header
    record = {name: value for name, value in header.record.items() if name != "model"}
    (tmp_path / "config.json").write_bytes(header_bytes(dataclasses.replace(header, record=record)))
    assert len(read_run(tmp_path).samples) == len(run.samples)
    with pytest.raises(InputError, match=r"earlier version.*read but not continued"):
        make(extended(num_samples=4), tmp_path)


def test_a_stored_run_is_used_without_the_model_only_while_its_files_are_the_same(tmp_path):
    ckpt, other = tmp_path / "ckpt", tmp_path / "elsewhere"
    ckpt.mkdir()
    (ckpt / "config.json").write_text("{}")
    (ckpt / "model.safetensors").write_bytes(b"weights")
    config = canonical_config(extended(model=str(ckpt)))
    make(config, tmp_path / "run", predictor=predictor(source=read_source(ckpt)))
    assert reusable_run(tmp_path / "run", config, FakeTask()) is not None
    (ckpt / "model.safetensors").write_bytes(b"Weights")
    assert reusable_run(tmp_path / "run", config, FakeTask()) is None
    (ckpt / "model.safetensors").write_bytes(b"weights")
    assert reusable_run(tmp_path / "run", config, FakeTask()) is not None
    ckpt.rename(other)
    assert reusable_run(tmp_path / "run", config, FakeTask()) is None


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


class OtherChecks(WithChecks):
    tests = ("assert not",)


def test_what_the_grader_reads_is_part_of_the_data(tmp_path):
    make(CONFIG, tmp_path, task=WithChecks())
    assert make(extended(num_samples=4), tmp_path, task=WithChecks()).complete
    with pytest.raises(InputError, match=r"other data: problem 'p0' has another data hash"):
        make(extended(num_samples=5), tmp_path, task=OtherChecks())
    with pytest.raises(InputError, match="made from other data"):
        regrade(tmp_path, OtherChecks())


def test_models_of_one_name_are_told_apart(tmp_path):
    def stored(name, **model):
        return make(extended(order="ar" if name == "a" else "random"), tmp_path / name, predictor=predictor(**model))

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
