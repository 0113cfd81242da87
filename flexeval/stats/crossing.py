"""The crossing point k*: where the Pass@k curve of one order overtakes that of another.

Knows counts. Between two values of k the difference of the curves is taken as linear in log k.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from flexeval.errors import InputError
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.resampling import LEVEL, REPLICATES, differences, normal_score, resample
from flexeval.stats.verdict import Floats


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Where b overtakes a, or a overtakes b, for good."""

    k_star: float | None
    """The k from which on the order that leads at the smallest k leads no more; None when it leads, or ties, at the
    largest k, or when nobody leads at the smallest."""
    low: float | None
    """Lower bound of the interval: 0 when it reaches below the smallest k; None with k_star."""
    high: float | None
    """Upper bound: infinite when it reaches beyond the largest k; None with k_star."""
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
    level: float = LEVEL,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Crossing:
    """Where the mean Pass@k curves of a and b cross to stay crossed.

    With d(k) = Pass@k of a minus that of b, averaged over problems, the leader is whoever d favours at the smallest k.
    The curves cross when d favours the other at the largest k. Then k* lies between the last k at which the leader
    still leads and the next one, where the line through both d, over log k, is zero. Earlier crossings that are
    taken back do not count.

    The interval is the percentile interval (with Student's tails) of k* over resamples of the problems. A resample
    in which the leader is never overtaken counts as k* = infinity, one in which it never leads as k* = 0: an interval
    that ends there says that the grid of k does not reach far enough.

    Args:
        counts_a: columns problem_id, n, c.
        counts_b: the same problems; n may differ.
        ks: at least two, ascending.
        tasks: the task of each row of `counts_a`; None when all rows are of one task.
        level: nominal coverage, a fraction in (0, 1).
        replicates, seed: of the bootstrap.

    Raises:
        InputError: ks that do not ascend, other problems, or a problem with fewer than max(ks) samples.
    """
    if len(ks) < 2 or any(a >= b for a, b in itertools.pairwise(ks)):
        raise InputError(f"a crossing point needs at least two values of k in ascending order, not {list(ks)}")
    table = differences(pass_at_k_table(counts_a, ks), pass_at_k_table(counts_b, ks))
    resampled = resample(table, tasks=tasks, replicates=replicates, level=level, seed=seed)
    sign = np.sign(_without_rounding(resampled.means_K)[0])
    if sign == 0:
        return Crossing(k_star=None, low=None, high=None, share=0.0, leader=None, level=level)

    crossings_R = _overtaken_at(sign * resampled.replicates_RK, ks)
    k_star = float(_overtaken_at(sign * resampled.means_K[None], ks)[0])
    low = high = None
    if math.isfinite(k_star):
        tail = stats.norm.sf(resampled.widened(normal_score(level)))
        # Replicates themselves, as there is nothing between a finite and an infinite one.
        ends = np.round(np.array([tail, 1 - tail]) * (replicates - 1)).astype(int)
        low, high = np.sort(crossings_R)[ends].tolist()
    return Crossing(
        k_star=k_star if math.isfinite(k_star) else None,
        low=low,
        high=high,
        share=float(((crossings_R > 0) & np.isfinite(crossings_R)).mean()),
        leader="a" if sign > 0 else "b",
        level=level,
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
    """Differences that only rounding tells from zero are zero."""
    return np.where(np.abs(values) < 1e-12, 0.0, values)
