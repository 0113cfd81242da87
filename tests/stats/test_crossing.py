"""The crossing point against curves whose crossing is known, and against a plain search."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexeval.errors import InputError
from flexeval.stats import crossing_point, pass_at_k_table


def counts(c, n):
    return pd.DataFrame({"problem_id": [f"p{i}" for i in range(len(c))], "n": n, "c": c})


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
    found, expected = crossing_point(a, b, range(1, 7), replicates=20), searched(a, b, range(1, 7))
    assert found.k_star == (expected if expected is None else pytest.approx(expected))
    assert (found.low is None) == (found.high is None) == (expected is None)


def test_only_the_last_crossing_counts():
    a, b, ks = counts([5, 11, 3, 0], 12), counts([1, 8, 8, 1], 12), range(1, 13)
    d = pass_at_k_table(a, ks).mean() - pass_at_k_table(b, ks).mean()
    assert np.sign(d).tolist() == [1, -1, -1, 1] + [-1] * 8
    assert 4 < crossing_point(a, b, ks, replicates=10).k_star < 5


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
