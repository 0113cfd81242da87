"""The one rule that turns a measured quantity into a verdict, the exact test behind it, and Holm's correction.

A quantity is *above* a bound if its whole interval is and its p-value is at most 1 - level; *below* likewise; and
*unresolved* otherwise. It is never "equal". Tables of `passk`, `compare` and the report apply the rule to the
simultaneous band of a curve, claims apply it to an interval, with p-values corrected for the number of claims.

The paired sign-flip test (Fisher, The Design of Experiments, 1935, section 21) asks: if two orders were the same thing
under two names, each problem's difference would have either sign with equal chance. It is exact whatever the
differences look like, whereas the bootstrap assumes that the few problems seen stand for all. Where all nonzero
differences have one size, as those of coverage (Pass@k at k = n) have, it is the exact McNemar test on the problems
that one order alone solves.

Knows numbers, one a problem. It does not know what they measure.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Verdict = Literal["above", "below", "unresolved"]

FLIPS = 10_000
"""Random sign flips, used where there are more ways to choose the signs."""
_ROUNDING = 1e-14
"""Shares of a mean that are smaller than this are rounding errors."""


def side(low: float, high: float, p_value: float, *, level: float, bound: float = 0.0) -> Verdict:
    """The rule. `low` and `high` are the ends of an interval or, where a curve is judged, of its simultaneous band."""
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
    """The two-sided p-value of the paired sign-flip test; 1 where no problem differs.

    It is exact where all differences have one size (a sum of binomials) or where there are few (enumeration). Otherwise
    it uses `FLIPS` random flips and counts the observed signs as one more.

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
    """Holm's step-down correction: p-values that can all be compared with one level.

    With each adjusted value held against 5 %, the chance of rejecting any true hypothesis is at most 5 %, however the
    tests depend on each other (Holm, A simple sequentially rejective multiple test procedure, 1979). NaN, the p-value
    of a missing estimate, counts as 1.
    """
    known = [1.0 if math.isnan(p) else p for p in p_values]
    adjusted = [1.0] * len(known)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(known)), key=known.__getitem__)):
        largest = max(largest, min(1.0, (len(known) - rank) * known[index]))
        adjusted[index] = largest
    return adjusted
