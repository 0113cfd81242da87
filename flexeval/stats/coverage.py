"""Two orders problem by problem: which problems each solves at n samples, and whether they find the same ones hard.

Knows counts. A problem is solved when at least one of its n samples is correct.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from flexeval.errors import InputError
from flexeval.stats.bootstrap import (
    DEFAULT,
    Bootstrap,
    Resampled,
    bootstrap_means,
    differences,
    first_column,
    require_same_problems,
)
from flexeval.stats.intervals import LEVEL, Interval, wilson_bounds
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.verdict import Floats, sign_flip_p


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Problems by who solves them, of two orders a and b on the same problems."""

    a_only: int
    """Problems that a solves and b does not."""
    b_only: int
    both: int
    neither: int
    n: int
    """Samples of each problem, the same in both."""
    p_value: float
    """Exact McNemar test, two-sided: were a_only and b_only a fair split of the problems that one order alone solves?
    1 when there are none."""
    share_of_b: Interval | None
    """Of the problems that b solves, the share that a solves too, with a Wilson interval; None when b solves none."""

    @property
    def problems(self) -> int:
        """All problems."""
        return self.a_only + self.b_only + self.both + self.neither


def coverage(counts_a: pd.DataFrame, counts_b: pd.DataFrame, *, level: float = LEVEL) -> Coverage:
    """Who solves what at n.

    Args:
        counts_a: columns problem_id, n, c; every problem with the same n.
        counts_b: the same problems, with the same n: more samples solve more problems, whatever the order.
        level: nominal coverage of the interval, a fraction in (0, 1).

    Raises:
        InputError: other problems, no problem, or unequal n.
    """
    n = _common_n(counts_a, counts_b)
    a, b = (counts.set_index("problem_id")[["c"]] for counts in (counts_a, counts_b))
    difference = differences(a.clip(upper=1), b.clip(upper=1))["c"]
    a_only, b_only = int((difference > 0).sum()), int((difference < 0).sum())
    both = int((b["c"] > 0).sum()) - b_only
    single = a_only + b_only
    return Coverage(
        a_only=a_only,
        b_only=b_only,
        both=both,
        neither=len(a) - single - both,
        n=n,
        p_value=sign_flip_p(difference.to_numpy(dtype=np.float64)),
        share_of_b=_share(both, both + b_only, level),
    )


def coverage_frame(coverage: Coverage) -> pd.DataFrame:
    """One row a part (a_only, b_only, both, neither): part, problems, share (a fraction of all problems)."""
    parts = ["a_only", "b_only", "both", "neither"]
    counts = [getattr(coverage, part) for part in parts]
    return pd.DataFrame({"part": parts, "problems": counts, "share": np.array(counts) / coverage.problems})


def flips(samples_a: pd.DataFrame, samples_b: pd.DataFrame) -> pd.DataFrame:
    """What became right and what became wrong from run a to run b, problem by problem.

    A flip is a sample that is correct in one run and wrong in the other. Sample i of one run is paired with sample i of
    the other: with one seed they draw the same random numbers, so that what differs is what the runs differ in. Counts
    of flips are those of McNemar's table; of one sample a problem they are NeMo-Evaluator's flips.

    Args:
        samples_a: columns problem_id, sample_index, correct.
        samples_b: the same problems and sample numbers.

    Returns:
        One row a problem, sorted by how much the accuracy changes, then as in `samples_a`: problem_id, n, c_a, c_b
        (correct samples), lost (right in a and wrong in b), gained (wrong in a and right in b), difference (accuracy of
        a minus that of b, a fraction), solved_by: "a", "b", "both" or "neither", at n.

    Raises:
        InputError: other problems or sample numbers, or no sample.
    """
    keys = ["problem_id", "sample_index"]
    a, b = (samples[[*keys, "correct"]].astype({"problem_id": object}) for samples in (samples_a, samples_b))
    require_same_problems(pd.Index(a["problem_id"].unique()), pd.Index(b["problem_id"].unique()))
    paired = a.merge(b, on=keys, suffixes=("_a", "_b"), how="outer", sort=False)
    unpaired = paired[paired[["correct_a", "correct_b"]].isna().any(axis=1)]
    if len(unpaired):
        raise InputError(
            f"flips need the same samples of both runs, but only one has sample {unpaired['sample_index'].iloc[0]} of "
            f"{unpaired['problem_id'].iloc[0]!r}; compare the first samples of each with --num-samples"
        )
    if paired.empty:
        raise InputError("there is no sample to compare; sample at least one")
    right_a, right_b = (paired[name].astype(bool) for name in ("correct_a", "correct_b"))
    counted = pd.DataFrame(
        {"n": 1, "c_a": right_a, "c_b": right_b, "lost": right_a & ~right_b, "gained": ~right_a & right_b},
        dtype="int64",
    )
    table = counted.groupby(paired["problem_id"], sort=False).sum().loc[a["problem_id"].unique()]
    table["difference"] = (table["c_a"] - table["c_b"]) / table["n"]
    solvers = np.array(["neither", "b", "a", "both"])
    table["solved_by"] = solvers[2 * (table["c_a"] > 0).to_numpy() + (table["c_b"] > 0).to_numpy()]
    order = np.argsort(-table["difference"].abs().to_numpy(), kind="stable")
    return table.iloc[order].rename_axis("problem_id").reset_index()


