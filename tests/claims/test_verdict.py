"""The rule: which intervals make a claim hold, and how often it is wrong where the truth sits on the bound."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flexeval import stats
from flexeval.claims.verdict import all_of, verdict, widened
from flexeval.stats import Interval


def between(low, high, problems=100):
    return Interval(estimate=(low + high) / 2, low=low, high=high, level=0.95, problems=problems)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.01, 0.2, "holds"),
        (-0.2, -0.01, "does not hold"),
        (-0.01, 0.2, "unresolved"),
        (0.0, 0.2, "unresolved"),
        (-0.2, 0.0, "unresolved"),
    ],
)
def test_better_means_above_zero(low, high, expected):
    assert verdict(between(low, high), above=0) == expected
    # Mirrored, the same rule decides "worse".
    assert verdict(between(-high, -low), below=0) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.02, 0.2, "holds"),
        (-0.2, 0.2, "unresolved"),
        (-0.2, -0.04, "does not hold"),
        (-0.02, -0.01, "holds"),
    ],
)
def test_not_worse_must_be_shown_up_to_its_margin(low, high, expected):
    assert verdict(between(low, high), above=-0.03) == expected


def test_a_wider_interval_never_decides_more():
    rng = np.random.default_rng(0)
    for _ in range(500):
        low, high = sorted(rng.normal(size=2))
        bounds = {"above": rng.normal(), "below": float("inf")}
        narrow, wide = between(low, high), between(low - 0.3, high + 0.3)
        assert verdict(wide, **bounds) in (verdict(narrow, **bounds), "unresolved")


def test_few_problems_decide_nothing():
    # Five of five heads have probability 1/16, two-sided; six of six 1/32.
    assert verdict(between(0.5, 0.9, problems=5), above=0) == "unresolved"
    assert verdict(between(0.5, 0.9, problems=6), above=0) == "holds"


def test_nan_decides_nothing():
    assert verdict(between(float("nan"), float("nan")), above=0) == "unresolved"


def test_a_claim_of_parts_holds_when_all_do():
    assert all_of("holds", "holds") == "holds"
    assert all_of("holds", "unresolved") == "unresolved"
    assert all_of("unresolved", "does not hold") == "does not hold"


def test_agreement_of_all_problems_is_widened_by_the_rule_of_three():
    agreed = widened(between(0.0, 0.0, problems=40))
    # The largest share of problems that 40 draws miss with probability 5 %.
    assert (1 - agreed.high) ** 40 == pytest.approx(0.05)
    assert agreed.low == -agreed.high
    assert widened(between(-0.1, 0.1)) == between(-0.1, 0.1)


@pytest.mark.parametrize("bound", [0.0, -0.03])
def test_on_the_bound_each_decision_is_wrong_about_one_time_in_forty(bound):
    """The truth is the bound itself: neither "holds" nor "does not hold" is right."""
    rng = np.random.default_rng(1)
    trials, problems, samples = 150, 50, 32
    verdicts = []
    for trial in range(trials):
        chance_P = rng.uniform(0.1, 0.9, size=problems)
        counts = [
            pd.DataFrame(
                {
                    "problem_id": np.arange(problems),
                    "n": samples,
                    "c": rng.binomial(samples, chance_P + shift),
                }
            )
            for shift in (bound, 0.0)
        ]
        gap = stats.pass_at_k_differences(*counts, ks=[1], replicates=600, seed=trial)[1]
        verdicts.append(verdict(widened(gap), above=bound))
    # 150 trials at 2.5 %: 4 expected; 12 or more would come with probability 0.001.
    assert verdicts.count("holds") < 12
    assert verdicts.count("does not hold") < 12
    # And far from the bound the same data decide.
    assert verdict(widened(gap), above=bound - 0.15) == "holds"
    assert verdict(widened(gap), above=bound + 0.15) == "does not hold"
