"""Bands: width, range and symmetry; crossings against curves whose crossing is known; matching by entropy."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from flexeval.errors import InputError
from flexeval.stats.bootstrap import Bootstrap, bootstrap_means, interval, paired_difference
from flexeval.stats.curves import (
    OutOfReach,
    band,
    band_of_differences,
    comparison,
    crossing_point,
    difference_band,
    match_entropy,
    matched_pass_at_k,
    pass_at_k_band,
    pass_at_k_differences,
)
from flexeval.stats.pass_at_k import pass_at_k_table

# ----- bands -----


KS = [1, 2, 4, 8]
FEW = Bootstrap(replicates=200)


def counts(c, n=8):
    return pd.DataFrame({"problem_id": [f"p{i}" for i in range(len(c))], "n": n, "c": c})


def random_counts(seed, problems=80, n=8):
    rng = np.random.default_rng(seed)
    return counts(rng.binomial(n, rng.beta(0.6, 1.2, size=problems)), n)


def width(frame):
    return (frame["high"] - frame["low"]).to_numpy()


def test_independent_columns_need_the_width_of_sidak():
    values = np.random.default_rng(0).standard_normal((200, 6))
    table = pd.DataFrame(values, columns=pd.Index(range(6), name="k"))
    ratio = stats.norm.ppf((1 + 0.95 ** (1 / 6)) / 2) / stats.norm.ppf(0.975)
    for joint, each in (
        (band(table), interval(table)),
        (band_of_differences(table, largest=math.inf), paired_difference(table, 0 * table)),
    ):
        single = np.array([i.high - i.low for i in each.values()])
        assert (width(joint) / single).mean() == pytest.approx(ratio, rel=0.03)


def test_columns_that_move_together_cost_nothing():
    value = np.random.default_rng(1).random((60, 1))
    table = pd.DataFrame(np.repeat(value, 5, axis=1), columns=pd.Index(range(5), name="k"))
    joint = band(table)
    single = interval(table)[0]
    assert joint["low"].to_numpy() == pytest.approx(single.low, abs=1e-3)
    assert joint["high"].to_numpy() == pytest.approx(single.high, abs=1e-3)


def fractions_of(drawn):
    return pd.DataFrame(drawn, columns=pd.Index(range(len(drawn[0])), name="k")) / 4


@settings(max_examples=20)
@given(
    st.integers(1, 4).flatmap(
        lambda ks: st.lists(st.lists(st.integers(0, 4), min_size=ks, max_size=ks), min_size=1, max_size=30)
    )
)
# All but a few problems are solved; all are; one of three is.
@example([[4]] * 48 + [[0]] * 2)
@example([[1, 2, 4]] * 30 + [[0, 0, 0]] * 2)
@example([[4, 4]] * 5)
@example([[0, 0, 0, 0], [0, 0, 0, 0], [1, 2, 3, 4]])
def test_a_band_holds_every_interval_and_is_it_where_there_is_one(drawn):
    table, zeros = fractions_of(drawn), fractions_of(np.zeros_like(drawn))
    for joint, single in (
        (band(table, bootstrap=FEW), interval(table, bootstrap=FEW)),
        (
            band_of_differences(table, largest=1.0, bootstrap=FEW),
            paired_difference(table, zeros, largest=1.0, bootstrap=FEW),
        ),
    ):
        assert list(joint.columns) == ["k", "estimate", "low", "high"] and joint["k"].tolist() == list(single)
        low, high = (np.array([getattr(one, end) for one in single.values()]) for end in ("low", "high"))
        assert (joint["low"] <= low + 1e-12).all() and (joint["high"] >= high - 1e-12).all()
        assert len(low) > 1 or (joint["low"][0], joint["high"][0]) == pytest.approx((low[0], high[0]), abs=1e-12)


@pytest.mark.parametrize("c", [[0] * 39 + [1], [8] * 39 + [7], [0] * 40, [8] * 40])
def test_stays_a_fraction_and_has_no_width_without_variance(c):
    joint = pass_at_k_band(counts(c), KS)
    assert (joint["low"] >= -1e-15).all() and (joint["high"] <= 1 + 1e-15).all()
    assert (joint["low"] <= joint["estimate"] + 1e-15).all() and (joint["estimate"] <= joint["high"] + 1e-15).all()
    # All samples of a problem were drawn at k = 8: it is solved or it is not.
    assert (width(joint)[-1] == pytest.approx(0, abs=1e-15)) == (c[-1] != 1)


def test_the_other_way_round_is_the_mirror_image():
    a, b = random_counts(3), random_counts(4)
    there, back = difference_band(a, b, KS), difference_band(b[::-1], a[::-1], KS)
    assert there["estimate"].to_numpy() == pytest.approx(-back["estimate"].to_numpy())
    there, back = difference_band(a, b, KS), difference_band(b, a, KS)
    assert there["low"].to_numpy() == pytest.approx(-back["high"].to_numpy(), abs=1e-9)
    assert there["high"].to_numpy() == pytest.approx(-back["low"].to_numpy(), abs=1e-9)


def test_an_order_does_not_differ_from_itself():
    drawn = random_counts(5)
    joint = difference_band(drawn, drawn.sample(frac=1, random_state=0), KS)
    assert (joint["estimate"] == 0).all()
    # Agreement is no equality: what the rule of three leaves to problems that were not met, at each k alike.
    assert joint["high"].to_numpy() == pytest.approx(1 - 0.05 ** (1 / len(drawn)))
    assert joint["low"].to_numpy() == pytest.approx(-joint["high"].to_numpy())


def test_differences_of_fractions_end_at_one():
    a, b = (pd.DataFrame({"problem_id": range(4), "n": 2, "c": c}) for c in ([2, 2, 2, 1], [0, 0, 0, 0]))
    tables = [pass_at_k_table(drawn, [1]) for drawn in (a, b)]
    assert paired_difference(*tables, bootstrap=FEW)[1].high > 1, "nothing would be clipped, so this shows nothing"
    assert difference_band(a, b, [1], bootstrap=FEW)["high"][0] == 1
    assert comparison(*tables, largest=1.0, bootstrap=FEW)[["high", "band_high"]].to_numpy().tolist() == [[1, 1]]
    there, back = (pass_at_k_differences(*pair, ks=[1], bootstrap=FEW)[1] for pair in ((a, b), (b, a)))
    assert (back.low, back.high) == pytest.approx((-1, -there.low))


def test_tasks_count_equally():
    drawn = pd.concat([counts([8] * 10), counts([0] * 30)], ignore_index=True)
    drawn["problem_id"] = drawn.index
    joint = pass_at_k_band(drawn, KS, tasks=["easy"] * 10 + ["hard"] * 30)
    assert (joint[["estimate", "low", "high"]] == 0.5).all(axis=None)
    # What is compared is what differs, also where the second table has its rows in another order.
    tables = (pass_at_k_table(drawn, [1]), 1 - pass_at_k_table(drawn[::-1], [1]) / 2)
    (row,) = comparison(*tables, tasks=["easy"] * 10 + ["hard"] * 30, bootstrap=FEW).to_dict("records")
    assert (row["a"], row["b"], row["difference"]) == pytest.approx((0.5, 0.75, -0.25))


def test_refuses_other_problems_and_too_few_samples():
    with pytest.raises(InputError, match="not on the same problems"):
        difference_band(counts([1, 2]), counts([1]), KS)
    with pytest.raises(InputError, match="pass@16 needs 16 samples"):
        pass_at_k_band(counts([1, 2]), [16])
    with pytest.raises(InputError, match="level must lie in"):
        pass_at_k_band(counts([1, 2]), KS, bootstrap=Bootstrap(level=95))


# ----- the crossing point -----


def searched(a, b, ks):
    """k* by walking back from the largest k; None when the leader is not overtaken."""
    d = (pass_at_k_table(a, ks).mean() - pass_at_k_table(b, ks).mean()).round(12).tolist()
    if d[0] < 0:
        d = [-x for x in d]
    if d[0] == 0 or d[-1] >= 0:
        return None
    i = len(ks) - 1
    while d[i - 1] <= 0:
        i -= 1
    return ks[i - 1] * (ks[i] / ks[i - 1]) ** (d[i - 1] / (d[i - 1] - d[i]))


def test_two_values_of_k_interpolate_on_a_log_axis():
    # a is 0.5 at both; b is 0.25 at k = 1 and 1 at k = 4: the difference 0.25 -> -0.5 is zero after a third.
    found = crossing_point(counts([4, 0] * 20, 4), counts([1, 1] * 20, 4), [1, 4])
    assert found.k_star == pytest.approx(4 ** (1 / 3))
    assert found.leader == "a"


def test_finds_the_k_at_which_the_curves_are_equal():
    # b solves with chance 1 - (1 - c/n)(1 - c/(n-1))...; a solves half of the problems at any k.
    n, ks = 64, range(1, 65)
    a, b = counts([n] * 10 + [0] * 10, n), counts([4] * 20, n)
    found = crossing_point(a, b, ks)
    curve = pass_at_k_table(b, ks).mean()
    assert curve[math.floor(found.k_star)] < 0.5 <= curve[math.ceil(found.k_star)]
    assert found.low <= found.k_star <= found.high
    assert found.share > 0.95


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=8))
def test_agrees_with_a_plain_search(pairs):
    a, b = (counts([pair[i] for pair in pairs], 6) for i in (0, 1))
    found, expected = crossing_point(a, b, range(1, 7), bootstrap=Bootstrap(replicates=20)), searched(a, b, range(1, 7))
    assert found.k_star == (expected if expected is None else pytest.approx(expected))
    assert (found.low is None) == (found.high is None) == (expected is None)


def test_the_interval_and_the_share_are_those_of_resampled_problems():
    """Between two values of k in closed form; bounds are replicates, as far out as Student's tails."""
    a, b, ks = counts([4, 4, 0, 0, 0, 0, 1, 0], 4), counts([1, 1, 1, 1, 1, 0, 2, 1], 4), [1, 4]
    bootstrap = Bootstrap(replicates=500)
    found = crossing_point(a, b, ks, bootstrap=bootstrap)
    gaps_PK = (pass_at_k_table(a, ks) - pass_at_k_table(b, ks)).to_numpy()
    first_R, last_R = bootstrap_means(gaps_PK, bootstrap=bootstrap).T.round(12)
    leads_R, overtaken_R = first_R > 0, last_R < 0
    with np.errstate(divide="ignore", invalid="ignore"):
        k_R = np.where(leads_R, 4.0 ** (first_R / (first_R - last_R)), 0.0)
    k_R = np.sort(np.where(overtaken_R, k_R, np.inf))
    tail = stats.norm.sf(stats.t.isf(0.025, 7) * math.sqrt(8 / 7))
    ends = np.round(np.array([tail, 1 - tail]) * 499).astype(int)
    assert (found.low, found.high) == pytest.approx(tuple(k_R[ends]))
    assert found.share == pytest.approx(np.mean((k_R > 0) & (k_R < np.inf))) and 0 < np.mean(k_R == 0) < 1