def _common_n(counts_a: pd.DataFrame, counts_b: pd.DataFrame) -> int:
    if counts_a.empty or counts_b.empty:
        raise InputError("there is no problem to compare coverage on; sample at least one")
    fewest, most = (reduced(reduced(counts["n"]) for counts in (counts_a, counts_b)) for reduced in (min, max))
    if fewest != most:
        raise InputError(
            f"coverage compares orders at one n, but problems have {fewest} to {most} samples; "
            f"compare the first {fewest} samples of each, or sample more"
        )
    if fewest < 1:
        raise InputError("coverage needs at least 1 sample of every problem; sample more")
    return int(fewest)


def _share(part: int, whole: int, level: float) -> Interval | None:
    if not whole:
        return None

    def at(score: float) -> tuple[float, float]:
        low, high = wilson_bounds(part, whole, score)
        return float(low), float(high)

    return Interval(estimate=part / whole, level=level, problems=whole, at=at)


# ----- accuracies -----


def accuracy_pairs(counts_a: pd.DataFrame, counts_b: pd.DataFrame) -> pd.DataFrame:
    """The accuracy of each problem under both orders: problem_id, a, b; fractions, in the order of `counts_a`.

    Raises:
        InputError: other problems in `counts_b`, or a problem without a sample.
    """
    a, b = (pass_at_k_table(counts, [1])[1] for counts in (counts_a, counts_b))
    require_same_problems(a.index, b.index)
    return pd.DataFrame({"a": a, "b": b.loc[a.index]}).reset_index()


def accuracy_correlation(pairs: pd.DataFrame, *, bootstrap: Bootstrap = DEFAULT) -> Interval:
    """Pearson's correlation of the accuracies of two orders, with its interval over problems.

    The interval is BCa over problems with Student's tails, as that of a mean: correlations are skewed near 1, and plain
    percentiles hold the truth too rarely (results/stats/coverage.md).

    Figure 11 of "The Flexibility Trap" (arXiv:2601.15165). Accuracies from n samples carry noise, which pulls the
    correlation towards 0: two runs of one order correlate by less than 1, the more so the smaller n.

    Args:
        pairs: columns a and b, fractions; one row a problem (`accuracy_pairs`).
        bootstrap: level, replicates and seed.

    Returns:
        NaN, bounds included, where one of the two has the same accuracy on every problem. Resamples in which that
        happens are left out of the interval.
    """
    centred = (pairs[["a", "b"]] - pairs[["a", "b"]].mean()).to_numpy()
    a_P, b_P = centred.T
    moments_PK = np.stack([a_P, b_P, a_P * a_P, b_P * b_P, a_P * b_P], axis=1)
    estimate_K = _correlation(moments_PK.mean(axis=0)[None])
    if np.isnan(estimate_K).any():
        return Interval.unknown(level=bootstrap.level, problems=len(pairs))

    replicates_R = _correlation(bootstrap_means(moments_PK, bootstrap=bootstrap))
    resampled = Resampled(
        means_K=estimate_K,
        replicates_RK=replicates_R[~np.isnan(replicates_R)][:, None],
        influence_PK=_influence(a_P, b_P, float(estimate_K[0]))[:, None],
        shares_PK=np.full((len(pairs), 1), estimate_K[0] / len(pairs)),
        problems=len(pairs),
        tasks=1,
    )
    at = first_column(resampled.bounds)
    return Interval(estimate=float(estimate_K[0]), level=bootstrap.level, problems=len(pairs), at=at)


def _influence(a_P: Floats, b_P: Floats, correlation: float) -> Floats:
    """What each problem adds to the correlation's deviation, to first order: ab - r (a^2 + b^2) / 2, standardised."""
    a_P, b_P = a_P / a_P.std(), b_P / b_P.std()
    influence_P: Floats = (a_P * b_P - correlation * (a_P**2 + b_P**2) / 2) / len(a_P)
    return influence_P


def _correlation(means_RK: Floats) -> Floats:
    """From the means of a, b, a^2, b^2 and ab; NaN where one of the two does not vary."""
    a_R, b_R, aa_R, bb_R, ab_R = means_RK.T
    variance_R = (aa_R - a_R**2) * (bb_R - b_R**2)
    varies_R = np.minimum(aa_R - a_R**2, bb_R - b_R**2) > 1e-12
    root_R = np.sqrt(np.where(varies_R, variance_R, 1.0))
    return np.where(varies_R, np.clip((ab_R - a_R * b_R) / root_R, -1, 1), np.nan)
