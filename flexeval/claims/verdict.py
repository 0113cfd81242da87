"""The verdict on a claim by the rule of `flexeval.stats.verdict`: it holds, it does not hold, or it is unresolved.

A claim says that a quantity lies above a bound or below one. It *holds* when the quantity lies where the claim says, it
*does not hold* when it lies on the other side, and it is *unresolved* otherwise. "Better" has the bound 0. "Not worse"
has a margin below 0: it must be shown, and a wide interval does not show it.

In a table of many claims some would hold by chance alone. So each p-value is corrected by Holm's step-down over all
measured claims of the table: the chance that any verdict is wrong, one way or the other, is at most 5 % (`LEVEL`). An
interval may therefore exclude its bound although the claim is unresolved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flexeval.stats.intervals import Interval

Verdict = Literal["holds", "does not hold", "unresolved", "not measured"]

LEVEL = 0.05
"""Of all verdicts of a table together."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the data say for a claim and against it: p-values of the contrary, not corrected for other claims."""

    p_for: float
    """Small where the claim holds."""
    p_against: float
    """Small where it does not."""

    @property
    def p_value(self) -> float:
        """Of the way that the data point."""
        return min(self.p_for, self.p_against)

    @property
    def verdict(self) -> Verdict:
        """Of a claim by itself."""
        if not self.p_value <= LEVEL:
            return "unresolved"
        return "holds" if self.p_for < self.p_against else "does not hold"


NO_EVIDENCE = Judgement(p_for=1.0, p_against=1.0)


def judge(interval: Interval, *, above: float | None = None, below: float | None = None) -> Judgement:
    """Whether a quantity lies above a bound, or below one; give one of them, in the quantity's unit.

    The p-value is two-sided, as the interval is.
    """
    bound = above if above is not None else below
    if bound is None or (above is not None and below is not None):
        raise ValueError("give one of `above` and `below`")
    p_value = interval.p_value(bound)
    if p_value != p_value or interval.estimate == bound:
        return NO_EVIDENCE
    holds = interval.estimate > bound if above is not None else interval.estimate < bound
    return Judgement(p_for=p_value, p_against=1.0) if holds else Judgement(p_for=1.0, p_against=p_value)


def all_of(*parts: Judgement) -> Judgement:
    """Of a claim with several parts: it holds when all do, and does not hold as soon as one does not.

    The largest p-value of the parts counts for it (an intersection-union test, which needs no correction). The smallest
    p-value against a part counts against it, times the number of parts (Bonferroni).
    """
    return Judgement(
        p_for=max(part.p_for for part in parts),
        p_against=min(1.0, len(parts) * min(part.p_against for part in parts)),
    )
