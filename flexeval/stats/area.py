"""One number for a whole Pass@k curve: CoverageAUC, and Potential@k.

Knows counts, not what an order is.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from flexeval.errors import InputError
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.resampling import LEVEL, REPLICATES, Resampled, normal_score, resample
from flexeval.stats.verdict import Floats


def coverage_auc(counts: pd.DataFrame, ks: Sequence[int]) -> pd.DataFrame:
    """The area under each problem's Pass@k curve over log2 k, divided by the width: a mean of Pass@k over the grid.

    Every k stands for the stretch of log2 k that is nearest to it, and the ends reach out as far as they reach in. On
    a grid that doubles, such as 4, 8, 16, 32, 64, all weights are equal, and this is the CoverageAUC of the
    pre-registered replication of arXiv:2601.15165: the plain mean of Pass@k over the grid. State the grid with it.

    Args:
        counts: columns problem_id, n, c; one row a problem.
        ks: the grid, ascending.

    Returns:
        One row a problem, one column coverage_auc, fractions in [0, 1]; `interval` and `paired_difference` take it.

    Raises:
        InputError: ks that do not ascend, or a problem with fewer than max(ks) samples.
    """
    if any(a >= b for a, b in itertools.pairwise(ks)):
        raise InputError(f"CoverageAUC needs a grid of k in ascending order, not {list(ks)}")
    table = pass_at_k_table(counts, ks)
    return pd.DataFrame({"coverage_auc": table.to_numpy() @ _weights(ks)}, index=table.index)


def potential_at_k(
    counts: pd.DataFrame,
    ks: Sequence[int],
    *,
    tasks: Sequence[Hashable] | None = None,
    level: float = LEVEL,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> pd.DataFrame:
    """Potential@k: of the failures of a single sample, the share that k samples would have turned into a success.

    (Pass@k - Pass@1) / (1 - Pass@1), with means over problems above and below the line. After Yao et al. 2025
    (arXiv:2505.23433, section 3), who take the single sample by greedy decoding and k further ones; here all are
    draws of one order, and the one that fails is one of the k.

    Args:
        counts: columns problem_id, n, c; one row a problem.
        ks: where.
        tasks, level, replicates, seed: as in `interval`.

    Returns:
        One row a k: k, estimate, low, high, fractions. All NaN when no sample failed.

    Raises:
        InputError: a problem with fewer than max(ks) samples, and what `interval` refuses.
    """
    table = pass_at_k_table(counts, [1, *ks])
    resampled = resample(table, tasks=tasks, replicates=replicates, level=level, seed=seed)
    if resampled.means_K[0] == 1:
        estimate_K, (low_K, high_K) = np.full(len(ks), np.nan), np.full((2, len(ks)), np.nan)
    else:
        potential = _potential(resampled)
        estimate_K, (low_K, high_K) = potential.means_K, potential.bounds(normal_score(level))
    return pd.DataFrame({"k": list(ks), "estimate": estimate_K, "low": low_K, "high": high_K})


def _potential(resampled: Resampled) -> Resampled:
    """Resampled means of Pass@1 and Pass@k -> resampled Potential@k. A resample without a failure says nothing."""
    replicates_RK = resampled.replicates_RK[resampled.replicates_RK[:, 0] < 1]
    means_K = _gained(resampled.means_K[None])[0]
    first_P1, others_PK = resampled.influence_PK[:, :1], resampled.influence_PK[:, 1:]
    return dataclasses.replace(
        resampled,
        means_K=means_K,
        replicates_RK=_gained(replicates_RK),
        # The derivative of the ratio at the means, up to the factor 1 - Pass@1.
        influence_PK=others_PK - (1 - means_K) * first_P1,
        shares_PK=resampled.shares_PK[:, 1:],
    )


def _gained(passed_RK: Floats) -> Floats:
    gained_RK: Floats = (passed_RK[:, 1:] - passed_RK[:, :1]) / (1 - passed_RK[:, :1])
    return gained_RK


def _weights(ks: Sequence[int]) -> Floats:
    """The share of the grid's width, on a log2 axis, that each k stands for."""
    if len(ks) == 1:
        return np.ones(1)
    gaps = np.diff(np.log2(np.asarray(ks, dtype=np.float64)))
    widths = np.concatenate([gaps[:1], gaps]) + np.concatenate([gaps, gaps[-1:]])
    weights: Floats = widths / widths.sum()
    return weights
