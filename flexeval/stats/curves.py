"""Curves over k: with simultaneous bands, two of them compared, where they cross, and at a matched temperature.

A simultaneous band contains the whole true curve with the stated probability. It has the bounds of
`flexeval.stats.bootstrap` at one wider score for all columns: the score at which the stated share of bootstrap curves
stays inside at every k. It contains the intervals at each k, and is the interval where there is one k. Columns that
move together hardly widen it. A band of means has zero width where nothing varies, and consists of percentiles of
resampled means, so it never leaves the range of the values; a band of differences allows for problems that were not met
where few differ, as their intervals do.

Knows counts, and tables with one row a problem. It does not know what an order is.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from flexeval.errors import InputError
from flexeval.stats.bootstrap import DEFAULT, Bootstrap, Resampled, differences, means, paired_difference, resample
from flexeval.stats.intervals import Difference
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.verdict import Floats, side

# ----- bands -----


def pass_at_k_band(
    counts: pd.DataFrame,
    ks: Sequence[int],
    *,
    tasks: Sequence[Hashable] | None = None,
    bootstrap: Bootstrap = DEFAULT,
) -> pd.DataFrame:
    """Mean Pass@k with a simultaneous band.

    Args:
        counts: columns problem_id, n, c; one row a problem.
        ks: the band is simultaneous over these.
        tasks: the task of each row; None when all rows are of one task.
        bootstrap: level, replicates and seed.

    Returns:
        One row a k: k, estimate, low, high, as fractions.

    Raises:
        InputError: a problem with fewer than max(ks) samples, and what `interval` refuses.
    """
    return band(pass_at_k_table(counts, ks), tasks=tasks, bootstrap=bootstrap)


def difference_band(
    counts_a: pd.DataFrame,
    counts_b: pd.DataFrame,
    ks: Sequence[int],
    *,
    tasks: Sequence[Hashable] | None = None,
    bootstrap: Bootstrap = DEFAULT,
) -> pd.DataFrame:
    """Mean Pass@k of a minus that of b, paired by problem, with a simultaneous band.

    Args:
        counts_a: columns problem_id, n, c.
        counts_b: the same problems; n may differ.
        ks: the band is simultaneous over these.
        tasks: the task of each row of `counts_a`; None when all rows are of one task.
        bootstrap: level, replicates and seed.

    Returns:
        One row a k: k, estimate, low, high, as fractions; positive where a is better.

    Raises:
        InputError: other problems, a problem with fewer than max(ks) samples, and what `interval` refuses.
    """
    table = differences(pass_at_k_table(counts_a, ks), pass_at_k_table(counts_b, ks))
    return band_of_differences(table, tasks=tasks, largest=1.0, bootstrap=bootstrap)


def band(
    table: pd.DataFrame, *, tasks: Sequence[Hashable] | None = None, bootstrap: Bootstrap = DEFAULT
) -> pd.DataFrame:
    """The means of a table's columns with a band that contains all true means at once.

    Returns:
        One row a column: its label under the name of the column index, estimate, low, high.
    """
    resampled = resample(table, tasks=tasks, bootstrap=bootstrap)
    return _frame(table, resampled, resampled.bounds(joint_percentile(resampled, bootstrap)))


def band_of_differences(
    table: pd.DataFrame, *, tasks: Sequence[Hashable] | None = None, largest: float, bootstrap: Bootstrap = DEFAULT
) -> pd.DataFrame:
    """As `band`, for a table that `differences` gave: symmetric about the means, and at most `largest` from zero."""
    resampled = resample(table, tasks=tasks, bootstrap=bootstrap)
    return _frame(table, resampled, resampled.symmetric_bounds(joint_deviation(resampled, bootstrap), largest))


def _frame(table: pd.DataFrame, resampled: Resampled, bounds: tuple[Floats, Floats]) -> pd.DataFrame:
    low_K, high_K = bounds
    columns = {table.columns.name: table.columns, "estimate": resampled.means_K, "low": low_K, "high": high_K}
    return pd.DataFrame(columns)


def joint_percentile(resampled: Resampled, bootstrap: Bootstrap) -> float:
    """The normal score whose percentiles contain a share `level` of the replicate curves at every column.

    At least that of an interval at a single column, as in `joint_deviation`. Equal replicates are ranked by their
    number, alike in all columns: counted as one, they would hide how far out they are, and a band of few problems would
    be narrower than its intervals.
    """
    varies_K = np.ptp(resampled.replicates_RK, axis=0) > 1e-12
    rank_RK = stats.rankdata(resampled.replicates_RK[:, varies_K], method="ordinal", axis=0)
    replicates = len(rank_RK)
    tail_R = np.minimum(rank_RK, replicates + 1 - rank_RK).min(axis=1, initial=replicates / 2) / replicates
    return max(float(stats.norm.isf(np.quantile(tail_R, 1 - bootstrap.level))), bootstrap.score)


def joint_deviation(resampled: Resampled, bootstrap: Bootstrap) -> float:
    """The number of standard errors within which a share `level` of the replicate curves stays at every column.

    At least that of an interval at a single column, so that a band contains the intervals even where nothing varies;
    that itself where there is a single column, which needs no band.
    """
    if len(resampled.means_K) == 1:
        return bootstrap.score
    error_K = resampled.replicates_RK.std(axis=0)
    varies_K = error_K > 1e-12
    deviation_RK = np.abs(resampled.replicates_RK - resampled.means_K) / np.where(varies_K, error_K, np.inf)
    return max(float(np.quantile(deviation_RK.max(axis=1), bootstrap.level)), bootstrap.score)


# ----- two orders side by side -----


def pass_at_k_differences(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    ks: Sequence[int],
    bootstrap: Bootstrap = DEFAULT,
) -> dict[int, Difference]:
    """Pass@k of one run minus that of another on the same problems, at each k; fractions.

    Args:
        first: columns problem_id, n, c.
        second: the same problems; n may differ.
        ks: the values of k to compare at.
        bootstrap: level, replicates and seed.

    Raises:
        InputError: other problems, or a problem with fewer than max(ks) samples.
    """
    tables = (pass_at_k_table(counts, ks) for counts in (first, second))
    found = paired_difference(*tables, largest=1.0, bootstrap=bootstrap)
    return {k: found[k] for k in ks}


def comparison(
    table_a: pd.DataFrame,
    table_b: pd.DataFrame,
    *,
    tasks: Sequence[Hashable] | None = None,
    largest: float = math.inf,
    family: int = 1,
    bootstrap: Bootstrap = DEFAULT,
) -> pd.DataFrame:
    """Compare two tables column by column, paired by problem.

    Args:
        table_a: one row a problem, indexed by problem id: of `pass_at_k_table`, `pass_at_nfe_table`, `coverage_auc`.
        table_b: the same problems and columns.
        tasks: the task of each row of `table_a`; None when all rows are of one task.
        largest: the largest difference that a problem can have, in either direction: 1 for fractions.
        family: how many such comparisons are judged together. The band of each is at 1 - (1 - level) / family, so that
            all of them contain their true curves with probability `level`.
        bootstrap: level, replicates and seed.

    Returns:
        One row a column, in the unit of the tables: the column's label (under the name of the column index, else
        `measure`), a, b (means over problems, then over tasks), difference (a minus b), low, high (its interval),
        verdict (of the band), band_low, band_high (simultaneous over all rows), p_value (sign-flip test of this row
        alone; the exact McNemar test at k = n).

    Raises:
        InputError: what `paired_difference` refuses.
    """
    paired = paired_difference(table_a, table_b, tasks=tasks, largest=largest, bootstrap=bootstrap)
    at_once = dataclasses.replace(bootstrap, level=1 - (1 - bootstrap.level) / family)
    joint = band_of_differences(differences(table_a, table_b), tasks=tasks, largest=largest, bootstrap=at_once)
    bands = list(zip(joint["low"].tolist(), joint["high"].tolist(), strict=True))
    exact = [at.exact_p for at in paired.values()]
    return pd.DataFrame(
        {
            table_a.columns.name or "measure": list(table_a.columns),
            "a": means(table_a.to_numpy(), tasks=tasks),
            "b": means(table_b.loc[table_a.index].to_numpy(), tasks=tasks),
            "difference": [at.estimate for at in paired.values()],
            "low": [at.low for at in paired.values()],
            "high": [at.high for at in paired.values()],
            "verdict": [side(low, high, p, level=bootstrap.level) for (low, high), p in zip(bands, exact, strict=True)],
            "band_low": [low for low, _ in bands],
            "band_high": [high for _, high in bands],
            "p_value": exact,
        }
    )


# ----- the crossing point -----


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Where b overtakes a, or a overtakes b, for good."""

    k_star: float | None
    """The k at which the leader at the smallest k loses the lead for good. None if it leads or ties at the largest k,
    or if nobody leads at the smallest."""
    low: float | None
    """Lower bound of the interval; 0 if it reaches below the smallest k. None if k_star is."""
    high: float | None
    """Upper bound; infinite if it reaches beyond the largest k. None if k_star is."""
    share: float
    """The share of bootstrap replicates in which the leader at the smallest k is overtaken within the given ks."""
    leader: Literal["a", "b"] | None
    """Who leads at the smallest k; None for a tie there."""
    level: float
    """Nominal coverage, a fraction."""


