"""Simultaneous bands: their width in closed form, their range, their symmetry."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from flexeval.errors import InputError
from flexeval.stats import (
    comparison,
    difference_band,
    interval,
    paired_difference,
    pass_at_k_band,
    pass_at_k_differences,
    pass_at_k_table,
)
from flexeval.stats.bands import band

KS = [1, 2, 4, 8]


def counts(c, n=8):
    return pd.DataFrame({"problem_id": [f"p{i}" for i in range(len(c))], "n": n, "c": c})


def random_counts(seed, problems=80, n=8):
    rng = np.random.default_rng(seed)
    return counts(rng.binomial(n, rng.beta(0.6, 1.2, size=problems)), n)


def width(frame):
    return (frame["high"] - frame["low"]).to_numpy()


def test_independent_columns_need_the_width_of_sidak():
    values = np.random.default_rng(0).standard_normal((400, 6))
    table = pd.DataFrame(values, columns=pd.Index(range(6), name="k"))
    joint = band(table, tasks=None, level=0.95, replicates=10_000, seed=0)
    ratio = stats.norm.ppf((1 + 0.95 ** (1 / 6)) / 2) / stats.norm.ppf(0.975)
    single = np.array([i.high - i.low for i in interval(table).values()])
    assert (width(joint) / single).mean() == pytest.approx(ratio, rel=0.03)


def test_columns_that_move_together_cost_nothing():
    value = np.random.default_rng(1).random((60, 1))
    table = pd.DataFrame(np.repeat(value, 5, axis=1), columns=pd.Index(range(5), name="k"))
    joint = band(table, tasks=None, level=0.95, replicates=10_000, seed=0)
    single = interval(table)[0]
    assert joint["low"].to_numpy() == pytest.approx(single.low, abs=1e-3)
    assert joint["high"].to_numpy() == pytest.approx(single.high, abs=1e-3)


def test_a_band_holds_every_interval():
    drawn = random_counts(2)
    joint = pass_at_k_band(drawn, KS)
    assert list(joint.columns) == ["k", "estimate", "low", "high"] and joint["k"].tolist() == KS
    for row, single in zip(joint.itertuples(), interval(pass_at_k_table(drawn, KS)).values(), strict=True):
        assert row.low < single.low < single.estimate == row.estimate < single.high < row.high


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
    assert paired_difference(*tables, replicates=200)[1].high > 1, "nothing would be clipped, so this shows nothing"
    assert difference_band(a, b, [1], replicates=200)["high"][0] == 1
    assert comparison(*tables, largest=1.0, replicates=200)[["high", "band_high"]].to_numpy().tolist() == [[1, 1]]
    there, back = (pass_at_k_differences(*pair, ks=[1], replicates=200)[1] for pair in ((a, b), (b, a)))
    assert (back.low, back.high) == pytest.approx((-1, -there.low))


def test_tasks_count_equally():
    drawn = pd.concat([counts([8] * 10), counts([0] * 30)], ignore_index=True)
    drawn["problem_id"] = drawn.index
    joint = pass_at_k_band(drawn, KS, tasks=["easy"] * 10 + ["hard"] * 30)
    assert (joint[["estimate", "low", "high"]] == 0.5).all(axis=None)


def test_refuses_other_problems_and_too_few_samples():
    with pytest.raises(InputError, match="not on the same problems"):
        difference_band(counts([1, 2]), counts([1]), KS)
    with pytest.raises(InputError, match="pass@16 needs 16 samples"):
        pass_at_k_band(counts([1, 2]), [16])
    with pytest.raises(InputError, match="level must lie in"):
        pass_at_k_band(counts([1, 2]), KS, level=95)
