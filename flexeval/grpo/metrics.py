"""What is measured of each step: counted in each process, combined over all, and logged as one line a step.

The log is metrics.jsonl; `trackers.py` tells TensorBoard and others of it.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from flexeval.errors import DamageError, InputError
from flexeval.grpo.rollout import Rollout
from flexeval.grpo.trackers import Trackers
from flexeval.records import FloatArray
from flexeval.runs.files import RESTORE, append_lines, read_lines, replace_file, to_json
from flexeval.runs.layout import Amount, Count, checked_rows

METRICS = "metrics.jsonl"


@dataclass(frozen=True, kw_only=True)
class StepMetrics:
    """One line of metrics.jsonl; a mean over nothing is None."""

    step: int
    """0-based."""
    samples: int
    reward: float
    """Mean."""
    solved: float
    """Share of samples with the rewarded verdict: Pass@1 on the step's training problems, at the rollout's
    temperature."""
    solved_problems: float
    """Share of problems with at least one such sample."""
    skipped_groups: int
    """Problems whose samples all had the same reward; they carry no gradient."""
    length: float
    """Mean tokens of the text."""
    ended: float
    """Share of texts that end within the canvas."""
    empty: float
    """Share of texts without a token."""
    entropy: float | None
    """Mean over committed positions of the text and its end, nats, when they were committed."""
    loss: float | None
    """Of the last update."""
    grad_norm: float | None
    """Before clipping, last update."""
    clipped: float | None
    """Share of readings without gradient because their ratio is clipped, last update."""
    drift: float | None
    """Mean of |ratio - 1|, last update. In a first update: how far sampling and training disagree by rounding."""
    kl: float | None
    """Mean over readings of the divergence from the reference, nats, last update; None when none is computed."""
    readings: int
    """Tokens whose log-probability was computed with gradient, each update."""
    canvases: int
    """Distinct canvases that this took."""
    rollout_seconds: float
    """Sampling; wall-clock time in the first process, as the two below."""
    reward_seconds: float
    """Waiting for verdicts that were not found while sampling went on."""
    update_seconds: float
    """Scoring, gradients and optimiser."""


class Tally:
    """Sums of one step in this process."""

    def __init__(self) -> None:
        self._of_rollout: dict[str, float] = defaultdict(float)
        self._of_update: dict[str, float] = {}
        self._grad_norm: float | None = None

    def add_rollout(self, rollout: Rollout, reward_PG: FloatArray, *, skipped: int) -> None:
        """Count the samples of a rollout with these rewards, of which so many groups have no variation."""
        solved_PG = reward_PG == 1.0
        for sample in rollout.samples:
            trajectory = sample.trajectory
            entropy = trajectory.entropy_G[: trajectory.length + 1]
            self._add(
                length=trajectory.length,
                ended=trajectory.length < len(trajectory.token_ids_G),
                empty=trajectory.length == 0,
                entropy=float(np.nansum(entropy)),
                positions=int(np.isfinite(entropy).sum()),
            )
        self._add(
            samples=solved_PG.size,
            solved=int(solved_PG.sum()),
            reward=float(reward_PG.sum()),
            problems=len(solved_PG),
            solved_problems=int(solved_PG.any(axis=1).sum()),
            skipped=skipped,
        )

    def add_update(self, sums: dict[str, float], *, grad_norm: float) -> None:
        """Take the sums of an update; those of an earlier one on the same rollout are forgotten."""
        self._of_update = sums
        self._grad_norm = grad_norm

    def _add(self, **values: float) -> None:
        for name, value in values.items():
            self._of_rollout[name] += value

    def combined(self, accelerator: Any, *, step: int, with_kl: bool, seconds: dict[str, float]) -> StepMetrics:
        """The record of the step, over all processes; every process must call it.

        Args:
            accelerator: accelerate's.
            step: 0-based.
            with_kl: whether a divergence was computed.
            seconds: the fields of that name.
        """
        samples = _summed(self._of_rollout, accelerator)
        update = _summed(self._of_update, accelerator) if self._grad_norm is not None else {}
        readings = update.get("readings", 0.0)

        def per_reading(name: str) -> float | None:
            return update[name] / readings if readings else None

        return StepMetrics(
            step=step,
            samples=int(samples["samples"]),
            reward=samples["reward"] / samples["samples"],
            solved=samples["solved"] / samples["samples"],
            solved_problems=samples["solved_problems"] / samples["problems"],
            skipped_groups=int(samples["skipped"]),
            length=samples["length"] / samples["samples"],
            ended=samples["ended"] / samples["samples"],
            empty=samples["empty"] / samples["samples"],
            entropy=samples["entropy"] / samples["positions"] if samples["positions"] else None,
            loss=update.get("loss"),
            grad_norm=self._grad_norm,
            clipped=per_reading("clipped"),
            drift=per_reading("drift"),
            kl=per_reading("kl") if with_kl else None,
            readings=int(readings),
            canvases=int(update.get("canvases", 0)),
            **seconds,
        )


def _summed(counts: Mapping[str, float], accelerator: Any) -> dict[str, float]:
    """The sums over all processes, each of which has the same names."""
    names = sorted(counts)
    # In float64 sums of a million positions stay exact.
    values = torch.tensor([counts[name] for name in names], dtype=torch.float64, device=accelerator.device)
    return dict(zip(names, accelerator.reduce(values, "sum").tolist(), strict=True))


# ----- on disk -----


class MetricsLog:
    """Appends a line for each step, and tells the trackers; a context manager."""

    def __init__(
        self, folder: Path, *, first_step: int, trackers: Sequence[str] = (), settings: Mapping[str, Any] | None = None
    ) -> None:
        """
        Args:
            folder: of the run.
            first_step: the step that comes next, before which there is a line for each; see `check_metrics`. What an
                earlier call logged of it and later ones is dropped.
            trackers: names; see `flexeval.grpo.trackers`.
            settings: of the training, for the trackers.

        Raises:
            InputError: an unknown tracker, or one that is not installed.
        """
        self._path = folder / METRICS
        kept = read_metrics(folder)[:first_step]
        replace_file(self._path, "".join(to_json(row) + "\n" for row in kept).encode())
        self._trackers = Trackers(trackers, folder, first_step=first_step, settings=settings or {})

    def add(self, metrics: StepMetrics) -> None:
        """Log one step. Raises OSError when it cannot be written."""
        values = dataclasses.asdict(metrics)
        append_lines(self._path, [values])
        known = {name: value for name, value in values.items() if name != "step" and value is not None}
        self._trackers.log(known, step=metrics.step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._trackers.finish()


def read_metrics(folder: str | Path) -> list[dict[str, Any]]:
    """The lines of a run folder's metrics.jsonl. Raises InputError for a line that is no JSON object."""
    return [row for _, row in read_lines(Path(folder) / METRICS)]


@with_config(ConfigDict(strict=True, extra="allow", allow_inf_nan=False))
class _Line(TypedDict):
    """What a lineage is made of."""

    step: Count
    samples: Count
    rollout_seconds: Amount
    reward_seconds: Amount
    update_seconds: Amount


def check_metrics(folder: Path, steps: int) -> None:
    """Raise DamageError unless metrics.jsonl begins with a line for each of so many steps, in their order."""
    rows, where = read_metrics(folder)[:steps], folder / METRICS
    try:
        checked_rows(_Line, rows, where=str(where))
    except InputError as error:
        raise DamageError(str(error)) from None
    wrong = next((step for step in range(steps) if step >= len(rows) or rows[step]["step"] != step), None)
    if wrong is not None:
        raise DamageError(f"{where}: line {wrong + 1} should be of step {wrong}, and is not; {RESTORE}")