def crossing_point(
    counts_a: pd.DataFrame,
    counts_b: pd.DataFrame,
    ks: Sequence[int],
    *,
    tasks: Sequence[Hashable] | None = None,
    bootstrap: Bootstrap = DEFAULT,
) -> Crossing:
    """Where the mean Pass@k curves of a and b cross for good.

    With d(k) = Pass@k of a minus that of b, averaged over problems, the leader is whoever d favours at the smallest k.
    The curves cross when d favours the other at the largest k. Then k* lies between the last k at which the leader
    still leads and the next one, where the line through both d, over log k, is zero. Curves may cross earlier and cross
    back; such crossings do not count.

    The interval is the percentile interval (with Student's tails) of k* over resamples of the problems. A resample
    in which the leader is never overtaken counts as k* = infinity, one in which it never leads as k* = 0. An interval
    that ends at either shows that the grid of k does not reach far enough.

    Args:
        counts_a: columns problem_id, n, c.
        counts_b: the same problems; n may differ.
        ks: at least two, ascending.
        tasks: the task of each row of `counts_a`; None when all rows are of one task.
        bootstrap: level, replicates and seed.

    Raises:
        InputError: ks that do not ascend, other problems, or a problem with fewer than max(ks) samples.
    """
    if len(ks) < 2 or any(a >= b for a, b in itertools.pairwise(ks)):
        raise InputError(f"a crossing point needs at least two values of k in ascending order, not {list(ks)}")
    table = differences(pass_at_k_table(counts_a, ks), pass_at_k_table(counts_b, ks))
    resampled = resample(table, tasks=tasks, bootstrap=bootstrap)
    sign = np.sign(_without_rounding(resampled.means_K)[0])
    if sign == 0:
        return Crossing(k_star=None, low=None, high=None, share=0.0, leader=None, level=bootstrap.level)

    crossings_R = _overtaken_at(sign * resampled.replicates_RK, ks)
    k_star = float(_overtaken_at(sign * resampled.means_K[None], ks)[0])
    low = high = None
    if math.isfinite(k_star):
        tail = stats.norm.sf(resampled.widened(bootstrap.score))
        # Replicates themselves, as there is nothing between a finite and an infinite one.
        ends = np.round(np.array([tail, 1 - tail]) * (bootstrap.replicates - 1)).astype(int)
        low, high = np.sort(crossings_R)[ends].tolist()
    return Crossing(
        k_star=k_star if math.isfinite(k_star) else None,
        low=low,
        high=high,
        share=float(((crossings_R > 0) & np.isfinite(crossings_R)).mean()),
        leader="a" if sign > 0 else "b",
        level=bootstrap.level,
    )


