"""P-values belong to intervals; how intervals are written; Wilson's interval is scipy's."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats
from scipy.stats import binomtest

from flexeval.errors import InputError
from flexeval.stats.bootstrap import Bootstrap, interval, paired_difference
from flexeval.stats.coverage import accuracy_correlation, coverage
from flexeval.stats.intervals import Interval, interval_text, normal_score, wilson


def counts(c, n):
    return pd.DataFrame({"problem_id": [f"p{i}" for i in range(len(c))], "n": n, "c": c})


def frame(values):
    return pd.DataFrame({"value": values})


def normal(estimate, error, level=0.95):
    return Interval(
        estimate=estimate,
        level=level,
        problems=80,
        at=lambda score: (estimate - score * error, estimate + score * error),
    )


def test_the_ends_are_those_at_the_level():
    found = normal(0.5, 0.1, level=0.8)
    assert (found.low, found.high) == found.at(normal_score(0.8)) == pytest.approx((0.5 - 0.128155, 0.5 + 0.128155))


def test_an_interval_is_written_one_way():
    found = normal(0.625, 0.1 / 1.959964)
    assert found.text(scale=100, unit=" %") == "62.5 % [52.5, 72.5]"
    assert found.text("+.3f") == interval_text(0.625, 0.525, 0.725, "+.3f") == "+0.625 [+0.525, +0.725]"


def test_no_estimate_has_no_bounds():
    found = Interval.unknown(problems=3)
    assert np.isnan([found.estimate, found.low, found.high, found.p_value(0.5)]).all()
    assert (found.problems, found.side()) == (3, "unresolved")


def test_the_p_value_of_a_bound_is_one_minus_the_level_of_the_interval_that_ends_there():
    values = np.random.default_rng(5).normal(0.1, 1, size=40)
    for level in (0.5, 0.9, 0.99):
        at_level = paired_difference(frame(values), frame(np.zeros(40)), bootstrap=Bootstrap(level=level))["value"]
        by_default = paired_difference(frame(values), frame(np.zeros(40)))["value"]
        for end in (at_level.low, at_level.high):
            assert by_default.p_value(end) == pytest.approx(1 - level, abs=1e-4)
        mean = interval(frame(np.abs(values)), bootstrap=Bootstrap(level=level))["value"]
        for end in (mean.low, mean.high):
            found = interval(frame(np.abs(values)))["value"].p_value(end)
            assert found == pytest.approx(1 - level, abs=0.003), "bounds are replicates, of which there are 10,000"


def test_the_p_value_of_a_symmetric_interval_is_students():
    values = np.random.default_rng(6).normal(0.1, 1, size=30)
    found = paired_difference(frame(values), frame(np.zeros(30)), bootstrap=Bootstrap(replicates=200_000))[
        "value"
    ].p_value(-0.2)
    expected = scipy_stats.ttest_1samp(values, -0.2).pvalue
    assert found == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("differ", [1, 4, 9, 40])
def test_the_p_value_of_an_unbounded_difference_is_at_least_that_of_the_problems_that_differ(differ):
    """However far the bound: 76 of 80 problems that agree do not say what another one would do."""
    values = np.repeat([1.0, 0.0], [differ, 80 - differ])
    found = paired_difference(frame(values), frame(np.zeros(80)))["value"]
    assert found.p_value(-10) == pytest.approx(max(2 * 0.5**differ, 2 * scipy_stats.norm.sf(4)))


def test_the_p_value_of_a_share_is_the_score_test():
    found = coverage(counts([1] * 70 + [0] * 6, 1), counts([1] * 76, 1)).share_of_b
    z = (70 / 76 - 0.8) / math.sqrt(0.8 * 0.2 / 76)
    assert found.p_value(0.8) == pytest.approx(2 * scipy_stats.norm.sf(z), rel=1e-3)
    # 76 of 76 against a bound of 95 %.
    whole = coverage(counts([1] * 76, 1), counts([1] * 76, 1)).share_of_b
    assert whole.p_value(0.95) == pytest.approx(2 * scipy_stats.norm.sf(math.sqrt(0.05 / 0.95 * 76)), rel=1e-3)


def test_no_estimate_has_no_p_value_and_no_side():
    a = pd.DataFrame({"a": [0.5] * 9, "b": [0.1] * 9})
    r = accuracy_correlation(a)
    assert math.isnan(r.p_value(0)) and r.side(0) == "unresolved"


def test_few_problems_decide_nothing():
    found = [paired_difference(frame(np.full(p, 0.2)), frame(np.zeros(p)), largest=1.0)["value"] for p in range(1, 8)]
    assert [gap.side(-0.5) for gap in found[:5]] == ["unresolved"] * 5
    assert [gap.verdict for gap in found] == ["unresolved"] * 5 + ["above"] * 2


# ----- Wilson's interval -----


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_wilson_is_scipys(level):
    n = np.array([1, 1, 2, 7, 40, 40, 40, 5000])
    k = np.array([0, 1, 1, 3, 0, 40, 11, 4999])
    low, high = wilson(k, n, level=level)
    for at in range(len(n)):
        theirs = binomtest(int(k[at]), int(n[at])).proportion_ci(level, method="wilson")
        assert (low[at], high[at]) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_of_nothing_is_everything():
    low, high = wilson([0], [0])
    assert (low[0], high[0]) == (0, 1)


def test_levels_are_fractions():
    for level in (0, 1, 95):
        with pytest.raises(InputError, match=r"level must lie in \(0, 1\)"):
            wilson([1], [2], level=level)