def test_only_the_last_crossing_counts():
    a, b, ks = counts([5, 11, 3, 0], 12), counts([1, 8, 8, 1], 12), range(1, 13)
    d = pass_at_k_table(a, ks).mean() - pass_at_k_table(b, ks).mean()
    assert np.sign(d).tolist() == [1, -1, -1, 1] + [-1] * 8
    assert 4 < crossing_point(a, b, ks, bootstrap=Bootstrap(replicates=10)).k_star < 5


def test_the_other_way_round_only_the_leader_changes():
    rng = np.random.default_rng(1)
    a, b = counts(rng.choice([0, 16], size=60), 16), counts(rng.binomial(16, 0.3, size=60), 16)
    there, back = crossing_point(a, b, [1, 2, 4, 8, 16]), crossing_point(b, a, [1, 2, 4, 8, 16])
    assert (there.leader, back.leader) == ("a", "b")
    for name in ("k_star", "low", "high", "share"):
        assert getattr(there, name) == pytest.approx(getattr(back, name))


def test_curves_that_do_not_cross_have_no_crossing_point():
    above, below = counts([8] * 9, 8), counts([1] * 8 + [0], 8)
    apart = crossing_point(above, below, [1, 2, 4])
    assert (apart.k_star, apart.low, apart.high, apart.share, apart.leader) == (None, None, None, 0, "a")
    same = crossing_point(above, above, [1, 2, 4])
    assert (same.k_star, same.share, same.leader) == (None, 0, None)
    # They meet at the largest k, and nobody has overtaken.
    assert crossing_point(counts([4] * 9, 8), counts([1] * 9, 8), [1, 8]).k_star is None