def _overtaken_at(leads_RK: Floats, ks: Sequence[int]) -> Floats:
    """Where each row turns negative for good; 0 if it is never positive, infinite if it does not end negative."""
    leads_RK = _without_rounding(leads_RK)
    log_K = np.log(np.asarray(ks, dtype=np.float64))
    leading_RK = leads_RK > 0
    ever_R = leading_RK.any(axis=1)
    overtaken_R = leads_RK[:, -1] < 0
    last_R = np.where(ever_R & overtaken_R, len(ks) - 1 - leading_RK[:, ::-1].argmax(axis=1), 0)
    before_R, after_R = (np.take_along_axis(leads_RK, at[:, None], axis=1)[:, 0] for at in (last_R, last_R + 1))
    crossed_R = ever_R & overtaken_R
    share_R = np.divide(before_R, before_R - after_R, out=np.zeros_like(before_R), where=crossed_R)
    k_R = np.exp(log_K[last_R] + share_R * (log_K[last_R + 1] - log_K[last_R]))
    return np.select([~overtaken_R, ~ever_R], [np.inf, 0.0], default=k_R)


def _without_rounding(values: Floats) -> Floats:
    """Set differences that are rounding errors to zero."""
    return np.where(np.abs(values) < 1e-12, 0.0, values)


