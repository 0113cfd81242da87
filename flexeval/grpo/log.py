"""Metrics on disk: metrics.jsonl, and TensorBoard events where tensorboard is installed."""

from __future__ import annotations

import dataclasses
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from flexeval.grpo.metrics import StepMetrics
from flexeval.runs.files import append_lines, read_lines, replace_file, to_json

METRICS, EVENTS = "metrics.jsonl", "tensorboard"


def has_tensorboard() -> bool:
    """Whether TensorBoard events are written."""
    return find_spec("tensorboard") is not None


class MetricsLog:
    """Appends a line and events for each step; a context manager."""

    def __init__(self, folder: Path, *, first_step: int) -> None:
        """
        Args:
            folder: of the run.
            first_step: the step that comes next; what an earlier call logged of it and later ones is dropped.
        """
        self._path = folder / METRICS
        kept = [row for _, row in read_lines(self._path) if row["step"] < first_step]
        replace_file(self._path, "".join(to_json(row) + "\n" for row in kept).encode())
        self._events: Any = None
        if has_tensorboard():
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(folder / EVENTS), purge_step=first_step)

    def add(self, metrics: StepMetrics) -> None:
        """Log one step. Raises OSError when it cannot be written."""
        values = dataclasses.asdict(metrics)
        append_lines(self._path, [values])
        if self._events is not None:
            for name, value in values.items():
                if name != "step" and value is not None:
                    self._events.add_scalar(name, value, metrics.step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._events is not None:
            self._events.close()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run folder's metrics.jsonl. Raises InputError for a line that is no JSON object."""
    return [row for _, row in read_lines(folder / METRICS)]
