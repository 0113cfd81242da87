"""AR-ness, order distance and the heat map, against their definitions followed one text at a time."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau
from token_rows import text_rows

from flexeval.errors import InputError
from flexeval.stats.bootstrap import Bootstrap, interval
from flexeval.stats.order import commit_step_map, global_ar_ness, local_ar_ness, order_distance

KS = (1, 2, 3, 5)


def decoded(steps: dict[tuple[str, int], list[int]]) -> pd.DataFrame:
    """Rows of texts with these commit steps, left to right."""
    samples = [(problem, sample, ["x "] * len(of_sample)) for (problem, sample), of_sample in steps.items()]
    return text_rows(samples, commit_step=list(itertools.chain(*steps.values())))


def random_steps(rng: np.random.Generator, *, ties: bool) -> dict[tuple[str, int], list[int]]:
    """Three samples of each of four problems, of different lengths; one a token long."""
    steps = {}
    for problem, sample in itertools.product("abcd", range(3)):
        length = 1 if (problem, sample) == ("a", 1) else int(rng.integers(2, 14))
        steps[problem, sample] = (
            rng.integers(0, length // 2 + 1, size=length) if ties else rng.permutation(length)
        ).tolist()
    return steps


def positions_in_order(steps: list[int]) -> list[int]:
    return sorted(range(len(steps)), key=lambda position: (steps[position], position))


def local_by_definition(steps: list[int], k: int) -> float:
    order = positions_in_order(steps)
    spans = [order[start : start + k + 1] for start in range(len(order) - k)]
    causal = [all(b == a + 1 for a, b in itertools.pairwise(span)) for span in spans]
    return np.mean(causal) if causal else np.nan


def global_by_definition(steps: list[int], k: int) -> float:
    masked, hits = set(range(len(steps))), []
    for position in positions_in_order(steps):
        hits.append(position in sorted(masked)[:k])
        masked.remove(position)
    return np.mean(hits)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("measure", "definition"), [
    (local_ar_ness, local_by_definition), (global_ar_ness, global_by_definition),
])  # fmt: skip
def test_ar_ness_is_its_definition(measure, definition, ties):
    steps = random_steps(np.random.default_rng(5), ties=ties)
    table = measure(decoded(steps), ks=KS)
    assert list(table.index) == list("abcd")
    for problem, k in itertools.product("abcd", KS):
        expected = [definition(of_sample, k) for (of, _), of_sample in steps.items() if of == problem]
        assert table.loc[problem, k] == pytest.approx(np.nanmean(expected))


def test_left_to_right_has_ar_ness_one_and_right_to_left_has_little():
    forward = decoded({("p", 0): list(range(9)), ("q", 0): list(range(7))})
    assert (local_ar_ness(forward, ks=KS) == 1).all(axis=None)
    assert (global_ar_ness(forward, ks=KS) == 1).all(axis=None)
    backward = decoded({("p", 0): list(range(9))[::-1]})
    assert (local_ar_ness(backward, ks=KS) == 0).all(axis=None)
    assert global_ar_ness(backward, ks=KS).loc["p"].tolist() == pytest.approx([k / 9 for k in KS])


def test_local_ar_ness_falls_and_global_ar_ness_rises_with_k():
    rows = decoded(random_steps(np.random.default_rng(6), ties=False))
    local, global_ = local_ar_ness(rows, ks=(1, 2, 3)), global_ar_ness(rows, ks=(1, 2, 3))
    assert global_.diff(axis=1).iloc[:, 1:].ge(0).all(axis=None)
    assert local.mean().is_monotonic_decreasing


def test_tables_go_into_intervals():
    table = global_ar_ness(decoded(random_steps(np.random.default_rng(7), ties=False)), ks=(1, 2))
    assert interval(table, bootstrap=Bootstrap(replicates=100))[2].estimate == pytest.approx(table[2].mean())


def test_a_text_too_short_for_a_span_has_no_local_ar_ness():
    table = local_ar_ness(decoded({("p", 0): [0, 1], ("q", 0): [0, 1, 2]}), ks=(2,))
    assert np.isnan(table.loc["p", 2])
    assert table.loc["q", 2] == 1


def distance_by_definition(first: list[int], second: list[int]) -> float:
    apart = []
    for i, j in itertools.combinations(range(min(len(first), len(second))), 2):
        signs = [np.sign(steps[j] - steps[i]) for steps in (first, second)]
        apart.append(1.0 if signs[0] * signs[1] < 0 else 0.5 if signs[0] != signs[1] else 0.0)
    return np.mean(apart)


@pytest.mark.parametrize("ties", [False, True])
def test_order_distance_is_its_definition(ties):
    steps = random_steps(np.random.default_rng(8), ties=ties)
    table = order_distance(decoded(steps)).set_index("problem_id")
    for problem in "abcd":
        texts = [of_sample for (of, _), of_sample in steps.items() if of == problem]
        pairs = [(a, b) for a, b in itertools.combinations(texts, 2) if min(len(a), len(b)) > 1]
        assert table.loc[problem, "pairs"] == len(pairs)
        expected = np.mean([distance_by_definition(*pair) for pair in pairs])
        assert table.loc[problem, "distance"] == pytest.approx(expected, abs=1e-6)


def test_order_distance_is_kendalls_tau():
    rng = np.random.default_rng(9)
    first, second = (rng.permutation(20).tolist() for _ in range(2))
    (distance,) = order_distance(decoded({("p", 0): first, ("p", 1): second}))["distance"]
    assert distance == pytest.approx((1 - kendalltau(first, second).statistic) / 2, abs=1e-6)


def test_order_distance_of_equal_and_reversed_orders():
    steps = [3, 0, 2, 1, 4]
    table = order_distance(
        decoded({("p", 0): steps, ("p", 1): steps, ("q", 0): steps, ("q", 1): [4 - s for s in steps], ("r", 0): steps})
    ).set_index("problem_id")
    assert table.loc["p", "distance"] == 0
    assert table.loc["q", "distance"] == 1
    assert np.isnan(table.loc["r", "distance"])
    assert table.loc["r", "pairs"] == 0


@pytest.mark.parametrize("bins", [None, 1, 3, 100])
def test_the_heat_map_counts_each_token_once(bins):
    rows = decoded(random_steps(np.random.default_rng(10), ties=True))
    cells = commit_step_map(rows, bins=bins)
    assert cells.groupby("position")["share"].sum().tolist() == pytest.approx([1.0] * cells["position"].nunique())
    if bins is None:
        at = rows[(rows["position"] == 2)]
        for step, share in cells[cells["position"] == 2][["step", "share"]].itertuples(index=False):
            assert share == pytest.approx((at["commit_step"] == step).mean())
    else:
        assert cells["position"].nunique() <= bins
        assert cells["step"].nunique() <= bins


def test_left_to_right_is_the_diagonal_of_the_heat_map():
    cells = commit_step_map(decoded({("p", 0): list(range(6)), ("p", 1): list(range(4))}))
    assert (cells["position"] == cells["step"]).all()
    assert (cells["share"] == 1).all()


def test_positions_after_the_text_do_not_count():
    rows = decoded({("p", 0): [0, 2, 1, 3, 4]})
    ended = rows.assign(in_text=rows["position"] < 1)
    assert global_ar_ness(ended, ks=(1,)).loc["p", 1] == 1
    assert set(commit_step_map(ended)["position"]) == {0}


def test_bad_input_is_refused():
    rows = decoded({("p", 0): [0, 1]})
    for measure in (local_ar_ness, global_ar_ness):
        with pytest.raises(InputError, match="at least 1"):
            measure(rows, ks=(0, 1))
        with pytest.raises(InputError, match="k must be whole numbers"):
            measure(rows, ks=(1, 1.5))
    with pytest.raises(InputError, match="bins"):
        commit_step_map(rows, bins=0)
