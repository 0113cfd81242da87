"""Pass@NFE against enumeration of all orders of the samples; tokens per step and per forward; AUP."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexeval.errors import InputError
from flexeval.stats.nfe import (
    accuracy_under_parallelism,
    default_budgets,
    pass_at_nfe,
    pass_at_nfe_table,
    tokens_per_forward,
    tokens_per_step,
)
from flexeval.stats.pass_at_k import pass_at_k


def samples(nfe, correct, problem_id="p"):
    return pd.DataFrame({"problem_id": problem_id, "nfe": nfe, "correct": np.array(correct, dtype=bool)})


def enumerated(nfe, correct, budget):
    """The share of orders of trying that reach a correct sample within the budget."""
    reached = 0
    orders = list(permutations(range(len(nfe))))
    for order in orders:
        spent = 0
        for i in order:
            spent += nfe[i]
            if spent > budget:
                break
            if correct[i]:
                reached += 1
                break
    return reached / len(orders)


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=5).filter(
        lambda own: any(cost for cost, _ in own)
    )
)
def test_is_the_share_of_orders_that_reach_a_correct_sample(drawn):
    nfe, correct = map(list, zip(*drawn, strict=True))
    budgets = list(range(1, sum(nfe) + 1))
    table = pass_at_nfe_table(samples(nfe, correct), budgets)
    expected = [enumerated(nfe, correct, budget) for budget in budgets]
    assert table.loc["p"].tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("c", [0, 1, 5, 40, 48])
def test_is_pass_at_k_where_every_sample_costs_the_same(c):
    n, cost = 48, 32
    table = pass_at_nfe_table(samples([cost] * n, [True] * c + [False] * (n - c)), [31, 32, 63, 64, 512, n * cost])
    expected = [0, *(pass_at_k(n, c, k) for k in (1, 1, 2, 16, 48))]
    assert table.loc["p"].tolist() == pytest.approx(expected, abs=1e-12)


def test_is_unbiased_over_the_samples_that_happen_to_be_drawn():
    nfe, correct, budget = [2, 3, 3, 5, 4, 2], [0, 1, 0, 1, 0, 0], 8
    whole = pass_at_nfe_table(samples(nfe, correct), [budget]).loc["p", budget]
    parts = [
        pass_at_nfe_table(samples([nfe[i] for i in part], [correct[i] for i in part]), [budget]).loc["p", budget]
        for part in combinations(range(6), 4)
    ]
    assert np.mean(parts) == pytest.approx(whole, abs=1e-12)


def test_the_unit_of_cost_does_not_matter():
    rng = np.random.default_rng(0)
    nfe, correct = rng.integers(20, 49, size=16), rng.random(16) < 0.2
    once = pass_at_nfe_table(samples(nfe, correct), [50, 100, 300])
    guided = pass_at_nfe_table(samples(2 * nfe, correct), [100, 200, 600])
    assert once.to_numpy() == pytest.approx(guided.to_numpy())
    assert (np.diff(once.to_numpy()) > 0).all()


def test_mean_and_interval_are_over_problems():
    frame = pd.concat([samples([4, 4], [1, 1], "a"), samples([4, 4], [0, 0], "b"), samples([4, 4], [1, 0], "c")])
    result = pass_at_nfe(frame, [4, 8])
    assert list(result.columns) == ["nfe", "estimate", "low", "high"]
    assert result["estimate"].tolist() == pytest.approx([0.5, 2 / 3])
    assert ((result["low"] >= 0) & (result["high"] <= 1)).all()


def test_budgets_that_every_problem_can_pay():
    cheap, dear = samples([10, 12, 14], [0, 0, 1]), samples([20, 30, 40], [0, 0, 1])
    assert default_budgets(cheap, dear) == [16, 32]
    assert default_budgets(dear) == [32, 64]
    assert default_budgets(samples([33], [1])) == [33]


def test_refuses_a_budget_that_outlasts_a_problem_and_names_it():
    frame = pd.concat([samples([9, 9], [0, 1], "long"), samples([2, 3], [0, 1], "short")])
    with pytest.raises(InputError, match="6 evaluations outlasts the samples of 'short', which cost 5 in all"):
        pass_at_nfe_table(frame, [4, 6])


@pytest.mark.parametrize(
    ("frame", "budgets", "message"),
    [
        (samples([], []), [4], "no sample"),
        (samples([3], [1]), [], "budgets of at least 1"),
        (samples([3], [1]), [0], "budgets of at least 1"),
        (samples([0], [1]), [1], "no sample has a cost"),
    ],
)
def test_refuses_what_has_no_meaning(frame, budgets, message):
    with pytest.raises(InputError, match=message):
        pass_at_nfe_table(frame, budgets)


# ----- tokens per step -----


def rows(per_problem: dict[str, int]) -> pd.DataFrame:
    return pd.DataFrame({"problem_id": [problem for problem, number in per_problem.items() for _ in range(number)]})


def test_one_position_a_step_is_one_without_width():
    samples = pd.DataFrame({"problem_id": ["a", "a", "b"], "nfe": [3, 5, 4]})
    pace = tokens_per_step(rows({"a": 8, "b": 4}), samples)
    assert (pace.estimate, pace.low, pace.high) == (1, 1, 1)


def test_samples_count_by_what_they_cost():
    samples = pd.DataFrame({"problem_id": ["a", "b"], "nfe": [2, 6]})
    pace = tokens_per_step(rows({"a": 8, "b": 8}), samples)
    assert pace.estimate == 2
    assert 8 / 6 <= pace.low <= 2 <= pace.high <= 4


def test_a_sample_without_a_position_costs_too():
    samples = pd.DataFrame({"problem_id": ["a", "b"], "nfe": [4, 4]})
    assert tokens_per_step(rows({"a": 8}), samples).estimate == 1


def test_no_evaluation_is_refused():
    with pytest.raises(InputError, match="no evaluation"):
        tokens_per_step(rows({}), pd.DataFrame({"problem_id": [], "nfe": []}))


# ----- tokens per forward -----


def test_tokens_per_forward_is_a_ratio_of_sums_and_no_mean_of_ratios():
    samples = pd.DataFrame({"problem_id": ["a", "a", "b"], "length": [8, 2, 0], "nfe": [2, 4, 4]})
    assert tokens_per_forward(samples).estimate == 10 / 10
    assert tokens_per_forward(samples.assign(nfe=2 * samples["nfe"])).estimate == 10 / 20


def test_what_is_committed_after_the_text_adds_no_token():
    samples = pd.DataFrame({"problem_id": ["a", "b"], "length": [4, 8], "nfe": [8, 8]})
    assert tokens_per_forward(samples).estimate == 12 / 16
    assert tokens_per_step(rows({"a": 8, "b": 8}), samples).estimate == 1


# ----- accuracy under parallelism -----


def test_aup_by_hand():
    found = accuracy_under_parallelism([4.0, 1.0, 2.0], [0.78, 0.80, 0.80], best=0.80)
    weight = np.exp(-3 * (1 - 0.78 / 0.80))
    assert found == pytest.approx(0.80 + (2 - 1) * 0.80 + (4 - 2) * (0.80 + 0.78 * weight) / 2)


def test_aup_without_a_loss_is_accuracy_times_the_fastest_pace():
    assert accuracy_under_parallelism([1, 2, 5], [0.7, 0.7, 0.7], best=0.7) == pytest.approx(0.7 * 5)
    assert accuracy_under_parallelism([1], [0.7], best=0.9) == pytest.approx(0.7)


def test_aup_leaves_out_what_loses_more_than_five_points():
    kept = accuracy_under_parallelism([1, 2], [0.8, 0.77], best=0.8)
    assert accuracy_under_parallelism([1, 2, 9], [0.8, 0.77, 0.7499], best=0.8) == pytest.approx(kept)
    assert accuracy_under_parallelism([1, 2, 9], [0.8, 0.77, 0.7501], best=0.8) > kept
    for percent in range(10, 100):
        # A loss of exactly the tolerance is none beyond it.
        first = percent / 100
        assert accuracy_under_parallelism([1, 2], [first, (percent - 5) / 100], best=first) > first


def test_aup_is_lower_beside_a_better_method():
    alone, beside = (accuracy_under_parallelism([1, 4], [0.6, 0.58], best=best) for best in (0.6, 0.9))
    assert 0.6 < beside < alone


@pytest.mark.parametrize(("tpf", "accuracy", "best"), [([], [], 1), ([1, 2], [1], 1), ([0], [1], 1), ([1], [0], 0)])
def test_aup_refuses_what_has_no_meaning(tpf, accuracy, best):
    with pytest.raises(InputError, match="AUP needs"):
        accuracy_under_parallelism(tpf, accuracy, best=best)
