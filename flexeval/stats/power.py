"""Power before cost: how wide the interval of a paired difference of Pass@k will be, before anything is sampled.

The model of two runs: the chances of a correct sample are Beta distributed over problems under each of them, as in
`flexeval.stats.extrapolation`, and joined by a normal copula, so that problems that are hard under one are hard under
the other as far as the correlation says. Runs are drawn from it, and their intervals and bands are made by
`flexeval.stats.bootstrap` and `flexeval.stats.curves`, as they will be made of the real ones. Samples are independent
given the chances. Runs that share random numbers differ less: widths err on the wide side. Two pilots that shared them
look more alike than their chances are, the more so the fewer samples they have: then widths may err on the narrow side.

Knows counts and accuracies, not what an order is.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats

from flexeval.errors import InputError
from flexeval.stats.bootstrap import Bootstrap, Resampled, require_same_problems, resample
from flexeval.stats.curves import joint_deviation
from flexeval.stats.extrapolation import BetaBinomial
from flexeval.stats.pass_at_k import default_ks, pass_at_k
from flexeval.stats.verdict import Floats

WIDTHS = Bootstrap(replicates=1000)
"""Enough for a width, which is known to 2 %; the bounds of a real comparison take more."""
SPREAD = 0.7
"""alpha + beta of the chances where only Pass@1 is known; published curves of LLaDA-8B on GSM8K have 0.5 and 0.9."""
_REACH = 6.0
"""Standard deviations of the normal scores that stand for problems, in either direction."""
_SCORES = np.linspace(-_REACH, _REACH, 4001)
_CELLS = 1 << 22
"""Differences held at a time: bounds memory at some hundred MB."""


@dataclass(frozen=True, kw_only=True)
class TwoRuns:
    """Where the problems of two runs come from.

    Raises:
        InputError: a run that is always or never right, or as good as that, or a correlation that two such runs cannot
            have.
    """

    a: BetaBinomial
    b: BetaBinomial
    correlation: float
    """Of a problem's chances under the two, in [-1, 1]."""

    def __post_init__(self) -> None:
        for which, run in (("first", self.a), ("second", self.b)):
            if not (run.alpha > 0 and run.beta > 0):
                raise InputError(
                    f"the {which} run is always {'right' if run.alpha else 'wrong'}, which says nothing of its other "
                    "problems; take a pilot with correct and wrong samples"
                )
        low, high = _reachable(self.a, self.b)
        if not low < high:
            raise InputError(
                f"runs that solve {100 * self.a.mean:.3g} % and {100 * self.b.mean:.3g} % cannot be simulated: one is "
                "so near to 0 or 100 % that its problems do not differ; take accuracies further from the ends"
            )
        # A correlation that was clipped to these is one of them.
        if not low - 1e-9 <= self.correlation <= high + 1e-9:
            # Rounded inwards, so that what is advised is accepted; + 0.0 for no "-0.00".
            least, most = math.ceil(100 * low) / 100 + 0.0, math.floor(100 * high) / 100
            raise InputError(
                f"the chances of these two runs cannot have a correlation of {self.correlation:g}; "
                f"give one from {least:.2f} to {most:.2f}"
            )

    @classmethod
    def of_pilot(cls, counts_a: pd.DataFrame, counts_b: pd.DataFrame) -> TwoRuns:
        """Fitted to two runs: each by maximum likelihood, their correlation by the covariance of the accuracies.

        The accuracies of independent samples covary as the chances do, so that the estimate needs no correction for the
        number of samples. Samples of one seed share random numbers, and their accuracies covary more. The estimate ends
        at what the fitted distributions can have.

        Args:
            counts_a: columns problem_id, n, c.
            counts_b: the same problems; n may differ.

        Raises:
            InputError: other problems, fewer than two, or what `BetaBinomial.fit` refuses.
        """
        a, b = BetaBinomial.fit(counts_a), BetaBinomial.fit(counts_b)
        accuracy_a, accuracy_b = (
            (counts["c"] / counts["n"]).set_axis(pd.Index(counts["problem_id"])) for counts in (counts_a, counts_b)
        )
        require_same_problems(accuracy_a.index, accuracy_b.index)
        if len(accuracy_a) < 2:
            raise InputError("a pilot of one problem does not say how problems differ; sample at least two")
        if not a.deviation * b.deviation:
            return cls(a=a, b=b, correlation=0.0)
        covariance = float(np.cov(accuracy_a, accuracy_b.loc[accuracy_a.index])[0, 1])
        low, high = _reachable(a, b)
        return cls(a=a, b=b, correlation=min(max(covariance / (a.deviation * b.deviation), low), high))

    @classmethod
    def shifted(cls, a: BetaBinomial, *, difference: float, correlation: float) -> TwoRuns:
        """One run, and another whose Pass@1 is lower by `difference` and whose chances spread alike (alpha + beta).

        Raises:
            InputError: the other's Pass@1 would not lie between 0 and 1.
        """
        mean, size = a.mean - difference, a.alpha + a.beta
        if not 0 < mean < 1:
            raise InputError(
                f"with a difference of {100 * difference:g} points the second run would solve {100 * mean:.1f} %, "
                f"the first solves {100 * a.mean:.1f} %; give a difference that leaves it between 0 and 100 %"
            )
        return cls(a=a, b=BetaBinomial(alpha=mean * size, beta=(1 - mean) * size), correlation=correlation)

    def differences(self, ks: Sequence[int]) -> Floats:
        """The true differences of Pass@k, a minus b, fractions."""
        return self.a.pass_at_k(ks) - self.b.pass_at_k(ks)

    def draw(
        self, rng: np.random.Generator, *, problems: int, n: int, simulations: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Correct samples of n of each problem under a and under b, [problems, simulations] each."""
        shape = (problems, simulations)
        r = self._score_correlation()
        score_a_PS, other_PS = rng.standard_normal(shape), rng.standard_normal(shape)
        score_b_PS = r * score_a_PS + math.sqrt(1 - r * r) * other_PS
        chance_a_PS, chance_b_PS = _chances(self.a, score_a_PS), _chances(self.b, score_b_PS)
        return rng.binomial(n, chance_a_PS), rng.binomial(n, chance_b_PS)

    def _score_correlation(self) -> float:
        """The correlation of the normal scores that gives the chances theirs."""
        low, high = _reachable(self.a, self.b)
        if not low < self.correlation < high:
            return 1.0 if self.correlation >= high else -1.0
        return float(
            optimize.brentq(lambda r: _chance_correlation(self.a, self.b, r) - self.correlation, -1, 1, xtol=1e-4)
        )


def power_table(
    runs: TwoRuns,
    *,
    problems: Sequence[int],
    samples: Sequence[int],
    ks: Sequence[int] | None = None,
    simulations: int = 200,
    bootstrap: Bootstrap = WIDTHS,
) -> pd.DataFrame:
    """What comparisons of two such runs would show, for every number of problems and of samples.

    Args:
        runs: where their problems come from.
        problems: numbers of problems, at least 2 each.
        samples: numbers of samples of each problem.
        ks: the k of Pass@k, at most the fewest samples; None for 1 and n, with bands over the powers of two up to n.
        simulations: pairs of runs to draw for each row.
        bootstrap: level, replicates and seed; the seed is that of the draws, too.

    Returns:
        One row a number of problems, of samples and k: problems, n, k, difference (the true one, a minus b), half_width
        (of its interval, the median over the simulations), band_half_width (of the band over all k, which judges),
        power (the share of simulations whose whole band lies on the side of the true difference; NaN without one).
        Fractions.

    Raises:
        InputError: fewer than two problems, or a k above the samples.
    """
    if min(problems) < 2:
        raise InputError(f"an interval over problems needs at least 2 of them, not {min(problems)}")
    parts = []
    for number in problems:
        for n in samples:
            grid = list(default_ks(n) if ks is None else ks)
            shown = sorted({1, n}) if ks is None else grid
            found = _simulated(runs, number, n, grid, simulations, bootstrap)
            parts.append(found[found["k"].isin(shown)])
    return pd.concat(parts, ignore_index=True)


def _simulated(
    runs: TwoRuns, problems: int, n: int, ks: list[int], simulations: int, bootstrap: Bootstrap
) -> pd.DataFrame:
    """The rows of one number of problems and of samples."""
    rng = np.random.default_rng([bootstrap.seed, problems, n])
    of_count_CK = pass_at_k(n, np.arange(n + 1)[:, None], np.array(ks))
    true_K = runs.differences(ks)
    at_once = max(1, _CELLS // (problems * len(ks)))
    reaches, bands, resolved = [], [], []
    for start in range(0, simulations, at_once):
        drawn = min(at_once, simulations - start)
        a_PS, b_PS = runs.draw(rng, problems=problems, n=n, simulations=drawn)
        # The simulations stand side by side and share their resamples of the problems.
        table = pd.DataFrame((of_count_CK[a_PS] - of_count_CK[b_PS]).reshape(problems, drawn * len(ks)))
        resampled = resample(table, bootstrap=bootstrap)
        low, high = _bounds(resampled, bootstrap.score)
        reaches.append((high - low).reshape(drawn, len(ks)) / 2)
        for first in range(0, drawn * len(ks), len(ks)):
            of_pair = resampled.columns(first, len(ks))
            low_K, high_K = _bounds(of_pair, joint_deviation(of_pair, bootstrap))
            bands.append((high_K - low_K) / 2)
            resolved.append(np.where(true_K > 0, low_K > 0, high_K < 0))
    return pd.DataFrame(
        {
            "problems": problems,
            "n": n,
            "k": ks,
            "difference": true_K,
            "half_width": np.median(np.concatenate(reaches), axis=0),
            "band_half_width": np.median(bands, axis=0),
            "power": np.where(np.abs(true_K) > 1e-12, np.mean(resolved, axis=0), np.nan),
        }
    )


def _bounds(resampled: Resampled, score: float) -> tuple[Floats, Floats]:
    return resampled.symmetric_bounds(score, largest=1.0)


# ----- chances -----


def _chances(run: BetaBinomial, scores: Floats) -> Floats:
    """The chances of the problems with these normal scores: the quantiles of the Beta distribution."""
    chances: Floats = np.interp(scores, _SCORES, _quantiles(run))
    return chances


@functools.lru_cache(maxsize=16)
def _quantiles(run: BetaBinomial) -> Floats:
    """The chance at each of `_SCORES`."""
    quantiles: Floats = np.clip(stats.beta.ppf(stats.norm.cdf(_SCORES), run.alpha, run.beta), 0.0, 1.0)
    return quantiles


def _chance_correlation(a: BetaBinomial, b: BetaBinomial, r: float) -> float:
    """The correlation of the chances when their normal scores have correlation r, by quadrature."""
    score_I = _SCORES[::25]
    weight_I = stats.norm.pdf(score_I)
    weight_I /= weight_I.sum()
    score_b_IJ = r * score_I[:, None] + math.sqrt(1 - r * r) * score_I
    chance_a_I, chance_b_IJ = _chances(a, score_I), _chances(b, score_b_IJ)
    chance_b_I = _chances(b, score_I)
    covariance = weight_I @ (chance_b_IJ @ weight_I * chance_a_I) - (weight_I @ chance_a_I) * (weight_I @ chance_b_I)
    variances = [weight_I @ chance_I**2 - (weight_I @ chance_I) ** 2 for chance_I in (chance_a_I, chance_b_I)]
    return float(covariance / math.sqrt(variances[0] * variances[1])) if min(variances) > 0 else 0.0


def _reachable(a: BetaBinomial, b: BetaBinomial) -> tuple[float, float]:
    """The lowest and the highest correlation of chances with these two distributions."""
    return _chance_correlation(a, b, -1.0), _chance_correlation(a, b, 1.0)
