"""Matching by entropy interpolates, and refuses to go further."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flexeval import stats


def counts(correct: list[int], n: int = 8) -> pd.DataFrame:
    return pd.DataFrame({"problem_id": [f"p{i}" for i in range(len(correct))], "n": n, "c": correct})


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("rising", [True, False])
def test_the_match_is_on_the_line_between_two_temperatures(share, rising):
    ends = (0.2, 0.6) if rising else (0.6, 0.2)
    match = stats.match_entropy({0.5: ends[0], 1.5: ends[1]}, ends[0] + share * (ends[1] - ends[0]))
    assert match.temperature == pytest.approx(0.5 + share)


def test_neighbours_decide_and_the_lowest_of_several_places_counts():
    match = stats.match_entropy({2.0: 0.1, 0.5: 0.1, 1.0: 0.3}, 0.2)
    assert (match.lower, match.upper) == (0.5, 1.0)


def test_a_lower_crossing_comes_before_a_temperature_that_meets_the_target():
    match = stats.match_entropy({0.3: 0.5, 0.6: 1.2, 0.9: 0.8, 1.2: 0.9}, 0.9)
    assert match.temperature == pytest.approx(0.3 + 0.3 * 0.4 / 0.7)
    met = stats.match_entropy({0.3: 0.9, 0.6: 1.2, 0.9: 0.9}, 0.9)
    assert (met.lower, met.upper) == (0.3, 0.3)


@pytest.mark.parametrize("target", [0.19, 0.61])
def test_nothing_is_extrapolated(target):
    with pytest.raises(stats.OutOfReach, match="lies outside what was sampled") as refused:
        stats.match_entropy({0.5: 0.2, 1.5: 0.6}, target)
    assert "\n" not in str(refused.value)


def test_a_single_temperature_matches_itself_only():
    assert stats.match_entropy({0.6: 0.4}, 0.4).temperature == 0.6
    with pytest.raises(stats.OutOfReach):
        stats.match_entropy({0.6: 0.4}, 0.41)


def test_matched_curves_lie_between_the_two_and_pair_by_problem():
    lower, upper = counts([0, 2, 4, 8]), counts([2, 4, 8, 8])
    match = stats.match_entropy({0.5: 0.2, 1.5: 0.6}, 0.3)
    mine = stats.matched_pass_at_k(lower, upper.sample(frac=1, random_state=0), match, [1, 4])
    low, high = (stats.pass_at_k_table(table, [1, 4]).mean() for table in (lower, upper))
    assert mine["estimate"].to_numpy() == pytest.approx((0.75 * low + 0.25 * high).to_numpy())
    assert ((mine["low"] <= mine["estimate"]) & (mine["estimate"] <= mine["high"])).all()


def test_a_match_at_a_sampled_temperature_is_its_own_curve():
    table = counts([1, 3, 5, 8])
    match = stats.match_entropy({0.5: 0.2, 1.5: 0.6}, 0.2)
    mine = stats.matched_pass_at_k(table, table, match, [1, 2, 4])
    pd.testing.assert_frame_equal(mine, stats.pass_at_k_band(table, [1, 2, 4]))
    assert np.isfinite(mine.to_numpy()).all()
