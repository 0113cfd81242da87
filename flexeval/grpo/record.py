"""config.json of a training folder: which training it is, and what it was begun and continued with.

Imports no torch, so that a folder is refused before a model is loaded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from flexeval.errors import DamageError, InputError
from flexeval.grpo.config import GRPOConfig, require_same_training
from flexeval.grpo.layout import CHECKPOINTS, CONFIG, LOCK, STATE, finished_steps
from flexeval.hashing import json_hash
from flexeval.records import Problem
from flexeval.runs.checksums import CHECKSUM, object_bytes, read_checked_object
from flexeval.runs.files import replace_file
from flexeval.runs.layout import FingerprintFields, Name, Positive, check, data_hash
from flexeval.tasks import Task
from flexeval.tasks.task import prompt_of

_OPEN = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


@with_config(_OPEN)
class _Machine(TypedDict):
    dtype: Name


@with_config(_OPEN)
class TrainingFile(TypedDict):
    """config.json."""

    grpo: dict[str, Any]
    """`GRPOConfig`; a setting that a later version added is missing, and was at its default."""
    environment: _Machine
    processes: Positive
    model: NotRequired[FingerprintFields]
    """Before training."""
    problems: NotRequired[Name]
    """`problems_hash`; earlier versions did not record it."""
    code: NotRequired[dict[Name, Name]]
    """`flexeval.runs.identity.codes`; nor this."""
    continued: NotRequired[list[dict[str, Any]]]


def read_record(folder: Path) -> dict[str, Any]:
    """What the config.json of a training folder says. Raises DamageError where it is not as it was written."""
    path = folder / CONFIG
    record = read_checked_object(path)
    try:
        check(TrainingFile, record, where=str(path))
    except InputError as error:
        raise DamageError(str(error)) from None
    return {name: value for name, value in record.items() if name != CHECKSUM}


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write config.json. Raises OSError, the old file untouched."""
    replace_file(folder / CONFIG, object_bytes(record))


def problems_hash(task: Task, problems: Sequence[Problem]) -> str:
    """A hash of what a training sees of its problems: their data and wording, in their order."""
    return json_hash([[one.id, data_hash(one), dataclasses.asdict(prompt_of(task, one))] for one in problems])


def steps_made(folder: Path) -> int:
    """After how many steps a training would go on."""
    return max(finished_steps(folder / STATE), default=0)


def is_begun(folder: Path) -> bool:
    """Whether anything of a training is stored. Where it is not, the folder is begun anew, whatever it was for."""
    return bool(finished_steps(folder / STATE) or finished_steps(folder / CHECKPOINTS))


def require_place(folder: Path, config: GRPOConfig) -> None:
    """Check, as far as can be told without the model, that a training can be made or continued in a folder.

    Raises:
        InputError: a folder of something else or of another training, one that is past the steps asked for, or damage.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{str(folder)!r} is a file; give a folder as --out")
    if not (folder / CONFIG).exists():
        if is_begun(folder):
            raise DamageError(
                f"{folder} holds a training that has lost its {CONFIG}; restore it, or give another --out"
            )
        if any(path.name != LOCK for path in folder.iterdir()):
            raise InputError(f"{str(folder)!r} is neither empty nor a training folder; give another --out")
    elif is_begun(folder):
        require_same_training(read_record(folder)["grpo"], config, folder=folder)
        if (made := steps_made(folder)) > config.steps:
            raise InputError(
                f"{folder} has made {made} steps already; ask for at least so many, or look into its checkpoints"
            )