def test_an_interval_that_leaves_the_grid_says_so():
    # The overtaking at the largest k hangs on few problems.
    a, b = counts([16] * 10 + [0] * 10, 16), counts([2] * 11 + [0] * 9, 16)
    found = crossing_point(a, b, [1, 2, 4, 8, 16])
    assert found.k_star is not None
    assert found.high == math.inf and 0 < found.share < 0.975


@pytest.mark.parametrize("ks", [[1], [], [4, 2], [1, 1]])
def test_refuses_ks_that_do_not_ascend(ks):
    with pytest.raises(InputError, match="at least two values of k in ascending order"):
        crossing_point(counts([1], 4), counts([2], 4), ks)


# ----- at a matched temperature -----


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("rising", [True, False])
def test_the_match_is_on_the_line_between_two_temperatures(share, rising):
    ends = (0.2, 0.6) if rising else (0.6, 0.2)
    match = match_entropy({0.5: ends[0], 1.5: ends[1]}, ends[0] + share * (ends[1] - ends[0]))
    assert match.temperature == pytest.approx(0.5 + share)


def test_neighbours_decide_and_the_lowest_of_several_places_counts():
    match = match_entropy({2.0: 0.1, 0.5: 0.1, 1.0: 0.3}, 0.2)
    assert (match.lower, match.upper) == (0.5, 1.0)


