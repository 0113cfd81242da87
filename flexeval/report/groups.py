"""What sections share: runs by task, how numbers are written, and what stands where one cannot be had."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flexeval.errors import InputError
from flexeval.report.markup import Markup, element, join, note
from flexeval.runs.store import Run, RunSet
from flexeval.stats.intervals import Interval, interval_text


@dataclass(frozen=True, kw_only=True)
class TaskRuns:
    """The runs of one task, with names that tell them apart."""

    task: str
    runs: RunSet
    labels: Sequence[str]

    @property
    def named(self) -> list[tuple[str, Run]]:
        """Label and run."""
        return list(zip(self.labels, self.runs, strict=True))


def by_task(runs: RunSet) -> list[TaskRuns]:
    """The tasks in the order in which they first appear."""
    groups = [(task, runs.where(task=task)) for task in dict.fromkeys(run.config.task for run in runs)]
    return [TaskRuns(task=task, runs=group, labels=_unique(group.labels())) for task, group in groups]


def under_tasks(bodies: Sequence[tuple[str, Markup]]) -> Markup:
    """Task and body: the bodies below each other, under the names of their tasks when there are several."""
    if len(bodies) == 1:
        return bodies[0][1]
    return join(part for task, body in bodies for part in (element("h3", task), body))


def or_reason(make: Callable[[], Markup]) -> Markup:
    """What `make` gives, or a note that says why these runs do not give it."""
    try:
        return make()
    except InputError as error:
        return note(f"Not available: {error}.")


def percent(interval: Interval, sign: str = "") -> str:
    """Estimate and interval of a fraction, in percent."""
    return bounds(100 * interval.estimate, 100 * interval.low, 100 * interval.high, f"{sign}.1f")


def bounds(estimate: float, low: float, high: float, form: str) -> str:
    """`estimate [low, high]`, or a dash where there is no estimate."""
    if math.isnan(estimate):
        return "–"
    return interval_text(estimate, low, high, form).replace("-", "−")


def p_value(p: float) -> str:
    """A p value, as far as it says something."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _unique(labels: Sequence[str]) -> list[str]:
    """The labels, with a number at those that more than one run has (copies of a run)."""
    seen: dict[str, int] = {}
    numbered = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        numbered.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return numbered
