"""The one rule that turns a measured quantity into a verdict, and what it needs: intervals, p-values, Holm's step-down.

A quantity lies *above* a bound where all of its interval does and its p-value is at most 1 - level, *below* likewise,
and is *unresolved* otherwise; it is never "equal". Tables of `passk`, `compare` and the report apply the rule to the
simultaneous band of a curve, claims to an interval, with p-values corrected for the number of claims.

The p-value of a bound belongs to the interval: it is 1 - level of the narrowest interval that holds the bound. Of a
paired difference and the bound 0 it is at least that of the paired sign-flip test (Fisher, The Design of Experiments,
1935, section 21): if two orders were the same thing under two names, each problem's difference would have either sign
with equal chance. This test is exact whatever the differences look like, where the bootstrap takes it on trust that
what few problems show is what all would show. Where all differences that there are have one size, as those of coverage
(Pass@k at k = n) have, it is the exact McNemar test on the problems that one order alone solves.

Knows numbers, one a problem. It does not know what they measure.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Verdict = Literal["above", "below", "unresolved"]
Bounds = Callable[[float], tuple[float, float]]
"""Standard deviations of a normal, 1.96 for 95 % -> the (low, high) of an interval that reaches so far."""

FLIPS = 10_000
"""Of the signs, drawn at random where there are more ways to choose them."""
_ROUNDING = 1e-14
"""A share of a mean that only rounding tells from none."""
_FURTHEST = 4.0
"""Standard deviations: no p-value is below 6e-5, since 10,000 replicates say nothing of rarer things."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and its interval, in the unit of the table it came from."""

    estimate: float
    low: float
    high: float
    level: float
    """Nominal coverage, a fraction."""
    problems: int
    """Problems behind it. One problem, or problems that all agree, give a mean's interval no width."""
    at: Bounds = field(repr=False, compare=False)
    """The same interval at another level."""

    def numbers(self) -> dict[str, float | int]:
        """The fields that are numbers, by name."""
        return {name: getattr(self, name) for name in ("estimate", "low", "high", "level", "problems")}

    def p_value(self, bound: float) -> float:
        """Two-sided, of the hypothesis that the truth is the bound; NaN where there is no estimate.

        At least what a sign test of so few problems could give were they unanimous: 2 * 0.5 ** problems.
        """
        if math.isnan(self.estimate):
            return math.nan
        return min(1.0, max(_excluded_at(self.at, bound), 2 * 0.5**self.problems))

    def side(self, bound: float = 0.0) -> Verdict:
        """Where the truth lies: the rule above, of one quantity by itself."""
        return side(self.low, self.high, self.p_value(bound), level=self.level, bound=bound)


@dataclass(frozen=True, kw_only=True)
class Difference(Interval):
    """A mean difference paired by problem, first minus second."""

    shares_P: Floats = field(repr=False, compare=False)
    """What each problem adds to the estimate."""
    largest: float = math.inf
    """What no problem's difference can exceed, to either side: 1 for fractions."""

    @property
    def exact_p(self) -> float:
        """Of the sign-flip test; at k = n this is the exact McNemar test."""
        return sign_flip_p(self.shares_P)

    @property
    def verdict(self) -> Verdict:
        """Which side of zero."""
        return self.side(0.0)

    def p_value(self, bound: float) -> float:
        """As that of `Interval`, but it is the problems that differ that count.

        For 0 the sign-flip test sees to that. For a margin the interval does where differences are bounded (it is wider
        where few differ); where they are not, unanimity among those that differ must be evidence.
        """
        p = super().p_value(bound)
        if bound == 0:
            return max(p, self.exact_p)
        return p if math.isfinite(self.largest) else max(p, min(1.0, 2 * 0.5 ** differing(self.shares_P)))


def side(low: float, high: float, p_value: float, *, level: float, bound: float = 0.0) -> Verdict:
    """The rule. `low` and `high` are of an interval or, where a curve is judged, of its simultaneous band."""
    if not p_value <= 1 - level:
        return "unresolved"
    if low > bound:
        return "above"
    return "below" if high < bound else "unresolved"


def differing(shares_P: Floats) -> float:
    """How many problems differ, each counted by its size: the squared sum of the sizes over the sum of their squares.

    Equal differences count one each. Beside a few large differences, very small ones count next to nothing.
    """
    size_P = np.abs(shares_P)
    largest = float(size_P.max(initial=0.0))
    if largest <= _ROUNDING:
        return 0.0
    relative_P = size_P / largest
    return float(relative_P.sum() ** 2 / (relative_P**2).sum())


def sign_flip_p(shares_P: Floats) -> float:
    """The p-value of the paired sign-flip test, two-sided; 1 where no problem differs.

    Exact: a sum of binomials where all differences have one size, by enumeration where there are few; of `FLIPS` random
    flips otherwise, the observed signs counted as one more.

    Args:
        shares_P: the difference of each problem, up to one factor.
    """
    shares_D = shares_P[np.abs(shares_P) > _ROUNDING]
    size_D, count = np.abs(shares_D), len(shares_D)
    if not count:
        return 1.0
    if np.ptp(size_D) <= 1e-9 * size_D.max():
        return float(stats.binomtest(int((shares_D > 0).sum()), count).pvalue)
    enumerated = 2**count <= FLIPS
    if enumerated:
        sign_FD = np.array(list(itertools.product((-1.0, 1.0), repeat=count)))
    else:
        sign_FD = np.random.default_rng(0).integers(0, 2, size=(FLIPS, count), dtype=np.int8) * 2.0 - 1.0
    # Equal sums may differ by rounding.
    as_extreme = int((np.abs(sign_FD @ size_D) >= abs(float(shares_D.sum())) * (1 - 1e-9)).sum())
    return as_extreme / len(sign_FD) if enumerated else (1 + as_extreme) / (1 + len(sign_FD))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down: the p-values as they are to be compared with one level for all of them.

    With 5 % asked of each adjusted value, the chance that any true hypothesis is rejected is at most 5 %, however the
    tests depend on each other (Holm, A simple sequentially rejective multiple test procedure, 1979). NaN, of what has
    no estimate, counts as 1.
    """
    known = [1.0 if math.isnan(p) else p for p in p_values]
    adjusted = [1.0] * len(known)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(known)), key=known.__getitem__)):
        largest = max(largest, min(1.0, (len(known) - rank) * known[index]))
        adjusted[index] = largest
    return adjusted


def _excluded_at(at: Bounds, bound: float) -> float:
    """1 - level of the narrowest interval that holds the bound, by bisection over how far the interval reaches."""

    def holds(score: float) -> bool:
        low, high = at(score)
        return low <= bound <= high

    near, far = 0.0, _FURTHEST
    if holds(near):
        return 1.0
    if holds(far):
        while far - near > 1e-5:
            middle = (near + far) / 2
            near, far = (near, middle) if holds(middle) else (middle, far)
    return float(2 * stats.norm.sf(far))
