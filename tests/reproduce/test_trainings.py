"""The trainings of a plan: only what is missing is made, and what fails takes nothing but its own runs along."""

from __future__ import annotations

import dataclasses
import json

import pytest

from flexeval.errors import InputError
from flexeval.grpo.config import GRPOConfig
from flexeval.grpo.layout import checkpoint_folder
from flexeval.models.files import local_source
from flexeval.records import RunConfig
from flexeval.reproduce.trainings import (
    Training,
    base_model,
    find_training,
    make_trainings,
    missing_checkpoints,
    with_folders,
    without_failed,
)

AR, FAST, RANDOM = TRAININGS = [
    Training(name="ar", config=GRPOConfig(steps=25, save_every=10)),
    Training(name="ar-fast", config=GRPOConfig(steps=20, save_every=10, fast=True)),
    Training(name="random", config=GRPOConfig(steps=5, save_every=10, rollout_order="random", model="some/where")),
]


def write(training, folder, **more):
    """What a training leaves, as far as a plan looks at it."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"grpo": dataclasses.asdict(training.config), "environment": {"dtype": "float32"}, "processes": 1, **more}
    (folder / "config.json").write_text(json.dumps(record))
    for steps in training.config.checkpoint_steps:
        checkpoint_folder(folder, steps).mkdir(parents=True, exist_ok=True)


class Maker:
    """Makes trainings, and remembers which."""

    def __init__(self, **errors):
        self.made, self.errors = [], errors

    def __call__(self, training, folder):
        self.made.append(training.name)
        if training.name in self.errors:
            raise self.errors[training.name]
        write(training, folder)


def make(runs, **errors):
    maker = Maker(**errors)
    return list(make_trainings(TRAININGS, runs=runs, make=maker)), maker.made


def test_only_trainings_that_lack_a_checkpoint_are_made(tmp_path):
    write(AR, AR.folder(tmp_path))
    write(FAST, FAST.folder(tmp_path))
    checkpoint_folder(FAST.folder(tmp_path), 10).rmdir()
    outcomes, made = make(tmp_path)
    assert made == ["ar-fast", "random"]
    assert [(outcome.training, outcome.error) for outcome in outcomes] == [(each, None) for each in TRAININGS]
    assert make(tmp_path)[1] == []


def test_a_training_of_a_model_whose_files_changed_is_looked_at_with_the_model(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    training = dataclasses.replace(AR, config=dataclasses.replace(AR.config, model=str(model)))
    folder = training.folder(tmp_path)
    fingerprint = {**dict.fromkeys(("weights", "network", "vocabulary"), "a"), "files": local_source(str(model)).files}
    write(training, folder, model=fingerprint)
    (folder / "state/step-000030").mkdir(parents=True)
    (outcome,) = make_trainings([training], runs=tmp_path, make=None)
    assert outcome.error is None

    asked = []
    (model / "config.json").write_text('{"other": 1}')
    (outcome,) = make_trainings([training], runs=tmp_path, make=lambda wanted, _: asked.append(wanted.config.steps))
    # What it has made already is no reason to refuse it.
    assert (outcome.error, asked) == (None, [30])


def test_a_longer_training_has_the_checkpoints_of_a_shorter_one(tmp_path):
    longer = dataclasses.replace(FAST, config=dataclasses.replace(FAST.config, steps=100))
    write(longer, FAST.folder(tmp_path))
    assert missing_checkpoints(FAST, tmp_path) == []
    write(FAST, FAST.folder(tmp_path / "short"))
    assert len(missing_checkpoints(longer, tmp_path / "short")) == 8


@pytest.mark.parametrize("error", [InputError("no such model"), RuntimeError("out of memory"), ZeroDivisionError()])
def test_a_failure_is_kept_and_takes_its_own_runs_along(tmp_path, error):
    outcomes, made = make(tmp_path, ar=error)
    assert made == ["ar", "ar-fast", "random"]
    assert [outcome.error for outcome in outcomes] == [error, None, None]
    configs = [RunConfig(model=model) for model in ("tiny", "ar@10", "ar-fast@20", "ar@25", "random@5")]
    assert [config.model for config in without_failed(configs, outcomes)] == ["tiny", "ar-fast@20", "random@5"]


@pytest.mark.parametrize("end", [OSError(28, "no space left"), KeyboardInterrupt()])
def test_a_full_disk_and_the_user_stop_everything(tmp_path, end):
    with pytest.raises(type(end)):
        make(tmp_path, ar=end)


def test_a_folder_of_another_training_is_neither_used_nor_continued(tmp_path):
    other = dataclasses.replace(AR, config=dataclasses.replace(AR.config, learning_rate=0.5))
    write(other, AR.folder(tmp_path))
    outcomes, made = make(tmp_path)
    assert made == ["ar-fast", "random"]
    assert "trained with learning_rate 0.5, not 5e-06" in str(outcomes[0].error)


def test_a_checkpoint_that_training_on_does_not_bring_back_is_an_error(tmp_path):
    (outcome,) = make_trainings([AR], runs=tmp_path, make=lambda training, folder: None)
    assert "step-000010 is gone" in str(outcome.error)


def test_checkpoints_have_folders_and_base_models(tmp_path):
    configs = [RunConfig(model=model, order="random") for model in ("tiny", "ar@10", "random@5", "./ar@10")]
    placed = with_folders(configs, TRAININGS, tmp_path)
    assert [config.model for config in placed] == [
        "tiny",
        f"{tmp_path}/grpo/ar/checkpoints/step-000010",
        f"{tmp_path}/grpo/random/checkpoints/step-000005",
        "./ar@10",
    ]
    assert [dataclasses.replace(config, model="tiny") for config in placed] == [
        dataclasses.replace(config, model="tiny") for config in configs
    ]
    assert [base_model(config.model, TRAININGS) for config in configs] == ["tiny", "tiny", "some/where", "./ar@10"]


def test_every_checkpoint_is_found_and_no_other():
    for training in TRAININGS:
        for steps in range(40):
            model = f"{training.name}@{steps}"
            if steps in training.config.checkpoint_steps:
                assert find_training(model, TRAININGS) == (training, steps)
            else:
                with pytest.raises(InputError, match=f"'{training.name}' has no checkpoint '{steps}'; it has"):
                    find_training(model, TRAININGS)
    with pytest.raises(InputError, match="Did you mean 'random'"):
        find_training("randm@5", TRAININGS)
    with pytest.raises(InputError, match="none in this plan"):
        find_training("ar@10", [])
    with pytest.raises(InputError, match="no checkpoint 'last'"):
        find_training("ar@last", TRAININGS)
