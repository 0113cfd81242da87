"""The rule that turns an interval into a verdict. The only one: every claim states its quantity and its bounds, and
this decides.

A claim says that a quantity lies above a bound, below one, or between two. It *holds* when the whole interval does, it
*does not hold* when the whole interval lies on the other side of a bound, and it is *unresolved* otherwise. "Better"
has the bound 0; "not worse" has a margin below 0, so that it must be shown and never follows from a wide interval.

The intervals are two-sided at 95 %, so that a claim whose quantity sits on its bound is taken to hold, wrongly, about
one time in forty. Nothing is corrected for the number of claims.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from flexeval.stats import Interval

Verdict = Literal["holds", "does not hold", "unresolved", "not measured"]


def verdict(interval: Interval, *, above: float = -float("inf"), below: float = float("inf")) -> Verdict:
    """Whether a quantity lies between two bounds.

    Unresolved, too, where there are so few problems that even a unanimous sign would be no evidence at this level
    (two-sided sign test: 2 * 0.5 ** problems > 1 - level), and where the interval has NaN.

    Args:
        interval: of the quantity.
        above, below: the bounds, in its unit.
    """
    if 2 * 0.5**interval.problems > 1 - interval.level:
        return "unresolved"
    if interval.low > above and interval.high < below:
        return "holds"
    if interval.high < above or interval.low > below:
        return "does not hold"
    return "unresolved"


def all_of(*verdicts: Verdict) -> Verdict:
    """Of a claim with several parts: it holds when all do, and does not hold as soon as one does not."""
    if "does not hold" in verdicts:
        return "does not hold"
    return "holds" if all(each == "holds" for each in verdicts) else "unresolved"


def widened(interval: Interval) -> Interval:
    """The interval of a mean of values in [-1, 1], with room for what no problem showed.

    Where all problems agree a bootstrap interval has no width, though another problem might differ: with P problems,
    a share of 1 - (1 - level) ** (1 / P) of all problems could differ and not have been seen (the rule of three).
    """
    if interval.high - interval.low > 1e-12:
        return interval
    unseen = 1 - (1 - interval.level) ** (1 / interval.problems)
    return dataclasses.replace(interval, low=interval.low - unseen, high=interval.high + unseen)
