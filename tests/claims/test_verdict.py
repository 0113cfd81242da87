"""What becomes of a claim: which intervals make it hold, with how many claims beside it, and how often it is wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from planted import run_of, solved
from scipy import stats as scipy_stats

from flexeval.claims import CLAIMS, examine, findings_footer, findings_markdown
from flexeval.claims.verdict import NO_EVIDENCE, Judgement, all_of, judge
from flexeval.runs.store import RunSet
from flexeval.stats.bootstrap import Bootstrap
from flexeval.stats.curves import pass_at_k_differences
from flexeval.stats.intervals import Interval
from flexeval.stats.verdict import holm


def between(low, high, problems=100):
    """A normal interval of 95 %."""
    middle, error = (low + high) / 2, (high - low) / 2 / scipy_stats.norm.ppf(0.975)
    return Interval(
        estimate=middle, level=0.95, problems=problems,
        at=lambda score: (middle - score * error, middle + score * error),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.01, 0.2, "holds"),
        (-0.2, -0.01, "does not hold"),
        (-0.01, 0.2, "unresolved"),
        (-0.0001, 0.2, "unresolved"),
        (-0.2, 0.0001, "unresolved"),
    ],
)
def test_better_means_above_zero(low, high, expected):
    assert judge(between(low, high), above=0).verdict == expected
    # Mirrored, the same rule decides "worse".
    assert judge(between(-high, -low), below=0).verdict == expected


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
    assert judge(between(low, high), above=-0.03).verdict == expected


def test_a_wider_interval_never_decides_more():
    rng = np.random.default_rng(0)
    for _ in range(300):
        (low, high), bound = sorted(rng.normal(size=2)), rng.normal()
        narrow, wide = (judge(between(low - more, high + more), above=bound).verdict for more in (0, 0.3))
        assert wide in (narrow, "unresolved")


def test_few_problems_decide_nothing():
    # Five of five heads have probability 1/16, two-sided; six of six 1/32.
    assert judge(between(0.5, 0.9, problems=5), above=0).verdict == "unresolved"
    assert judge(between(0.5, 0.9, problems=6), above=0).verdict == "holds"


def test_nan_decides_nothing():
    assert judge(between(float("nan"), float("nan")), above=0) == NO_EVIDENCE


def test_a_claim_of_parts_holds_when_all_do():
    holds, fails = Judgement(p_for=0.01, p_against=1), Judgement(p_for=1, p_against=0.01)
    assert all_of(holds, holds).verdict == "holds"
    assert all_of(holds, NO_EVIDENCE).verdict == "unresolved"
    assert all_of(NO_EVIDENCE, fails).verdict == "does not hold"
    # The weakest part speaks for the claim; one of several against it must count as the best of so many tries.
    assert all_of(holds, Judgement(p_for=0.04, p_against=1)).p_value == 0.04
    assert all_of(*[NO_EVIDENCE] * 5, fails).verdict == "unresolved"


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
        gap = pass_at_k_differences(*counts, ks=[1], bootstrap=Bootstrap(replicates=600, seed=trial))[1]
        verdicts.append(judge(gap, above=bound).verdict)
    # 150 trials at 2.5 %: 4 expected; 12 or more would come with probability 0.001.
    assert verdicts.count("holds") < 12
    assert verdicts.count("does not hold") < 12
    # And far from the bound the same data decide.
    assert judge(gap, above=bound - 0.15).verdict == "holds"
    assert judge(gap, above=bound + 0.15).verdict == "does not hold"


# ----- a table of claims -----


def pair(ar, confidence, *, problems=80):
    return RunSet((run_of(solved(ar, problems=problems), "ar"),
                   run_of(solved(confidence, problems=problems), "confidence")))  # fmt: skip


def by_name(runs):
    return {finding.claim: finding for finding in examine(runs)}


@pytest.mark.parametrize(("alone", "expected"), [(4, "unresolved"), (5, "unresolved"), (16, "holds")])
def test_more_at_the_largest_k_needs_problems_that_differ(alone, expected):
    """Four problems against none of 80: +5.0 points, exact McNemar p = 0.125, which the table prints."""
    finding = by_name(pair(range(80), range(alone, 80)))["ar-better-at-largest-k"]
    assert finding.verdict == expected
    p_value = 2 * 0.5**alone
    assert f"McNemar p = {p_value:.2g}" in finding.measured
    assert finding.p_value >= min(1, p_value) * 0.999
    assert finding.estimate == pytest.approx(alone / 80)


def test_a_claim_that_holds_by_itself_may_not_survive_the_table():
    """Six against none: p = 0.03 by itself, and more among the claims beside it."""
    runs = pair(range(80), range(6, 80))
    (alone,) = CLAIMS.get("ar-better-at-largest-k")().examine(runs)
    assert alone.verdict == "holds" and alone.p_holm == alone.p_value <= 0.05
    among = by_name(runs)["ar-better-at-largest-k"]
    assert among.p_value == alone.p_value and among.p_holm > 0.05
    assert among.verdict == "unresolved"


def test_a_table_is_corrected_by_holm():
    findings = [finding for finding in examine(pair(range(70), range(40))) if finding.p_value is not None]
    assert [finding.p_holm for finding in findings] == holm([finding.p_value for finding in findings])
    for finding in findings:
        assert (finding.verdict == "unresolved") == (finding.p_holm > 0.05)


def test_a_table_says_that_it_is_corrected():
    findings = examine(pair(range(70), range(40)))
    measured = sum(finding.verdict != "not measured" for finding in findings)
    (line,) = findings_footer(findings)
    assert f"corrected for the {measured} claims" in line and "Holm" in line
    assert findings_markdown(findings).endswith(f"\n{line}\n")
    assert findings_footer(examine(RunSet(()))) == []


def test_a_table_of_true_nulls_rarely_decides_anything():
    """Two orders that are one: no claim of better or worse may be decided more than one time in twenty."""
    wrong, trials = 0, 40
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        chance = rng.beta(0.5, 0.8, size=(50, 1))
        drawn = [run_of(rng.random((50, 16)) < chance, order) for order in ("ar", "confidence", "egi")]
        findings = by_name(RunSet(tuple(drawn)))
        wrong += any(findings[name].verdict != "unresolved" for name in ("ar-better-at-largest-k", "egi-exceeds-ar"))
    assert wrong <= 6
