"""The beta-binomial fit against known parameters, against its likelihood, and at its limits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from flexeval.errors import InputError
from flexeval.stats.bootstrap import Bootstrap, resample
from flexeval.stats.extrapolation import BetaBinomial, extrapolate
from flexeval.stats.pass_at_k import pass_at_k_table


def counts(c, n):
    return pd.DataFrame({"problem_id": [f"p{i}" for i in range(len(c))], "n": n, "c": c})


def drawn(alpha, beta, n, problems, seed=0):
    rng = np.random.default_rng(seed)
    return counts(rng.binomial(n, rng.beta(alpha, beta, size=problems)), n)


@pytest.mark.parametrize(("alpha", "beta"), [(0.6, 1.2), (2.0, 5.0), (0.2, 0.3)])
def test_recovers_the_parameters(alpha, beta):
    fitted = BetaBinomial.fit(drawn(alpha, beta, n=64, problems=20_000))
    assert (fitted.alpha, fitted.beta) == pytest.approx((alpha, beta), rel=0.06)


def test_no_neighbour_is_likelier():
    n = np.repeat([8, 12], 30)
    rng = np.random.default_rng(1)
    c = rng.binomial(n, rng.beta(0.8, 2.0, size=60))
    fitted = BetaBinomial.fit(counts(c, n))
    at_fit = stats.betabinom.logpmf(c, n, fitted.alpha, fitted.beta).sum()
    for a in (0.98, 1, 1.02):
        for b in (0.98, 1, 1.02):
            assert stats.betabinom.logpmf(c, n, a * fitted.alpha, b * fitted.beta).sum() <= at_fit + 1e-9


def test_pass_at_k_is_the_integral_over_chances():
    model = BetaBinomial(alpha=0.7, beta=1.9)
    density = stats.beta(model.alpha, model.beta).pdf
    for k, value in zip([1, 3, 100], model.pass_at_k([1, 3, 100]), strict=True):
        integral, _ = integrate.quad(lambda p, k=k: (1 - (1 - p) ** k) * density(p), 0, 1)
        assert value == pytest.approx(integral, abs=1e-6)


@pytest.mark.parametrize(
    ("c", "curve"),
    [
        ([0, 0, 0], [0, 0]),  # nothing solved
        ([8, 8, 8], [1, 1]),  # everything
        ([0, 8, 8], [2 / 3, 2 / 3]),  # always or never
        ([2, 2, 2], [1 / 4, 1 - (3 / 4) ** 50]),  # all alike
    ],
)
def test_limits_are_those_of_the_likelihood(c, curve):
    assert BetaBinomial.fit(counts(c, 8)).pass_at_k([1, 50]) == pytest.approx(curve, abs=1e-3)


def test_what_lies_past_n_is_marked_and_what_lies_within_agrees_with_the_estimator():
    observed = drawn(0.6, 1.2, n=16, problems=2_000)
    frame = extrapolate(observed, [1, 4, 16, 17, 256], bootstrap=Bootstrap(replicates=60))
    assert frame["extrapolated"].tolist() == [False, False, False, True, True]
    unbiased = pass_at_k_table(observed, [1, 4, 16]).mean()
    assert frame["estimate"][:3].tolist() == pytest.approx(unbiased.tolist(), abs=0.01)
    truth = BetaBinomial(alpha=0.6, beta=1.2).pass_at_k([1, 4, 16, 17, 256])
    assert (frame["low"] - 0.005 < truth).all() and (truth < frame["high"] + 0.005).all()
    assert (frame["low"] < frame["estimate"]).all() and (frame["estimate"] < frame["high"]).all()


def test_at_one_try_the_interval_is_that_of_the_resampled_accuracy():
    """With many samples the fitted mean is the accuracy, so bounds are percentiles with Student's tails, too."""
    observed, bootstrap = drawn(2.0, 5.0, n=64, problems=12, seed=3), Bootstrap(replicates=200)
    accuracy = resample(pass_at_k_table(observed, [1]), bootstrap=bootstrap)
    tail = stats.norm.sf(stats.t.isf(0.025, 11) * np.sqrt(12 / 11))
    bounds = np.quantile(accuracy.replicates_RK[:, 0], [tail, 1 - tail])
    found = extrapolate(observed, [1], bootstrap=bootstrap)[["low", "high"]].to_numpy()[0]
    assert found == pytest.approx(bounds, abs=0.004)


def test_the_problem_with_fewest_samples_says_what_is_extrapolated():
    frame = extrapolate(counts([1, 2, 9], [8, 8, 64]), [8, 9], bootstrap=Bootstrap(replicates=5))
    assert frame["extrapolated"].tolist() == [False, True]


def test_refuses_what_cannot_be_fitted():
    with pytest.raises(InputError, match="no problem"):
        BetaBinomial.fit(counts([], []))
    with pytest.raises(InputError, match="at least 2 samples"):
        BetaBinomial.fit(counts([0, 1], 1))
