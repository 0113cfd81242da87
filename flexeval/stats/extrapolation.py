"""Pass@k past n by a beta-binomial fit: an extrapolation, and always marked as one.

The model: a problem's chance of a correct sample is drawn from a Beta(alpha, beta), and its samples are independent.
Past n it leans on the shape of that distribution near zero, which n samples hardly see: a mixture with problems that
are never solved fits as well at k <= n and levels off. The bootstrap interval does not cover a wrong model.

Knows counts, not what an order is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special, stats

from flexeval.errors import InputError
from flexeval.stats.bootstrap import Bootstrap, resample
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.verdict import Floats

FITS = Bootstrap(replicates=200)
"""Each replicate is a fit of its own, so there are fewer."""
_LOGIT = (-25.0, 25.0)
"""Where the logit of the mean chance is sought: from one in 7e10 to all but one."""
_LOG_SIZE = (-12.0, 12.0)
"""Where log(alpha + beta) is sought: from problems that are solved always or never to problems that are all alike."""
_POOR = 0.02
"""A published curve that a fit misses by more is refused, a fraction."""


@dataclass(frozen=True, kw_only=True)
class BetaBinomial:
    """The distribution of the problems' chances."""

    alpha: float
    """0 when no sample was correct: then Pass@k is 0."""
    beta: float
    """0 when every sample was correct: then Pass@k is 1."""

    @classmethod
    def fit(cls, counts: pd.DataFrame) -> BetaBinomial:
        """The maximum-likelihood fit to the correct samples c of n of each problem.

        Args:
            counts: columns problem_id, n, c; n may differ between problems.

        Raises:
            InputError: no problem, or none with two samples, without which the spread of the chances is unknown.
        """
        pass_at_k_table(counts, [1])
        if counts["n"].max() < 2:
            raise InputError("a beta-binomial fit needs a problem with at least 2 samples; sample more")
        kinds = counts.groupby(["n", "c"]).size().rename("times").reset_index()
        return cls._fit(*(kinds[name].to_numpy(np.float64) for name in ("n", "c", "times")))

    @classmethod
    def _fit(cls, n_U: Floats, c_U: Floats, times_U: Floats) -> BetaBinomial:
        """The fit to distinct pairs (n, c) and how often each occurs."""
        correct, wrong = times_U @ c_U, times_U @ (n_U - c_U)
        if not correct or not wrong:
            return cls(alpha=float(correct > 0), beta=float(wrong > 0))

        def cost(at: Floats) -> tuple[float, Floats]:
            """Minus the log-likelihood, and its gradient, over the logit of the mean and log(alpha + beta)."""
            mean, size = special.expit(at[0]), np.exp(at[1])
            a, b = mean * size, (1 - mean) * size
            log_U = special.betaln(c_U + a, n_U - c_U + b) - special.betaln(a, b)
            both_U = special.digamma(n_U + size) - special.digamma(size)
            by_a = times_U @ (special.digamma(c_U + a) - special.digamma(a) - both_U)
            by_b = times_U @ (special.digamma(n_U - c_U + b) - special.digamma(b) - both_U)
            gradient = np.array([(by_a - by_b) * a * (1 - mean), by_a * a + by_b * b])
            return -float(times_U @ log_U), -gradient

        start = np.array([special.logit(correct / (correct + wrong)), 0.0])
        found = optimize.minimize(cost, start, jac=True, method="L-BFGS-B", bounds=[_LOGIT, _LOG_SIZE])
        mean, size = special.expit(found.x[0]), np.exp(found.x[1])
        return cls(alpha=float(mean * size), beta=float((1 - mean) * size))

    @classmethod
    def through(cls, curve: Mapping[int, float]) -> BetaBinomial:
        """The least-squares fit to a curve of mean Pass@k, as papers publish them.

        Args:
            curve: k -> Pass@k, fractions in (0, 1); at least two, since one does not say how problems differ.

        Raises:
            InputError: fewer than two, values that no such curve has, or a fit that is off by more than two points.
        """
        ks = sorted(curve)
        passed_K = np.array([curve[k] for k in ks])
        if len(ks) < 2 or ks[0] < 1:
            raise InputError("a curve needs Pass@k at two values of k, as in 1=41.5,16=80; give another")
        if not (passed_K.min() > 0 and passed_K.max() < 1 and (np.diff(passed_K) >= 0).all()):
            raise InputError("Pass@k must lie between 0 and 100 % and must not fall with k; correct the values")

        def at(x: Floats) -> BetaBinomial:
            mean, size = special.expit(x[0]), np.exp(x[1])
            return cls(alpha=float(mean * size), beta=float((1 - mean) * size))

        found = optimize.least_squares(
            lambda x: at(x).pass_at_k(ks) - passed_K,
            [np.clip(special.logit(passed_K[0] / ks[0]), *_LOGIT), 0.0],
            bounds=list(zip(_LOGIT, _LOG_SIZE, strict=True)),
            x_scale=[1.0, 2.0],
        )
        worst = int(np.abs(found.fun).argmax())
        if abs(found.fun[worst]) > _POOR:
            raise InputError(
                f"independent samples cannot have this curve: pass@{ks[worst]} is {100 * passed_K[worst]:.1f} %, and "
                f"the nearest fit has {100 * (passed_K + found.fun)[worst]:.1f} %; correct the values"
            )
        return at(found.x)

    @property
    def mean(self) -> float:
        """Pass@1, a fraction."""
        return self.alpha / (self.alpha + self.beta)

    @property
    def deviation(self) -> float:
        """The standard deviation of the chances."""
        return math.sqrt(self.mean * (1 - self.mean) / (self.alpha + self.beta + 1))

    def pass_at_k(self, ks: Sequence[int]) -> NDArray[np.float64]:
        """The mean Pass@k of such problems, 1 - B(alpha, beta + k) / B(alpha, beta), fractions."""
        k_K = np.asarray(ks, dtype=np.float64)
        if not self.beta:
            return np.ones(len(k_K))
        size = self.alpha + self.beta
        log_fail_K = (
            special.gammaln(self.beta + k_K)
            - special.gammaln(size + k_K)
            - (special.gammaln(self.beta) - special.gammaln(size))
        )
        failed_K: NDArray[np.float64] = np.exp(log_fail_K)
        return 1 - failed_K


