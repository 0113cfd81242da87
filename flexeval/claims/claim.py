"""What a claim is: a sentence of the literature, what to measure, and the rule that decides.

A claim is examined for each model and task that it is about. It reads runs and calls `flexeval.stats`;
`flexeval.claims.verdict` turns an interval into a verdict. A claim's own verdict is of the claim by itself; the table
corrects it for all claims in it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from flexeval.claims.built_in import built_in
from flexeval.claims.findings import Finding
from flexeval.claims.selection import Group, groups, is_constraint_task
from flexeval.claims.verdict import Judgement
from flexeval.errors import DamageError, InputError, PluginError
from flexeval.registry import require_texts
from flexeval.runs.store import RunSet
from flexeval.stats.intervals import Interval


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the runs of one model and task say about a claim."""

    interval: Interval
    """Of the quantity that the claim is about, in the claim's unit."""
    judgement: Judgement
    words: str
    """The quantity, its interval and what else was measured, with units and settings."""
    published: str | None = None
    """What was published in the very setting of these runs, or what differs; None where nothing is of their model."""


class Claim(ABC):
    """One claim. Implementations state the quantity and the decision in their docstrings."""

    name: ClassVar[str]
    """Of the registry."""
    sentence: ClassVar[str]
    source: ClassVar[str]
    unit: ClassVar[str] = "fraction"
    """Of what is measured."""
    share: ClassVar[bool] = False
    """Whether a fraction is a share, from 0 to 1, and no difference of two."""
    at_each_temperature: ClassVar[bool] = True
    """Whether it is examined at T = 0.6 and at T = 1; a claim about several temperatures is examined once."""
    lacking: ClassVar[str] = "no plain run of a reasoning task"
    """What to say when it concerns none of the runs."""

    def concerns(self, group: Group) -> bool:
        """Whether the claim is about runs like these: about reasoning tasks, unless it says otherwise."""
        return not is_constraint_task(group.task)

    def _parts(self, group: Group) -> Sequence[Group]:
        """What it is examined on by itself, one finding each."""
        return (group,)

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which the quantity lies."""
        return (0.0 if self.share else -1.0, 1.0) if self.unit == "fraction" else (-math.inf, math.inf)

    @abstractmethod
    def measure(self, group: Group) -> Measured:
        """The quantity on the runs of one model and task, and what it says of the claim.

        Raises:
            InputError: the runs lack what it needs.
        """

    def examine(self, runs: RunSet) -> list[Finding]:
        """A finding for each model, task and temperature that the claim is about; a claim about training has one for
        each training.

        What lacks its runs is told once, of the first temperature.

        Raises:
            DamageError: a run whose rows are not as they were written.
        """
        findings: list[Finding] = []
        for group in groups(runs):
            if not self.concerns(group):
                continue
            again = bool(findings) and _subject(findings[-1]) == _subject(group)
            if again and not self.at_each_temperature:
                continue
            told: set[str] = set()
            for finding in map(self._examined, self._parts(group)):
                if finding.verdict != "not measured":
                    findings.append(finding)
                elif not again and finding.measured not in told:
                    findings.append(finding)
                    told.add(finding.measured)
        return findings or [self._not_measured(self.lacking)]

    def _examined(self, group: Group) -> Finding:
        try:
            measured: object = self.measure(group)
            if not isinstance(measured, Measured):
                raise PluginError(
                    f"measure() of claim {self.name!r} must return a flexeval.claims.Measured, not a "
                    f"{type(measured).__name__}"
                )
        except DamageError:
            raise
        except InputError as error:
            return self._not_measured(str(error), group)
        return Finding(
            claim=self.name,
            sentence=self.sentence,
            source=self.source,
            **self._place(group),
            measured=measured.words,
            estimate=measured.interval.estimate,
            low=measured.interval.low,
            high=measured.interval.high,
            unit=self.unit,
            paper=measured.published,
            built_in=built_in(group.model, group.task, self.name),
            p_value=measured.judgement.p_value,
            p_holm=measured.judgement.p_value,
            verdict=measured.judgement.verdict,
            left_out=group.left_out,
        )

    def _not_measured(self, why: str, group: Group | None = None) -> Finding:
        return Finding(
            claim=self.name,
            sentence=self.sentence,
            source=self.source,
            **(self._place(group) if group else {}),
            measured=why,
            unit=self.unit,
            left_out=group.left_out if group else "",
        )

    def _place(self, group: Group) -> dict[str, Any]:
        """Which runs a finding is of, as fields of `Finding`."""
        runs = group.runs.where(temperature=group.temperature) if self.at_each_temperature else group.runs
        orders = ", ".join(sorted({run.config.order for run in runs}))
        return {
            "run": orders,
            "order": orders,
            "model": group.model,
            "task": group.task,
            "temperature": group.temperature,
            "counted": group.counted,
            "training": group.training,
        }


def _subject(of: Group | Finding) -> tuple[str, str, str]:
    return of.model, of.task, of.counted


def check_claim_class(kind: object) -> None:
    """Raise PluginError, which says what to write, unless something is a class of claims that can be used."""
    if not isinstance(kind, type) or not issubclass(kind, Claim):
        raise PluginError(f"{kind!r} is no class of claims; write a subclass of flexeval.claims.Claim")
    require_texts(kind, "claim", "sentence", "source", "unit", "lacking")
    if getattr(kind, "__abstractmethods__", ()):
        raise PluginError(f"claim {kind.name!r} has no method measure(); see flexeval.claims.Claim")