# ----- at a matched temperature -----


class OutOfReach(InputError):
    """The target lies beyond the sampled temperatures."""


@dataclass(frozen=True, kw_only=True)
class Match:
    """The place of the target between two sampled temperatures."""

    lower: float
    upper: float
    """The sampled temperatures; equal where one of them meets the target."""
    weight: float
    """Of the upper one, a fraction."""

    @property
    def temperature(self) -> float:
        """On the line between the two."""
        return self.lower + self.weight * (self.upper - self.lower)


def match_entropy(entropies: Mapping[float, float], target: float) -> Match:
    """Find the temperature at which the mean entropy equals the target, by linear interpolation.

    Args:
        entropies: temperature -> mean entropy at commit, nats.
        target: nats.

    Returns:
        The lowest such temperature if there are several.

    Raises:
        OutOfReach: no two neighbouring temperatures enclose the target. Nothing is extrapolated.
    """
    by_temperature = sorted(entropies.items())
    # The last temperature has no neighbour above, but may be the target itself.
    for (lower, below), (upper, above) in itertools.pairwise([*by_temperature, *by_temperature[-1:]]):
        if below == target:
            return Match(lower=lower, upper=lower, weight=0.0)
        if min(below, above) < target < max(below, above):
            return Match(lower=lower, upper=upper, weight=(target - below) / (above - below))
    reached = ", ".join(f"{entropy:.3f} at T = {temperature:g}" for temperature, entropy in by_temperature)
    raise OutOfReach(
        f"a mean entropy of {target:.3f} nats lies outside what was sampled ({reached}); sample temperatures that "
        "reach it"
    )


def matched_pass_at_k(
    lower: pd.DataFrame,
    upper: pd.DataFrame,
    match: Match,
    ks: Sequence[int],
    *,
    bootstrap: Bootstrap = DEFAULT,
) -> pd.DataFrame:
    """Mean Pass@k at the matched temperature, with a simultaneous band: each problem's value is interpolated.

    The band treats the matched temperature as known.

    Args:
        lower: columns problem_id, n, c, of the run at the match's lower temperature.
        upper: the same problems at the upper one.
        match: from `match_entropy`.
        ks: the values of k.
        bootstrap: level, replicates and seed.

    Returns:
        One row a k: k, estimate, low, high, fractions.

    Raises:
        InputError: other problems, or a problem with fewer than max(ks) samples.
    """
    below, above = pass_at_k_table(lower, ks), pass_at_k_table(upper, ks)
    mixed = below + match.weight * differences(above, below).loc[below.index]
    return band(mixed, bootstrap=bootstrap)
