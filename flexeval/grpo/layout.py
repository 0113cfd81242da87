"""Where things lie in a training folder, and what its checkpoints are called. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from flexeval.models.places import AFTER_STEPS

CONFIG, CHECKPOINTS, STATE, LOCK = "config.json", "checkpoints", "state", "lock"
PARTIAL = ".partial"
"""How the name of a folder ends that is not written to its end."""
_STEP = "step-"


def step_folder(parent: Path, steps: int) -> Path:
    """Where what belongs to the state after so many steps lies."""
    return parent / f"{_STEP}{steps:06d}"


def finished_steps(parent: Path) -> list[int]:
    """The numbers of steps after which something whole lies in a folder, ascending; what is called otherwise, as a copy
    that somebody made, does not count.
    """
    folders = parent.glob(f"{_STEP}*") if parent.is_dir() else []
    return sorted(int(named[1]) for folder in folders if (named := AFTER_STEPS.fullmatch(folder.name)))


def checkpoint_folder(training: Path, steps: int) -> Path:
    """The model folder after so many steps of the training in a folder."""
    return step_folder(training / CHECKPOINTS, steps)


def checkpoint_name(model: str) -> str:
    """A model folder in a word: `ar@30` for a checkpoint of the training folder `ar`, otherwise its own name."""
    path = Path(model)
    steps = path.name.removeprefix(_STEP)
    if path.parent.name == CHECKPOINTS and steps != path.name and steps.isdecimal():
        return f"{path.parent.parent.name}@{int(steps)}"
    return path.name
