"""What a claim is: a sentence of the literature, what to measure, and the rule that decides.

A claim is examined for each model and task that it is about. It reads runs and calls `flexeval.stats`; how an interval
becomes a verdict stands in `flexeval.claims.verdict`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from flexeval.claims.selection import Group, groups, is_constraint_task
from flexeval.claims.verdict import Verdict
from flexeval.errors import InputError
from flexeval.runs.store import RunSet
from flexeval.stats import Interval


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the runs of one model and task say about a claim."""

    interval: Interval
    """Of the quantity that the claim is about, fractions or nats."""
    verdict: Verdict
    words: str
    """The quantity, its interval and what else was measured, with units and settings."""
    published: str | None = None
    """What was published in the very setting of these runs, or what differs; None where nothing is of their model."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the claims table."""

    claim: str
    """The claim's name."""
    sentence: str
    source: str
    model: str
    """Empty when no run is of a task that the claim is about."""
    task: str
    measured: str
    """In words; which runs are missing when nothing was measured."""
    estimate: float | None
    low: float | None
    high: float | None
    unit: str
    """Of the three numbers."""
    paper: str | None
    """As `Measured.published`; None when nothing was measured."""
    verdict: Verdict


class Claim(ABC):
    """One claim. Implementations state the quantity and the decision in their docstrings."""

    name: ClassVar[str]
    """Of the registry."""
    sentence: ClassVar[str]
    source: ClassVar[str]
    unit: ClassVar[str] = "fraction"
    lacking: ClassVar[str] = "no plain run of a reasoning task"
    """What to say when it concerns none of the runs."""

    def concerns(self, group: Group) -> bool:
        """Whether the claim is about runs like these: about reasoning tasks, unless it says otherwise."""
        return not is_constraint_task(group.task)

    @abstractmethod
    def measure(self, group: Group) -> Measured:
        """The quantity on the runs of one model and task, and the verdict.

        Raises:
            InputError: the runs lack what it needs.
        """

    def examine(self, runs: RunSet) -> list[Finding]:
        """A finding for each model and task that the claim is about."""
        concerned = [group for group in groups(runs) if self.concerns(group)]
        if not concerned:
            return [self._finding("", "", self.lacking, None)]
        return [self._examined(group) for group in concerned]

    def _examined(self, group: Group) -> Finding:
        try:
            measured = self.measure(group)
        except InputError as error:
            return self._finding(group.model, group.task, str(error), None)
        return self._finding(group.model, group.task, measured.words, measured)

    def _finding(self, model: str, task: str, words: str, measured: Measured | None) -> Finding:
        return Finding(
            claim=self.name,
            sentence=self.sentence,
            source=self.source,
            model=model,
            task=task,
            measured=words,
            estimate=measured.interval.estimate if measured else None,
            low=measured.interval.low if measured else None,
            high=measured.interval.high if measured else None,
            unit=self.unit,
            paper=measured.published if measured else None,
            verdict=measured.verdict if measured else "not measured",
        )
