"""The one rule of verdicts: p-values that belong to intervals, exact tests by enumeration, Holm's step-down."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from flexeval.stats.bootstrap import Bootstrap, paired_difference
from flexeval.stats.coverage import coverage
from flexeval.stats.curves import comparison, difference_band, pass_at_k_differences
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.verdict import differing, holm, side, sign_flip_p


def counts(c, n):
    return pd.DataFrame({"problem_id": [f"p{i}" for i in range(len(c))], "n": n, "c": c})


def solved_alone(a_only, b_only, *, problems=80, n=64, at_once=1):
    """Counts of two orders: so many problems that one alone solves, by `at_once` samples; all others always solved."""
    a, b = np.full(problems, n), np.full(problems, n)
    a[:a_only], b[:a_only] = at_once, 0
    a[a_only : a_only + b_only], b[a_only : a_only + b_only] = 0, at_once
    return counts(a, n), counts(b, n)


def frame(values):
    return pd.DataFrame({"value": values})


# ----- the exact test -----


@pytest.mark.parametrize(("a_only", "b_only"), [(4, 0), (5, 0), (6, 0), (0, 9), (9, 2), (12, 3), (0, 0)])
def test_at_k_equal_n_the_test_is_mcnemars(a_only, b_only):
    a, b = solved_alone(a_only, b_only)
    gap = pass_at_k_differences(a, b, ks=[64])[64]
    assert gap.exact_p == coverage(a, b).p_value
    single = a_only + b_only
    tail = sum(math.comb(single, i) for i in range(max(a_only, b_only), single + 1)) / 2**single
    assert gap.exact_p == pytest.approx(min(1, 2 * tail))


def test_the_sign_flip_test_is_an_enumeration():
    rng = np.random.default_rng(0)
    for _ in range(20):
        shares_P = rng.normal(0.4, 1, size=8) * (rng.random(8) < 0.8)
        sums = [abs(sum(s * v for s, v in zip(signs, shares_P, strict=True)))
                for signs in itertools.product((-1, 1), repeat=8)]  # fmt: skip
        expected = np.mean(np.array(sums) >= abs(shares_P.sum()) - 1e-12)
        assert sign_flip_p(shares_P) == pytest.approx(expected)


def test_random_flips_agree_with_the_normal_where_there_are_many_problems():
    shares_P = np.random.default_rng(1).normal(0.12, 1, size=300)
    z = shares_P.sum() / np.sqrt((shares_P**2).sum())
    assert sign_flip_p(shares_P) == pytest.approx(2 * scipy_stats.norm.sf(abs(z)), abs=0.01)
    assert sign_flip_p(shares_P) == sign_flip_p(-1000 * shares_P)
    # No number of flips shows that something never happens: what was observed is one of the ways.
    assert sign_flip_p(np.linspace(0.5, 1, 60)) == pytest.approx(1 / 10_001)


def test_the_exact_test_keeps_its_level_where_few_problems_differ():
    """No difference in truth, and one problem in eight differs: McNemar's test errs at most one time in twenty."""
    rng = np.random.default_rng(2)
    decided = 0
    for _ in range(400):
        signs_P = np.where(rng.random(64) < 0.125, rng.choice([-1.0, 1.0], size=64), 0.0)
        gap = paired_difference(frame(signs_P), frame(np.zeros(64)), largest=1.0, bootstrap=Bootstrap(replicates=300))[
            "value"
        ]
        decided += gap.verdict != "unresolved"
    assert decided <= 0.05 * 400 + 3 * math.sqrt(400 * 0.05 * 0.95)


# ----- few problems that differ -----


@pytest.mark.parametrize(("alone", "verdict"), [(4, "unresolved"), (5, "unresolved"), (6, "above"), (20, "above")])
@pytest.mark.parametrize("k", [64, 63, 48])
def test_what_counts_are_the_problems_that_differ(alone, verdict, k):
    """Four against none of 80 is p = 0.125, however many problems agree, and no more at a k just below n."""
    a, b = solved_alone(alone, 0, at_once=3)
    assert pass_at_k_differences(a, b, ks=[k])[k].verdict == verdict
    assert pass_at_k_differences(b, a, ks=[k])[k].verdict == verdict.replace("above", "below")


def test_an_interval_that_excludes_zero_is_no_verdict_where_mcnemars_test_says_chance():
    """Nine against two of 80: [0.5, 17.0] points, p = 0.065."""
    a, b = solved_alone(9, 2)
    gap = pass_at_k_differences(a, b, ks=[64])[64]
    assert gap.low > 0 and gap.exact_p == pytest.approx(0.0654, abs=1e-4)
    assert gap.p_value(0) == gap.exact_p and gap.verdict == "unresolved"
    found = comparison(pass_at_k_table(a, [64]), pass_at_k_table(b, [64]), largest=1.0)
    assert found["band_low"][0] > 0 and found["verdict"][0] == "unresolved"


def test_many_tiny_differences_do_not_make_few_large_ones_evidence():
    """Below n nearly every problem differs by a little; the difference still rests on four."""
    rng = np.random.default_rng(3)
    values = np.concatenate([np.full(4, 1.0), rng.normal(0, 1e-4, size=76)])
    gap = paired_difference(frame(values), frame(np.zeros(80)), largest=1.0)["value"]
    assert differing(gap.shares_P) == pytest.approx(4, abs=0.1)
    assert gap.exact_p > 0.05 and gap.verdict == "unresolved"


