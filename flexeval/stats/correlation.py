"""Do two orders find the same problems hard? The correlation of their accuracies, problem by problem."""

from __future__ import annotations

import numpy as np
import pandas as pd

from flexeval.errors import InputError
from flexeval.stats.bootstrap import first_column
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.resampling import LEVEL, REPLICATES, Resampled, bootstrap_means, normal_score
from flexeval.stats.verdict import Floats, Interval


def accuracy_pairs(counts_a: pd.DataFrame, counts_b: pd.DataFrame) -> pd.DataFrame:
    """The accuracy of each problem under both orders: problem_id, a, b; fractions, in the order of `counts_a`.

    Raises:
        InputError: other problems in `counts_b`, or a problem without a sample.
    """
    a, b = (pass_at_k_table(counts, [1])[1] for counts in (counts_a, counts_b))
    if set(a.index) != set(b.index):
        odd = sorted(set(a.index) ^ set(b.index))[0]
        raise InputError(f"the two are not on the same problems: {odd!r} is in one only; compare runs of one task")
    return pd.DataFrame({"a": a, "b": b.loc[a.index]}).reset_index()


def accuracy_correlation(
    pairs: pd.DataFrame, *, replicates: int = REPLICATES, level: float = LEVEL, seed: int = 0
) -> Interval:
    """Pearson's correlation of the accuracies of two orders, with its interval over problems.

    The interval is BCa over problems with Student's tails, as that of a mean: correlations are skewed near 1, and plain
    percentiles hold the truth too rarely (results/stats/coverage.md).

    Figure 11 of "The Flexibility Trap" (arXiv:2601.15165). Accuracies from n samples carry noise, which pulls the
    correlation towards 0: two runs of one order correlate by less than 1, the more so the smaller n.

    Args:
        pairs: columns a and b, fractions; one row a problem (`accuracy_pairs`).
        replicates, level, seed: of the bootstrap.

    Returns:
        NaN, bounds included, where one of the two has the same accuracy on every problem. Resamples in which that
        happens are left out of the interval.
    """
    centred = (pairs[["a", "b"]] - pairs[["a", "b"]].mean()).to_numpy()
    a_P, b_P = centred.T
    moments_PK = np.stack([a_P, b_P, a_P * a_P, b_P * b_P, a_P * b_P], axis=1)
    estimate_K = _correlation(moments_PK.mean(axis=0)[None])
    if np.isnan(estimate_K).any():
        nan = float("nan")
        return Interval(estimate=nan, low=nan, high=nan, level=level, problems=len(pairs), at=lambda score: (nan, nan))

    replicates_R = _correlation(bootstrap_means(moments_PK, replicates=replicates, seed=seed))
    resampled = Resampled(
        means_K=estimate_K,
        replicates_RK=replicates_R[~np.isnan(replicates_R)][:, None],
        influence_PK=_influence(a_P, b_P, float(estimate_K[0]))[:, None],
        shares_PK=np.full((len(pairs), 1), estimate_K[0] / len(pairs)),
        problems=len(pairs),
        tasks=1,
    )
    at = first_column(resampled.bounds)
    low, high = at(normal_score(level))
    return Interval(estimate=float(estimate_K[0]), low=low, high=high, level=level, problems=len(pairs), at=at)


def _influence(a_P: Floats, b_P: Floats, correlation: float) -> Floats:
    """What each problem adds to the correlation's deviation, to first order: ab - r (a^2 + b^2) / 2, standardised."""
    a_P, b_P = a_P / a_P.std(), b_P / b_P.std()
    influence_P: Floats = (a_P * b_P - correlation * (a_P**2 + b_P**2) / 2) / len(a_P)
    return influence_P


def _correlation(means_RK: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> np.ndarray[
    tuple[int], np.dtype[np.float64]
]:  # fmt: skip
    """From the means of a, b, a^2, b^2 and ab; NaN where one of the two does not vary."""
    a_R, b_R, aa_R, bb_R, ab_R = means_RK.T
    variance_R = (aa_R - a_R**2) * (bb_R - b_R**2)
    varies_R = np.minimum(aa_R - a_R**2, bb_R - b_R**2) > 1e-12
    root_R = np.sqrt(np.where(varies_R, variance_R, 1.0))
    return np.where(varies_R, np.clip((ab_R - a_R * b_R) / root_R, -1, 1), np.nan)
