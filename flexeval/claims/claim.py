"""What a claim is: a sentence of the literature, what to measure, and the rule that decides.

A claim is examined for each model and task that it is about. It reads runs and calls `flexeval.stats`; how an interval
becomes a verdict stands in `flexeval.claims.verdict`. A claim's own verdict is of the claim by itself; the table's is
corrected for all claims in it.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from flexeval.claims.selection import Group, groups, is_constraint_task
from flexeval.claims.verdict import LEVEL, Judgement, Verdict
from flexeval.errors import InputError
from flexeval.runs.store import RunSet
from flexeval.stats.intervals import Interval


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the runs of one model and task say about a claim."""

    interval: Interval
    """Of the quantity that the claim is about, fractions or nats."""
    judgement: Judgement
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
    p_value: float | None
    """Of the claim's contrary, or of the claim where the data point that way; by itself."""
    p_holm: float | None
    """The same, corrected for the claims that it stands among; equal to `p_value` for a claim by itself."""
    verdict: Verdict
    """By `p_holm`."""
    left_out: str
    """Which runs of this model and task the claims are not about, in a line; empty when there are none."""

    def among(self, p_holm: float) -> Finding:
        """The same claim in a table: a verdict that does not survive the correction is unresolved."""
        verdict = self.verdict if p_holm <= LEVEL else "unresolved"
        return dataclasses.replace(self, p_holm=p_holm, verdict=verdict)


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
        """The quantity on the runs of one model and task, and what it says of the claim.

        Raises:
            InputError: the runs lack what it needs.
        """

    def examine(self, runs: RunSet) -> list[Finding]:
        """A finding for each model and task that the claim is about."""
        concerned = [group for group in groups(runs) if self.concerns(group)]
        if not concerned:
            return [self._finding("", "", self.lacking, None, left_out="")]
        return [self._examined(group) for group in concerned]

    def _examined(self, group: Group) -> Finding:
        try:
            measured = self.measure(group)
        except InputError as error:
            return self._finding(group.model, group.task, str(error), None, left_out=group.left_out)
        return self._finding(group.model, group.task, measured.words, measured, left_out=group.left_out)

    def _finding(self, model: str, task: str, words: str, measured: Measured | None, *, left_out: str) -> Finding:
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
            p_value=measured.judgement.p_value if measured else None,
            p_holm=measured.judgement.p_value if measured else None,
            verdict=measured.judgement.verdict if measured else "not measured",
            left_out=left_out,
        )
