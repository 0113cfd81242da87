"""Pass@k against enumeration, against the exact ratio of binomials, and its refusals."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexeval.errors import InputError
from flexeval.stats import default_ks, pass_at_k, pass_at_k_table


@pytest.mark.parametrize("n", range(1, 8))
def test_equals_the_share_of_subsets_with_a_correct_sample(n):
    for c in range(n + 1):
        outcomes = [True] * c + [False] * (n - c)
        for k in range(1, n + 1):
            subsets = list(combinations(outcomes, k))
            share = sum(any(subset) for subset in subsets) / len(subsets)
            assert pass_at_k(n, c, k) == pytest.approx(share, abs=1e-15)


@settings(deadline=None)
@given(st.integers(1, 2048), st.data())
def test_is_exact_to_rounding_for_large_n(n, data):
    c = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, n))
    exact = 1 - Fraction(math.comb(n - c, k), math.comb(n, k))
    assert abs(Fraction(pass_at_k(n, c, k)) - exact) < 1e-15


def test_grows_with_k_and_with_c():
    n = 24
    values_CK = pass_at_k(n, np.arange(n + 1)[:, None], np.arange(1, n + 1)[None, :])
    assert (np.diff(values_CK, axis=0) >= -1e-15).all()
    assert (np.diff(values_CK, axis=1) >= -1e-15).all()
    assert (values_CK[0] == 0).all() and (values_CK[-1] == 1).all()
    assert values_CK[:, 0] == pytest.approx(np.arange(n + 1) / n, abs=1e-15)


def test_each_problem_may_have_its_own_n():
    n, c = np.array([4, 9, 16]), np.array([1, 0, 16])
    assert pass_at_k(n, c, 4).tolist() == [pass_at_k(4, 1, 4), pass_at_k(9, 0, 4), pass_at_k(16, 16, 4)]


@pytest.mark.parametrize(
    ("n", "c", "k", "message"),
    [
        (4, 1, 8, r"pass@8 needs 8 samples of every problem, but one has 4; sample more, or keep k <= 4"),
        ([16, 3], [1, 1], 4, r"pass@4 .* has 3; sample more, or keep k <= 3"),
        (4, 5, 1, r"c = 5 where n = 4"),
        (4, -1, 1, r"c = -1 where n = 4"),
        (-1, 0, 1, r"c = 0 where n = -1"),
        (4, 1, 0, r"k must be at least 1, not 0"),
        (4.0, 1, 1, r"n must be whole numbers, not float64"),
        (4, True, 1, r"c must be whole numbers, not bool"),
    ],
)
def test_refuses_counts_that_mean_nothing(n, c, k, message):
    with pytest.raises(InputError, match=message):
        pass_at_k(n, c, k)


def counts(n, c):
    return pd.DataFrame({"problem_id": [f"p{i}" for i in range(len(n))], "n": n, "c": c})


def test_table_keeps_problems_without_a_correct_sample():
    table = pass_at_k_table(counts([4, 4, 4], [0, 1, 4]), [1, 2, 4])
    assert table.index.tolist() == ["p0", "p1", "p2"] and table.columns.tolist() == [1, 2, 4]
    assert table.loc["p0"].tolist() == [0, 0, 0]
    assert table.loc["p1"].tolist() == [0.25, 0.5, 1]


def test_table_names_the_problem_that_has_too_few_samples():
    with pytest.raises(InputError, match=r"pass@4 needs 4 samples of every problem, but 'p1' has 3"):
        pass_at_k_table(counts([4, 3], [0, 1]), [1, 4])


@pytest.mark.parametrize(("n", "ks", "message"), [([], [1], "no problem"), ([4], [], "no k")])
def test_table_of_nothing_is_an_error(n, ks, message):
    with pytest.raises(InputError, match=message):
        pass_at_k_table(counts(n, n), ks)


def test_default_ks_end_at_n():
    assert default_ks(1) == [1]
    assert default_ks(16) == [1, 2, 4, 8, 16]
    assert default_ks(12) == [1, 2, 4, 8, 12]
    with pytest.raises(InputError, match="at least 1 sample"):
        default_ks(0)
