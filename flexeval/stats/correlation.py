"""Do two orders find the same problems hard? The correlation of their accuracies, problem by problem."""

from __future__ import annotations

import numpy as np
import pandas as pd

from flexeval.errors import InputError
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.resampling import LEVEL, REPLICATES, bootstrap_means
from flexeval.stats.verdict import Interval


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
    """Pearson's correlation of the accuracies of two orders, with its percentile interval over problems.

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
    (estimate,) = _correlation(moments_PK.mean(axis=0)[None])
    low = high = float("nan")
    if not np.isnan(estimate):
        resampled_R = _correlation(bootstrap_means(moments_PK, replicates=replicates, seed=seed))
        low, high = map(float, np.nanquantile(resampled_R, [(1 - level) / 2, (1 + level) / 2]))
    return Interval(estimate=float(estimate), low=low, high=high, level=level, problems=len(pairs))


def _correlation(means_RK: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> np.ndarray[
    tuple[int], np.dtype[np.float64]
]:  # fmt: skip
    """From the means of a, b, a^2, b^2 and ab; NaN where one of the two does not vary."""
    a_R, b_R, aa_R, bb_R, ab_R = means_RK.T
    variance_R = (aa_R - a_R**2) * (bb_R - b_R**2)
    varies_R = np.minimum(aa_R - a_R**2, bb_R - b_R**2) > 1e-12
    root_R = np.sqrt(np.where(varies_R, variance_R, 1.0))
    return np.where(varies_R, np.clip((ab_R - a_R * b_R) / root_R, -1, 1), np.nan)
