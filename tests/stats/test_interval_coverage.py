"""Intervals and bands hold a known truth as often as they say. The full simulation: analyses/interval_coverage.py.

Asked are 93 to 97 %, give or take three binomial standard errors of so many simulations; with so few, that leaves
nothing to ask of intervals that are too wide, so their width is held against the normal one, whose standard error is
known in closed form at k = 1. One seed, so that what passes once passes always.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from flexeval.stats.bootstrap import Bootstrap, differences, interval, paired_difference
from flexeval.stats.curves import band, band_of_differences, crossing_point
from flexeval.stats.pass_at_k import default_ks, pass_at_k

ALPHA, BETA = 0.6, 1.2
SIMULATIONS, CURVES = 300, 100
FEW = Bootstrap(replicates=400)


def truth(ks):
    """The mean of 1 - (1 - p)^k for p ~ Beta(ALPHA, BETA)."""
    return np.array([1 - math.prod((BETA + i) / (ALPHA + BETA + i) for i in range(k)) for k in ks])


def assert_nominal(held, simulations):
    slack = 3 * math.sqrt(0.95 * 0.05 / simulations)
    assert 0.93 - slack <= np.mean(held) <= 0.97 + slack


def normal_width(n, problems, score):
    """Of the mean of Pass@1, and of the difference of `correct`: p varies, and the samples do, given p."""
    mean, square = ALPHA / (ALPHA + BETA), ALPHA * (ALPHA + 1) / (ALPHA + BETA) / (ALPHA + BETA + 1)
    of_samples = (mean - square) / n
    of_a, of_difference = square - mean**2 + of_samples, 0.3 * square - (0.3 * mean) ** 2 + 1.7 * of_samples
    return [2 * score * math.sqrt(variance / problems) for variance in (of_a, of_difference)]


def correct(rng, n, problems):
    """Correct samples of each problem under two orders; the second never solves 30 % of them."""
    p = rng.beta(ALPHA, BETA, size=problems)
    solvable = rng.random(problems) < 0.7
    return rng.binomial(n, p), rng.binomial(n, np.where(solvable, p, 0.0))


@pytest.mark.parametrize("n", [16, 64])
@pytest.mark.parametrize("problems", [50, 500])
def test_intervals_at_single_k(n, problems):
    rng, ks = np.random.default_rng([n, problems]), [1, 4, n]
    of_count_CK = pass_at_k(n, np.arange(n + 1)[:, None], np.array(ks))
    drawn = [correct(rng, n, problems) for _ in range(SIMULATIONS)]
    # The simulations share their resamples of rows, so that one call does them all.
    a, b = (pd.DataFrame(np.concatenate([of_count_CK[c[i]] for c in drawn], axis=1)) for i in (0, 1))
    results = (interval(a, bootstrap=FEW), paired_difference(a, b, bootstrap=FEW))
    for found, true_K, normal in zip(
        results, (truth(ks), 0.3 * truth(ks)), normal_width(n, problems, 1.96), strict=True
    ):
        low, high = (
            np.array([getattr(at, end) for at in found.values()]).reshape(SIMULATIONS, -1) for end in ("low", "high")
        )
        held_SK = (low <= true_K) & (true_K <= high)
        for held_S in held_SK.T:
            assert_nominal(held_S, SIMULATIONS)
        assert (high - low)[:, 0].mean() == pytest.approx(normal, rel=0.1)


def tables(of_count_CK, ks, *correct_P):
    return [pd.DataFrame(of_count_CK[c_P], columns=pd.Index(ks, name="k")) for c_P in correct_P]


@pytest.mark.parametrize(("n", "problems"), [(16, 50), (64, 50), (16, 500)])
def test_bands_hold_the_whole_curve(n, problems):
    rng, ks = np.random.default_rng([1, n, problems]), default_ks(n)
    of_count_CK, true_K = pass_at_k(n, np.arange(n + 1)[:, None], np.array(ks)), truth(ks)
    held, width = {"mean": [], "difference": []}, {"mean": [], "difference": []}
    for _ in range(CURVES):
        a, b = tables(of_count_CK, ks, *correct(rng, n, problems))
        mean, difference = band(a, bootstrap=FEW), band_of_differences(differences(a, b), largest=1.0, bootstrap=FEW)
        held["mean"].append(((mean["low"] <= true_K) & (true_K <= mean["high"])).all())
        held["difference"].append(((difference["low"] <= 0.3 * true_K) & (0.3 * true_K <= difference["high"])).all())
        for name, found in (("mean", mean), ("difference", difference)):
            width[name].append(found["high"][0] - found["low"][0])
    # Wider than an interval at one k, and no wider than if the k had nothing to do with each other.
    scores = (1.96, stats.norm.isf(0.025 / len(ks)))
    narrowest, widest = (normal_width(n, problems, score) for score in scores)
    for name, least, most in zip(held, narrowest, widest, strict=True):
        assert_nominal(held[name], CURVES)
        assert least < np.mean(width[name]) < 1.1 * most


def test_the_interval_of_the_crossing_point():
    # a solves half of the problems always; b solves each with chance p: they meet where E[1 - (1 - p)^k] = 1/2.
    rng, n, problems, ks = np.random.default_rng(2), 8, 200, [1, 2, 3, 4, 6, 8]
    curve_K = truth(ks)
    i = int(np.argmax(curve_K >= 0.5)) - 1
    k_star = ks[i] * (ks[i + 1] / ks[i]) ** ((0.5 - curve_K[i]) / (curve_K[i + 1] - curve_K[i]))
    held = []
    for _ in range(CURVES):
        b = rng.binomial(n, rng.beta(ALPHA, BETA, size=problems))
        a = np.where(rng.random(problems) < 0.5, n, 0)
        counts_a, counts_b = (pd.DataFrame({"problem_id": range(problems), "n": n, "c": c}) for c in (a, b))
        found = crossing_point(counts_a, counts_b, ks, bootstrap=FEW)
        held.append(found.k_star is not None and found.low <= k_star <= found.high)
    assert_nominal(held, CURVES)
