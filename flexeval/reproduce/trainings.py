"""The trainings of a plan: what its runs call their checkpoints, where these lie, and making the missing ones.

As in `flexeval.reproduce.sweep`, one that fails does not stop the rest, and nothing is printed. Imports no torch.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flexeval.errors import InputError, did_you_mean
from flexeval.grpo.config import GRPOConfig, require_same_training
from flexeval.grpo.layout import checkpoint_folder
from flexeval.grpo.record import read_record, steps_made
from flexeval.models.files import local_source
from flexeval.records import RunConfig

NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
"""Of a training: a folder is called so, and no path looks like it."""
_CHECKPOINT = re.compile(rf"({NAME.pattern})@(.*)")


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training that a plan asks for."""

    name: str
    """Unique in the plan."""
    config: GRPOConfig
    """Canonical."""

    def folder(self, runs: Path) -> Path:
        """Where it lies in a folder of runs."""
        return runs / "grpo" / self.name


@dataclass(frozen=True, kw_only=True)
class TrainingOutcome:
    """What became of a training."""

    training: Training
    error: Exception | None
    """Why it failed; None when all its checkpoints are there."""


MakeTraining = Callable[[Training, Path], None]
"""Writes every checkpoint that a folder lacks; trains, or goes on training. Refuses a folder of another model."""


def find_training(model: str, trainings: Sequence[Training]) -> tuple[Training, int] | None:
    """The training and the steps that `NAME@STEP` stands for; None for any other model.

    Raises:
        InputError: there is no such training, or no checkpoint after so many steps.
    """
    named = _CHECKPOINT.fullmatch(model)
    if named is None:
        return None
    name, steps = named.groups()
    by_name = {training.name: training for training in trainings}
    if name not in by_name:
        raise did_you_mean("training", name, by_name, listed=", ".join(by_name) or "none in this plan")
    saved = by_name[name].config.checkpoint_steps
    if steps not in map(str, saved):
        raise InputError(f"training {name!r} has no checkpoint {steps!r}; it has {', '.join(map(str, saved))}")
    return by_name[name], int(steps)


def base_model(model: str, trainings: Sequence[Training]) -> str:
    """The model that `NAME@STEP` was trained from; any other model is its own."""
    found = find_training(model, trainings)
    return found[0].config.model if found else model


def with_folders(configs: Sequence[RunConfig], trainings: Sequence[Training], runs: Path) -> list[RunConfig]:
    """The same runs, with each `NAME@STEP` replaced by the checkpoint's folder."""
    return [dataclasses.replace(config, model=_folder(config.model, trainings, runs)) for config in configs]


def _folder(model: str, trainings: Sequence[Training], runs: Path) -> str:
    found = find_training(model, trainings)
    if found is None:
        return model
    training, steps = found
    return str(checkpoint_folder(training.folder(runs), steps))


def missing_checkpoints(training: Training, runs: Path) -> list[Path]:
    """The model folders of a training that are not there.

    Raises:
        InputError: its folder holds another training's.
    """
    folder = training.folder(runs)
    wanted = [checkpoint_folder(folder, steps) for steps in training.config.checkpoint_steps]
    missing = [checkpoint for checkpoint in wanted if not checkpoint.is_dir()]
    # Where nothing is stored yet, the training itself decides whether it may use the folder.
    if len(missing) < len(wanted):
        require_same_training(read_record(folder)["grpo"], training.config, folder=folder)
    return missing


def lacking(trainings: Sequence[Training], runs: Path) -> list[Training]:
    """The trainings that are to be made or continued; not those whose folder holds another's, which will fail."""
    found = []
    for training in trainings:
        try:
            found += [training] if missing_checkpoints(training, runs) else []
        except InputError:
            continue
    return found


def make_trainings(trainings: Sequence[Training], *, runs: Path, make: MakeTraining) -> Iterator[TrainingOutcome]:
    """Make every training that lacks a checkpoint, in order; each outcome as soon as it is known.

    An error in one training is kept in its outcome and the next training begins.

    Raises:
        OSError: nothing can be written; then the next training could not be written either.
    """
    from flexeval.reproduce.sweep import attempt  # only now: it imports pandas, which `--help` does without

    for training in trainings:
        _, error = attempt(_complete, training, runs, make)
        yield TrainingOutcome(training=training, error=error)


def _complete(training: Training, runs: Path, make: MakeTraining) -> None:
    folder = training.folder(runs)
    if missing_checkpoints(training, runs):
        make(training, folder)
    elif not _made_from(training, folder):
        # Nothing is left to train, and only the loaded model tells whether its weights are those of then.
        steps = max(training.config.steps, steps_made(folder))
        make(dataclasses.replace(training, config=dataclasses.replace(training.config, steps=steps)), folder)
    if missing := missing_checkpoints(training, runs):
        raise InputError(f"{missing[0]} is gone and the training is past it; to train again, delete its folder")


def _made_from(training: Training, folder: Path) -> bool:
    """Whether the files of the model on this machine are those that the training began with, as far as it is known."""
    stored = read_record(folder).get("model", {}).get("files")
    source = None if stored is None else local_source(training.config.model, training.config.adapter)
    return source is None or source.files == stored


def without_failed(configs: Sequence[RunConfig], outcomes: Sequence[TrainingOutcome]) -> list[RunConfig]:
    """The runs but those on checkpoints of trainings that failed."""
    trainings = [outcome.training for outcome in outcomes]
    failed = {outcome.training.name for outcome in outcomes if outcome.error is not None}
    found = [(config, find_training(config.model, trainings)) for config in configs]
    return [config for config, checkpoint in found if checkpoint is None or checkpoint[0].name not in failed]