def test_problems_that_differ_are_counted_by_size():
    assert differing(np.array([0.5] * 7 + [0.0] * 90)) == pytest.approx(7)
    assert differing(np.array([1.0, -1.0, 1e-6])) == pytest.approx(2, abs=1e-4)
    assert differing(np.zeros(5)) == 0


@pytest.mark.parametrize("differ", [0, 1, 4, 5])
def test_where_few_differ_the_interval_allows_for_problems_that_were_not_met(differ):
    """The rule of three: the largest share of problems that 80 draws miss with probability 5 %."""
    values = np.zeros(80)
    values[:differ] = 1.0
    gap = paired_difference(frame(values), frame(np.zeros(80)), largest=1.0)["value"]
    free = paired_difference(frame(values), frame(np.zeros(80)))["value"]
    unseen = free.low - gap.low
    assert (1 - unseen) ** 80 == pytest.approx(0.05)
    assert gap.high - free.high == pytest.approx(unseen)
    assert gap.low <= 0, "fewer than six problems say nothing of the sign"


@pytest.mark.parametrize("differ", [6, 50])
def test_where_many_differ_the_interval_is_that_of_the_bootstrap_alone(differ):
    values = np.where(np.arange(50) < differ, np.random.default_rng(4).choice([-0.5, 0.5], size=50), 0.0)
    bounded, free = (
        paired_difference(frame(values), frame(np.zeros(50)), largest=largest)["value"] for largest in (1.0, math.inf)
    )
    assert (bounded.low, bounded.high) == (free.low, free.high)


# ----- the rule -----


def test_a_side_needs_the_whole_interval_and_the_p_value():
    assert side(0.1, 0.2, 0.01, level=0.95) == "above"
    assert side(-0.2, -0.1, 0.05, level=0.95) == "below"
    assert side(0.1, 0.2, 0.06, level=0.95) == "unresolved"
    assert side(0.1, 0.2, 0.5, level=0.5) == "above", "a p-value that equals the level is enough"
    assert side(-0.1, 0.2, 0.01, level=0.95) == "unresolved"
    assert side(0.0, 0.2, 0.01, level=0.95) == side(-0.2, 0.0, 0.01, level=0.95) == "unresolved"
    assert side(0.1, 0.2, 0.01, level=0.95, bound=0.15) == "unresolved"
    assert side(0.1, 0.2, math.nan, level=0.95) == "unresolved"


# ----- curves and tables -----


def test_a_curve_is_judged_by_its_band():
    rng = np.random.default_rng(7)
    chance = rng.beta(0.6, 1.2, size=60)
    seen = set()
    for shift in np.linspace(0, 0.2, 12):
        a, b = (counts(rng.binomial(16, np.minimum(1, chance + extra)), 16) for extra in (shift, 0.0))
        ks = [1, 2, 4, 8, 16]
        found = comparison(pass_at_k_table(a, ks), pass_at_k_table(b, ks), largest=1.0)
        band = difference_band(a, b, ks)
        assert found["band_low"].tolist() == band["low"].tolist()
        for row in found.itertuples():
            expected = side(row.band_low, row.band_high, row.p_value, level=0.95)
            assert row.verdict == expected
            seen.add((row.verdict, row.low > 0))
    assert ("unresolved", True) in seen, "no interval excludes 0 where the band does not, so this shows nothing"
    assert ("above", True) in seen


def test_no_curve_is_resolved_more_than_one_time_in_twenty_where_orders_are_alike():
    rng = np.random.default_rng(8)
    wrong, trials, ks = 0, 120, [1, 2, 4, 8, 16]
    for _ in range(trials):
        chance = rng.beta(0.6, 1.2, size=50)
        tables = [pass_at_k_table(counts(rng.binomial(16, chance), 16), ks) for _ in range(2)]
        found = comparison(*tables, largest=1.0, bootstrap=Bootstrap(replicates=400))
        wrong += (found["verdict"] != "unresolved").any()
    assert wrong <= 0.05 * trials + 3 * math.sqrt(trials * 0.05 * 0.95)


def test_more_curves_make_wider_bands():
    rng = np.random.default_rng(9)
    tables = [pass_at_k_table(counts(rng.binomial(8, 0.5, size=40), 8), [1, 2, 4]) for _ in range(2)]
    one, many = (comparison(*tables, largest=1.0, family=family) for family in (1, 12))
    width = [(found["band_high"] - found["band_low"]).to_numpy() for found in (one, many)]
    assert (width[1] > 1.2 * width[0]).all()
    assert (one["low"] == many["low"]).all() and (one["p_value"] == many["p_value"]).all()
    single = [pass_at_k_table(counts(rng.binomial(8, 0.5, size=40), 8), [1]) for _ in range(2)]
    alone = comparison(*single, largest=1.0)
    assert (alone["band_low"][0], alone["band_high"][0]) == (alone["low"][0], alone["high"][0])


def test_holm_is_the_step_down():
    p_values = [0.01, 0.04, 0.03, 0.005, math.nan]
    assert holm(p_values) == pytest.approx([0.04, 0.09, 0.09, 0.025, 1.0])
    assert holm([]) == [] and holm([0.03]) == [0.03]
    rng = np.random.default_rng(10)
    for _ in range(50):
        p = rng.random(9) ** 3
        rejected = np.zeros(9, dtype=bool)
        for rank, index in enumerate(np.argsort(p)):
            if p[index] > 0.05 / (9 - rank):
                break
            rejected[index] = True
        assert (np.array(holm(p.tolist())) <= 0.05).tolist() == rejected.tolist()
