"""The runs of a page by task, with names that tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flexeval.runs.store import Run, RunSet


@dataclass(frozen=True, kw_only=True)
class TaskRuns:
    """The runs of one task."""

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
    return [TaskRuns(task=task, runs=group, labels=group.labels()) for task, group in groups]


def drawn_here(runs: RunSet) -> RunSet:
    """The runs whose decodes are known: those that have samples, and not from another program."""
    return RunSet(tuple(run for run in runs if not run.imported and len(run.samples)), runs.left_out)