def test_a_lower_crossing_comes_before_a_temperature_that_meets_the_target():
    match = match_entropy({0.3: 0.5, 0.6: 1.2, 0.9: 0.8, 1.2: 0.9}, 0.9)
    assert match.temperature == pytest.approx(0.3 + 0.3 * 0.4 / 0.7)
    met = match_entropy({0.3: 0.9, 0.6: 1.2, 0.9: 0.9}, 0.9)
    assert (met.lower, met.upper) == (0.3, 0.3)


@pytest.mark.parametrize("target", [0.19, 0.61])
def test_nothing_is_extrapolated(target):
    with pytest.raises(OutOfReach, match="lies outside what was sampled") as refused:
        match_entropy({0.5: 0.2, 1.5: 0.6}, target)
    assert "\n" not in str(refused.value)


def test_a_single_temperature_matches_itself_only():
    assert match_entropy({0.6: 0.4}, 0.4).temperature == 0.6
    with pytest.raises(OutOfReach):
        match_entropy({0.6: 0.4}, 0.41)


def test_matched_curves_lie_between_the_two_and_pair_by_problem():
    lower, upper = counts([0, 2, 4, 8]), counts([2, 4, 8, 8])
    match = match_entropy({0.5: 0.2, 1.5: 0.6}, 0.3)
    mine = matched_pass_at_k(lower, upper, match, [1, 4])
    pd.testing.assert_frame_equal(mine, matched_pass_at_k(lower, upper[::-1], match, [1, 4]))
    low, high = (pass_at_k_table(table, [1, 4]).mean() for table in (lower, upper))
    assert mine["estimate"].to_numpy() == pytest.approx((0.75 * low + 0.25 * high).to_numpy())
    assert ((mine["low"] <= mine["estimate"]) & (mine["estimate"] <= mine["high"])).all()


def test_a_match_at_a_sampled_temperature_is_its_own_curve():
    table = counts([1, 3, 5, 8])
    match = match_entropy({0.5: 0.2, 1.5: 0.6}, 0.2)
    mine = matched_pass_at_k(table, table, match, [1, 2, 4])
    pd.testing.assert_frame_equal(mine, pass_at_k_band(table, [1, 2, 4]))
    assert np.isfinite(mine.to_numpy()).all()
