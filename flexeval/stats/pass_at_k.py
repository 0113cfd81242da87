"""Pass@k: the chance that at least one of k samples of a problem is correct, estimated from n >= k samples.

Also its counterpart, the chance that all k are correct, and two numbers for a whole curve over k: CoverageAUC and
Potential@k. Curves with bands, and two of them compared, are
in `flexeval.stats.curves`.

Knows counts only: n samples of a problem, c of them correct. It does not know how they came about.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Hashable, Sequence
from typing import overload

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from flexeval.errors import InputError
from flexeval.stats.bootstrap import DEFAULT, Bootstrap, Resampled, resample
from flexeval.stats.verdict import Floats


@overload
def pass_at_k(n: int, c: int, k: int) -> float: ...
@overload
def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> NDArray[np.float64]: ...
def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> float | NDArray[np.float64]:
    """The unbiased estimator 1 - C(n - c, k) / C(n, k) of Chen et al. 2021 (arXiv:2107.03374, eq. 1).

    The ratio of binomials is symmetric in c and k, so it is a product of min(c, k) factors below one; nothing
    overflows, and the error stays near one rounding of the result.

    Args:
        n: samples of a problem.
        c: correct ones among them.
        k: how many samples may be tried. The three broadcast against each other.

    Returns:
        A fraction in [0, 1]: a float for three scalars, else an array of the broadcast shape.

    Raises:
        InputError: numbers that are not whole, negative ones, c > n, k < 1, or n < k for any problem.
    """
    n_, c_, k_ = np.broadcast_arrays(whole("n", n), whole("c", c), whole("k", k))
    _check(n_, c_, k_)
    factors = np.minimum(c_, k_)
    larger = np.maximum(c_, k_)
    all_fail = np.ones(n_.shape)
    for i in range(int(factors.max(initial=0))):
        # A factor that reaches zero ends the product: fewer than k samples failed.
        factor = np.maximum(n_ - larger - i, 0) / np.maximum(n_ - i, 1)
        all_fail = np.where(i < factors, all_fail * factor, all_fail)
    passed = 1.0 - all_fail
    return passed if passed.ndim else float(passed)


def pass_at_k_table(counts: pd.DataFrame, ks: Sequence[int]) -> pd.DataFrame:
    """Pass@k of every problem at every k, as fractions: one row a problem (P), one column a k (K).

    Args:
        counts: columns problem_id, n, c; one row a problem, those without a correct sample included.
        ks: the columns.

    Raises:
        InputError: no problem, no k, or a problem with fewer than max(ks) samples, which is named.
    """
    if counts.empty:
        raise InputError("there is no problem to compute Pass@k of; sample at least one")
    if not len(ks):
        raise InputError("there is no k to compute Pass@k at; give at least one, as in 1,2,4")
    ids_P, n_P, c_P = (counts[name].to_numpy() for name in ("problem_id", "n", "c"))
    fewest = int(n_P.argmin())
    if n_P[fewest] < max(ks):
        raise too_few("pass", max(ks), repr(ids_P[fewest]), n_P[fewest])
    values_PK = pass_at_k(n_P[:, None], c_P[:, None], np.asarray(ks)[None, :])
    return pd.DataFrame(values_PK, index=pd.Index(ids_P, name="problem_id"), columns=pd.Index(ks, name="k"))


def all_at_k_table(counts: pd.DataFrame, ks: Sequence[int]) -> pd.DataFrame:
    """all@k of every problem at every k: the chance that k samples are all correct, as fractions; axes as in Pass@k.

    C(c, k) / C(n, k), unbiased for k fresh samples: pass^k of Yao et al. 2024 (tau-bench, arXiv:2406.12045, section
    3). That is 1 - Pass@k with right and wrong exchanged.

    Args:
        counts: columns problem_id, n, c; one row a problem, those without a correct sample included.
        ks: the columns.

    Raises:
        InputError: as `pass_at_k_table`.
    """
    return 1 - pass_at_k_table(counts.assign(c=counts["n"] - counts["c"]), ks)


def default_ks(n: int) -> list[int]:
    """The powers of two up to n, and n itself."""
    if n < 1:
        raise InputError(f"Pass@k needs at least 1 sample of every problem, not {n}")
    n = int(n)  # numpy's have no bit_length everywhere
    return sorted({2**i for i in range(n.bit_length())} | {n})


def too_few(measure: str, k: int, problem: str, n: int) -> InputError:
    """The error where a problem has fewer samples, n, than the measure takes at k."""
    kept = f", or keep k <= {n}" if n > 0 else ""
    return InputError(f"{measure}@{k} needs {k} samples of every problem, but {problem} has {n}; sample more{kept}")


def coverage_auc(counts: pd.DataFrame, ks: Sequence[int]) -> pd.DataFrame:
    """The area under each problem's Pass@k curve over log2 k, divided by the width: a mean of Pass@k over the grid.

    The weight of a k is the length of the stretch of log2 k that is nearest to it; at both ends the stretch is as long
    outside the grid as inside. On a grid that doubles, such as 4, 8, 16, 32, 64, all weights are equal, and this is the
    CoverageAUC of the pre-registered replication of arXiv:2601.15165: the plain mean of Pass@k over the grid. Always
    state the grid with the number.

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
    bootstrap: Bootstrap = DEFAULT,
) -> pd.DataFrame:
    """Potential@k: of the failures of a single sample, the share that k samples would have turned into a success.

    (Pass@k - Pass@1) / (1 - Pass@1), with means over problems above and below the line. After Yao et al. 2025
    (arXiv:2505.23433, section 3), who take the single sample by greedy decoding and k further ones; here all are
    draws of one order, and the one that fails is one of the k.

    Args:
        counts: columns problem_id, n, c; one row a problem.
        ks: the values of k.
        tasks: the task of each row; None when all rows are of one task.
        bootstrap: level, replicates and seed.

    Returns:
        One row a k: k, estimate, low, high, fractions. All NaN when no sample failed.

    Raises:
        InputError: a problem with fewer than max(ks) samples, and what `interval` refuses.
    """
    table = pass_at_k_table(counts, [1, *ks])
    resampled = resample(table, tasks=tasks, bootstrap=bootstrap)
    if resampled.means_K[0] == 1:
        estimate_K, (low_K, high_K) = np.full(len(ks), np.nan), np.full((2, len(ks)), np.nan)
    else:
        potential = _potential(resampled)
        estimate_K, (low_K, high_K) = potential.means_K, potential.bounds(bootstrap.score)
    return pd.DataFrame({"k": list(ks), "estimate": estimate_K, "low": low_K, "high": high_K})


def _potential(resampled: Resampled) -> Resampled:
    """Resampled means of Pass@1 and Pass@k -> resampled Potential@k, without the resamples that have no failure."""
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


def whole(name: str, values: ArrayLike) -> NDArray[np.int64]:
    """The values as numbers. Raises InputError where they are not whole."""
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"{name} must be whole numbers, not {array.dtype} values")
    return array.astype(np.int64)


def _check(n: NDArray[np.int64], c: NDArray[np.int64], k: NDArray[np.int64]) -> None:
    if (c < 0).any() or (c > n).any():
        at = np.flatnonzero(((c < 0) | (c > n)).ravel())[0]
        raise InputError(f"c must lie between 0 and n, but c = {c.ravel()[at]} where n = {n.ravel()[at]}")
    if (k < 1).any():
        raise InputError(f"k must be at least 1, not {k.min()}")
    if (n < k).any():
        at = np.flatnonzero((n < k).ravel())[0]
        raise too_few("pass", k.ravel()[at], "one", n.min())
