"""Estimates with intervals: the records, their p-values, how they are written, and Wilson's interval of a share.

The p-value of a bound belongs to the interval: it is 1 - level of the narrowest interval that contains the bound. For a
paired difference and the bound 0 it is at least that of the sign-flip test (`flexeval.stats.verdict`).

Knows numbers. It does not know what they measure, nor how an interval was made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from flexeval.errors import InputError
from flexeval.stats.verdict import Floats, Verdict, differing, side, sign_flip_p

LEVEL = 0.95
"""The level of intervals, unless another one is asked for."""
Bounds = Callable[[float], tuple[float, float]]
"""Standard deviations of a normal, 1.96 for 95 % -> the (low, high) of an interval that reaches so far."""

_FURTHEST = 4.0
"""Standard deviations: no p-value is below 6e-5, since 10,000 replicates say nothing about rarer events."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate and its interval, in the unit of the table it came from."""

    estimate: float
    low: float = field(init=False)
    high: float = field(init=False)
    level: float
    """Nominal coverage, a fraction."""
    problems: int
    """Problems behind it. With one problem, or problems that all agree, the interval of a mean has zero width."""
    at: Bounds = field(repr=False, compare=False)
    """The interval at any level; `low` and `high` are its ends at `level`."""

    def __post_init__(self) -> None:
        low, high = self.at(normal_score(self.level))
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @classmethod
    def unknown(cls, *, level: float = LEVEL, problems: int = 0) -> Interval:
        """Where there is no estimate: NaN, bounds included."""
        return Interval(estimate=math.nan, level=level, problems=problems, at=lambda score: (math.nan, math.nan))

    def numbers(self) -> dict[str, float | int]:
        """The fields that are numbers, by name."""
        return {name: getattr(self, name) for name in ("estimate", "low", "high", "level", "problems")}

    def text(self, form: str = ".1f", *, scale: float = 1.0, unit: str = "") -> str:
        """The estimate and its interval as `interval_text` writes them."""
        return interval_text(self.estimate, self.low, self.high, form, scale=scale, unit=unit)

    def p_value(self, bound: float) -> float:
        """Two-sided, of the hypothesis that the true value is the bound; NaN where there is no estimate.

        It is never below 2 * 0.5 ** problems, which is what a sign test gives when all problems agree.
        """
        if math.isnan(self.estimate):
            return math.nan
        return min(1.0, max(_excluded_at(self.at, bound), 2 * 0.5**self.problems))

    def side(self, bound: float = 0.0) -> Verdict:
        """On which side of the bound the true value is, by the rule of `flexeval.stats.verdict`."""
        return side(self.low, self.high, self.p_value(bound), level=self.level, bound=bound)


@dataclass(frozen=True, kw_only=True)
class Difference(Interval):
    """A mean difference paired by problem, first minus second."""

    shares_P: Floats = field(repr=False, compare=False)
    """What each problem adds to the estimate."""
    largest: float = math.inf
    """The largest difference that a problem can have, in either direction: 1 for fractions."""

    @property
    def exact_p(self) -> float:
        """The p-value of the sign-flip test; at k = n this is the exact McNemar test."""
        return sign_flip_p(self.shares_P)

    @property
    def verdict(self) -> Verdict:
        """On which side of zero the difference is."""
        return self.side(0.0)

    def p_value(self, bound: float) -> float:
        """As that of `Interval`, but only the problems that differ count.

        For the bound 0 the sign-flip test takes care of that. For another bound the interval does where differences are
        bounded (it is wider where few differ); where they are not, the problems that differ must be enough to be
        evidence when they all agree.
        """
        p = super().p_value(bound)
        if bound == 0:
            return max(p, self.exact_p)
        return p if math.isfinite(self.largest) else max(p, min(1.0, 2 * 0.5 ** differing(self.shares_P)))


def interval_text(
    estimate: float, low: float, high: float, form: str = ".1f", *, scale: float = 1.0, unit: str = ""
) -> str:
    """`estimate [low, high]`, for example `62.5 % [51.0, 72.9]`.

    Args:
        estimate, low, high: the numbers.
        form: the format of each, as in `.1f` or `+.3f`.
        scale: what each is multiplied by: 100 turns fractions into percent.
        unit: comes after the estimate, with its space, as in " %".
    """
    return f"{scale * estimate:{form}}{unit} {bounds_text(low, high, form, scale=scale)}"


def p_value_text(p: float) -> str:
    """A p-value to three digits."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def bounds_text(low: float, high: float, form: str = ".1f", *, scale: float = 1.0) -> str:
    """`[low, high]`; arguments as in `interval_text`."""
    return f"[{scale * low:{form}}, {scale * high:{form}}]"


def normal_score(level: float) -> float:
    """How many standard deviations around its mean hold the middle `level` of a normal distribution: 1.96 for 0.95.

    Raises:
        InputError: a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise InputError(f"level must lie in (0, 1), as in 0.95, not {level}")
    return float(stats.norm.ppf((1 + level) / 2))


def wilson(successes: ArrayLike, trials: ArrayLike, *, level: float = LEVEL) -> tuple[Floats, Floats]:
    """(low, high) of Wilson's score interval for a proportion, as fractions; (0, 1) where there is no trial.

    Wilson 1927, without continuity correction. The arrays broadcast.

    Raises:
        InputError: a level outside (0, 1).
    """
    return wilson_bounds(successes, trials, normal_score(level))


def wilson_bounds(successes: ArrayLike, trials: ArrayLike, score: float) -> tuple[Floats, Floats]:
    """As `wilson`, at `score` standard deviations of a normal: the proportions that a score test does not reject."""
    k, n = np.broadcast_arrays(np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64))
    z = score
    rate = np.divide(k, n, out=np.full(n.shape, 0.5), where=n > 0)
    centre = (n * rate + z * z / 2) / (n + z * z)
    half = z * np.sqrt(n * rate * (1 - rate) + z * z / 4) / (n + z * z)
    # At the ends the formula is exactly 0 and 1, but for rounding.
    low, high = np.where(k == 0, 0.0, centre - half), np.where(k == n, 1.0, centre + half)
    return low, high


def _excluded_at(at: Bounds, bound: float) -> float:
    """1 - level of the narrowest interval that contains the bound, by bisection over how far the interval reaches."""

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
