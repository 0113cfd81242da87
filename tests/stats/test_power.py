"""Widths before sampling: against closed forms, and against runs drawn from another mechanism than the model's."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from flexeval.errors import InputError
from flexeval.stats.bootstrap import Bootstrap
from flexeval.stats.curves import pass_at_k_differences
from flexeval.stats.extrapolation import BetaBinomial
from flexeval.stats.power import TwoRuns, power_table

FEW = Bootstrap(replicates=400)
A, B = BetaBinomial(alpha=0.6, beta=1.2), BetaBinomial(alpha=0.5, beta=1.5)


def counts(c, n):
    return pd.DataFrame({"problem_id": [f"p{i}" for i in range(len(c))], "n": n, "c": c})


# ----- fits -----


@pytest.mark.parametrize("truth", [A, BetaBinomial(alpha=0.1, beta=0.03), BetaBinomial(alpha=40.0, beta=60.0)])
def test_a_published_curve_gives_back_its_distribution(truth):
    ks = [1, 4, 64]
    found = BetaBinomial.through(dict(zip(ks, truth.pass_at_k(ks).tolist(), strict=True)))
    assert found.pass_at_k([2, 8, 32]) == pytest.approx(truth.pass_at_k([2, 8, 32]), abs=2e-4)


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        ({1: 0.5}, "two values of k"),
        ({1: 0.5, 8: 0.4}, "must not fall"),
        ({1: 0.0, 8: 0.4}, "between 0 and 100"),
        ({1: 0.1, 2: 0.9}, "independent samples cannot have"),
    ],
)
def test_refuses_what_is_no_curve(curve, message):
    with pytest.raises(InputError, match=message):
        BetaBinomial.through(curve)


# ----- what is drawn -----


@pytest.mark.parametrize("correlation", [-0.3, 0.0, 0.5, 0.9])
def test_chances_have_the_means_spreads_and_correlation_that_were_asked_for(correlation):
    runs, n = TwoRuns(a=A, b=B, correlation=correlation), 4096
    a, b = (c[:, 0] / n for c in runs.draw(np.random.default_rng(0), problems=40_000, n=n, simulations=1))
    assert (a.mean(), b.mean()) == pytest.approx((A.mean, B.mean), abs=0.006)
    assert (a.std(), b.std()) == pytest.approx((A.deviation, B.deviation), rel=0.02)
    assert np.corrcoef(a, b)[0, 1] == pytest.approx(correlation, abs=0.02)


def test_a_pilot_gives_back_what_it_was_drawn_from():
    a, b = TwoRuns(a=A, b=B, correlation=0.7).draw(np.random.default_rng(1), problems=8000, n=8, simulations=1)
    second = counts(b[:, 0], 8).sample(frac=1, random_state=0)
    found = TwoRuns.of_pilot(counts(a[:, 0], 8), second)
    assert (found.a.mean, found.b.mean, found.correlation) == pytest.approx((A.mean, B.mean, 0.7), abs=0.03)


def test_equal_runs_have_the_highest_correlation():
    run = counts([0, 1, 4, 4, 2, 0, 3], 4)
    assert TwoRuns.of_pilot(run, run).correlation == pytest.approx(1.0)


# ----- widths -----


def test_half_widths_at_k_1_are_those_of_the_normal_and_shrink_with_the_problems():
    runs, n = TwoRuns(a=A, b=B, correlation=0.6), 4
    found = power_table(runs, problems=[100, 400], samples=[n], ks=[1], simulations=100, bootstrap=FEW)
    within = sum(run.mean - run.deviation**2 - run.mean**2 for run in (A, B)) / n
    between = A.deviation**2 + B.deviation**2 - 2 * 0.6 * A.deviation * B.deviation
    expected = [1.96 * math.sqrt((between + within) / problems) for problems in (100, 400)]
    assert found["half_width"].tolist() == pytest.approx(expected, rel=0.06)
    assert found["band_half_width"].tolist() == pytest.approx(found["half_width"].tolist(), rel=1e-9)
    # A difference d with standard error e is seen with the chance of a normal above 1.96 - d / e.
    error = expected[0] / 1.96
    chance = 0.5 * math.erfc((1.96 - runs.differences([1])[0] / error) / math.sqrt(2))
    assert found["power"][0] == pytest.approx(chance, abs=0.15)
    # The same where the first run is the worse one.
    mirrored = TwoRuns(a=B, b=A, correlation=0.6)
    back = power_table(mirrored, problems=[100], samples=[n], ks=[1], simulations=100, bootstrap=FEW)
    assert back["difference"][0] == pytest.approx(-runs.differences([1])[0])
    assert back["power"][0] == pytest.approx(chance, abs=0.15)


def drawn(rng, problems, n):
    """Two runs of which the second never solves some problems: not a Beta distribution, and not a copula."""
    p = rng.beta(0.6, 1.2, size=problems)
    solvable = rng.random(problems) < 0.8
    return counts(rng.binomial(n, p), n), counts(rng.binomial(n, np.where(solvable, p, 0.0)), n)


@pytest.mark.parametrize(("problems", "n"), [(60, 16), (200, 4)])
def test_widths_and_power_from_a_pilot_are_those_of_runs_that_are_drawn_later(problems, n):
    rng, simulations = np.random.default_rng(3), 60
    runs = TwoRuns.of_pilot(*drawn(rng, 600, 8))
    ks = [1, 4]
    found = power_table(runs, problems=[problems], samples=[n], ks=ks, simulations=100, bootstrap=FEW)
    later = [pass_at_k_differences(*drawn(rng, problems, n), ks=ks, bootstrap=FEW) for _ in range(simulations)]
    for row, k in zip(found.to_dict("records"), ks, strict=True):
        assert row["half_width"] == pytest.approx(np.median([(at[k].high - at[k].low) / 2 for at in later]), rel=0.2)
        assert row["difference"] == pytest.approx(np.mean([at[k].estimate for at in later]), abs=0.03)
        # The band over two k, which power is about, is wider than these intervals.
        assert row["power"] <= np.mean([at[k].low > 0 for at in later]) + 0.15
    assert (found["band_half_width"] >= found["half_width"]).all()


def test_few_problems_do_not_resolve_five_points():
    a = BetaBinomial.through({1: 0.785, 128: 0.977})
    runs = TwoRuns.shifted(a, difference=0.05, correlation=0.8)
    assert runs.differences([1]) == pytest.approx([0.05])
    assert runs.b.alpha + runs.b.beta == pytest.approx(a.alpha + a.beta), "problems differ as much"
    found = power_table(runs, problems=[32, 500], samples=[8], simulations=60, bootstrap=FEW)
    at_1 = found[found["k"] == 1].set_index("problems")
    assert at_1["half_width"][32] > 0.05 > at_1["half_width"][500]
    assert at_1["power"][32] < 0.3 < 0.9 < at_1["power"][500]
    assert found["k"].tolist() == [1, 8, 1, 8]


def test_power_needs_a_difference():
    runs = TwoRuns(a=A, b=A, correlation=0.5)
    found = power_table(runs, problems=[20], samples=[2], simulations=10, bootstrap=FEW)
    assert found["power"].isna().all() and (found["half_width"] > 0).all()


def test_the_same_seed_gives_the_same_table():
    runs = TwoRuns(a=A, b=B, correlation=0.5)
    both = [power_table(runs, problems=[20], samples=[2, 3], simulations=10, bootstrap=FEW) for _ in range(2)]
    pd.testing.assert_frame_equal(*both)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TwoRuns.of_pilot(counts([0, 0], 4), counts([1, 0], 4)), "first run is always wrong"),
        (lambda: TwoRuns.of_pilot(counts([1], 4), counts([1], 4)), "at least two"),
        (lambda: TwoRuns.of_pilot(counts([1, 0], 4), counts([1, 0, 2], 4)), "not on the same problems"),
        (lambda: TwoRuns.shifted(A, difference=0.5, correlation=0.5), "between 0 and 100 %"),
        (lambda: TwoRuns(a=BetaBinomial(alpha=0.1, beta=0.9), b=B, correlation=1.0), "cannot have a correlation of 1"),
        (lambda: power_table(TwoRuns(a=A, b=B, correlation=0.5), problems=[1], samples=[2]), "at least 2"),
    ],
)
def test_refuses_what_has_no_width(make, message):
    with pytest.raises(InputError, match=message):
        make()