def extrapolate(counts: pd.DataFrame, ks: Sequence[int], *, bootstrap: Bootstrap = FITS) -> pd.DataFrame:
    """Pass@k of the fitted model, within n and past it.

    Args:
        counts: columns problem_id, n, c.
        ks: any k >= 1.
        bootstrap: level, replicates and seed; the intervals have their level only if the model holds.

    Returns:
        One row a k: k, estimate, low, high, extrapolated. The last is True where a problem has fewer than k samples.
        Up to n the estimate is the model's, too; compare it with the unbiased one.

    Raises:
        InputError: what `BetaBinomial.fit` refuses.
    """
    fitted = BetaBinomial.fit(counts)
    kinds = counts.groupby(["n", "c"]).ngroup().to_numpy()
    n_U, c_U = (counts.groupby(["n", "c"])[name].first().to_numpy(np.float64) for name in ("n", "c"))
    is_kind_PU = pd.DataFrame(np.eye(len(n_U))[kinds], index=counts["problem_id"])
    resampled = resample(is_kind_PU, bootstrap=bootstrap)
    curves_RK = np.array(
        [BetaBinomial._fit(n_U, c_U, share_U).pass_at_k(ks) for share_U in resampled.replicates_RK * len(counts)]
    )
    tail = stats.norm.sf(resampled.widened(bootstrap.score))
    low_K, high_K = np.quantile(curves_RK, [tail, 1 - tail], axis=0)
    return pd.DataFrame(
        {
            "k": list(ks),
            "estimate": fitted.pass_at_k(ks),
            "low": low_K,
            "high": high_K,
            "extrapolated": np.asarray(ks) > counts["n"].min(),
        }
    )
