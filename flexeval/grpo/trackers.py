"""Experiment trackers of a training, by the names that accelerate gives them. Nothing leaves the machine by itself.

Trackers with a server of their own start in their offline mode, unless the environment says otherwise
(WANDB_MODE=online and its like); what they wrote is sent with their own commands (`wandb sync`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

from flexeval.errors import InputError, did_you_mean

EVENTS = "tensorboard"
_OFFLINE: Mapping[str, Mapping[str, str]] = {
    "wandb": {"WANDB_MODE": "offline"},
    "comet_ml": {"COMET_START_ONLINE": "0"},
    "clearml": {"CLEARML_OFFLINE_MODE": "1"},
    "swanlab": {"SWANLAB_MODE": "offline"},
}
"""Tracker -> variables of its environment that keep it offline. The others write files only."""
_INSIDE: Mapping[str, tuple[str, str]] = {
    "wandb": ("WANDB_DIR", ""),  # it makes a folder of its name there
    "trackio": ("TRACKIO_DIR", "trackio"),
    "mlflow": ("MLFLOW_TRACKING_URI", "mlflow"),
}
"""Tracker -> the variable that says where it writes, and its folder in that of the training."""


def default_trackers() -> tuple[str, ...]:
    """TensorBoard where it is installed."""
    return (EVENTS,) if EVENTS in _available() else ()


def check_trackers(names: Sequence[str]) -> None:
    """Raise InputError for a name that accelerate does not know, or whose package is not installed."""
    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            raise did_you_mean("tracker", name, LOGGER_TYPE_TO_CLASS)
        if name not in _available():
            raise InputError(f"tracker {name!r} needs its package: pip install {name.replace('_', '-')}")


def _available() -> set[str]:
    return {getattr(kind, "value", str(kind)) for kind in get_available_trackers()}


class Trackers:
    """The trackers of a training, in its main process."""

    def __init__(self, names: Sequence[str], folder: Path, *, first_step: int, settings: Mapping[str, Any]) -> None:
        """
        Args:
            names: of the trackers.
            folder: of the training; what they write goes there, as far as they can be told.
            first_step: the step that comes next. TensorBoard forgets what it has of later ones; others begin anew.
            settings: of the training.

        Raises:
            InputError: as `check_trackers`.
        """
        check_trackers(names)
        self._trackers = []
        for name in names:
            for variable, value in _OFFLINE.get(name, {}).items():
                os.environ.setdefault(variable, value)
            if name in _INSIDE:
                variable, below = _INSIDE[name]
                place = folder.resolve() / below
                place.mkdir(parents=True, exist_ok=True)
                os.environ.setdefault(variable, place.as_uri() if name == "mlflow" else str(place))
            kind = LOGGER_TYPE_TO_CLASS[name]
            where = (str(folder),) if kind.requires_logging_directory else ()
            options = {"purge_step": first_step} if name == EVENTS else {}
            # The name of the run is its folder's; that of TensorBoard's folder is TensorBoard's.
            tracker = kind(EVENTS if name == EVENTS else folder.resolve().name, *where, **options)
            tracker.start()
            if name != EVENTS:
                plain = {key: value for key, value in settings.items() if isinstance(value, bool | int | float | str)}
                tracker.store_init_configuration(plain)
            self._trackers.append(tracker)

    def log(self, values: Mapping[str, float], *, step: int) -> None:
        """Log the numbers of a step."""
        for tracker in self._trackers:
            tracker.log(dict(values), step=step)

    def finish(self) -> None:
        """Write what is left and close."""
        for tracker in self._trackers:
            tracker.finish()
