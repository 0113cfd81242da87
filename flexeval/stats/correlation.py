"""Do two orders find the same problems hard? The correlation of their accuracies, problem by problem."""

from __future__ import annotations

import numpy as np
import pandas as pd

from flexeval.errors import InputError
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.resampling import LEVEL, REPLICATES, Resampled, bootstrap_means, normal_score
from flexeval.stats.verdict import Floats, Interval

_NEARLY_ONE = 1 - 1e-12


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

    The interval is symmetric on Fisher's scale, z = artanh r, where the correlation's sampling error depends little on
    the correlation: z +- bootstrap standard error with Student's tails, turned back. Plain percentiles hold the truth
    too rarely (results/stats/coverage.md).

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
    estimate = _correlation(moments_PK.mean(axis=0)[None])
    resampled_R = _correlation(bootstrap_means(moments_PK, replicates=replicates, seed=seed))
    fisher = Resampled(
        means_K=_fisher(estimate),
        replicates_RK=_fisher(resampled_R[~np.isnan(resampled_R)])[:, None],
        influence_PK=np.zeros((len(pairs), 1)),
        shares_PK=np.zeros((len(pairs), 1)),
        problems=len(pairs),
        tasks=1,
    )

    def at(score: float) -> tuple[float, float]:
        if np.isnan(estimate[0]):
            return float("nan"), float("nan")
        low, high = (float(np.tanh(bound[0])) for bound in fisher.symmetric_bounds(score))
        return low, high

    low, high = at(normal_score(level))
    return Interval(estimate=float(estimate[0]), low=low, high=high, level=level, problems=len(pairs), at=at)


def _fisher(correlations: Floats) -> Floats:
    """Fisher's z; that of a perfect correlation is finite, so that many of them have no spread."""
    z: Floats = np.arctanh(np.clip(correlations, -_NEARLY_ONE, _NEARLY_ONE))
    return z


def _correlation(means_RK: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> np.ndarray[
    tuple[int], np.dtype[np.float64]
]:  # fmt: skip
    """From the means of a, b, a^2, b^2 and ab; NaN where one of the two does not vary."""
    a_R, b_R, aa_R, bb_R, ab_R = means_RK.T
    variance_R = (aa_R - a_R**2) * (bb_R - b_R**2)
    varies_R = np.minimum(aa_R - a_R**2, bb_R - b_R**2) > 1e-12
    root_R = np.sqrt(np.where(varies_R, variance_R, 1.0))
    return np.where(varies_R, np.clip((ab_R - a_R * b_R) / root_R, -1, 1), np.nan)
