"""Circulation is 0 for the conditionals of a joint distribution, and adds up to the gap between two orders."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from oracles import JointOracle, RandomOracle

from flexeval.records import SamplingConfig
from flexeval.sampling.circulation import Pair, pair_scores
from flexeval.sampling.forward import Forward

PROMPT = [0, 1, 2]


def scores(oracle, pairs, gen_length):
    forward = Forward(oracle, SamplingConfig(gen_length=gen_length), batch_size=8)
    return pair_scores(forward, pairs, gen_length=gen_length, batch_size=5)


def canvas(oracle, gen_length, filled):
    made = np.full(len(PROMPT) + gen_length, oracle.mask_id)
    made[: len(PROMPT)] = PROMPT
    for position, token in filled.items():
        made[len(PROMPT) + position] = token
    return made


def log_prob(oracle, canvas_L, position, token):
    """Of a token among those that may be drawn: all but the mask."""
    logits_V = oracle.log_conditionals(canvas_L)[len(PROMPT) + position].copy()
    logits_V[oracle.mask_id] = -np.inf
    return logits_V[token] - np.logaddexp.reduce(logits_V)


def test_conditionals_of_one_joint_distribution_have_none():
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[range(3)] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    oracle = JointOracle(grid, rng.dirichlet(np.ones(len(grid))), words=3)
    pairs = [
        Pair(canvas_L=canvas(oracle, 4, {k: 1}), positions=(i, j), tokens=(2, 0))
        for k in range(4) for i in range(4) for j in range(4) if len({i, j, k}) == 3
    ]  # fmt: skip
    assert scores(oracle, pairs, 4).circulation_R == pytest.approx(0, abs=1e-5)


def test_it_is_the_log_ratio_of_the_two_orders():
    oracle = RandomOracle(words=4)
    context = {0: 3}
    base = canvas(oracle, 4, context)
    found = scores(oracle, [Pair(canvas_L=base, positions=(1, 3), tokens=(2, 0))], 4)
    first, second = log_prob(oracle, base, 1, 2), log_prob(oracle, base, 3, 0)
    second_after = log_prob(oracle, canvas(oracle, 4, {**context, 1: 2}), 3, 0)
    first_after = log_prob(oracle, canvas(oracle, 4, {**context, 3: 0}), 1, 2)
    assert found.circulation_R == pytest.approx([first + second_after - second - first_after], abs=1e-5)
    assert found.surprisal_R == pytest.approx([-(first + second_after + second + first_after) / 2], abs=1e-5)
    assert abs(found.circulation_R[0]) > 0.1


def test_exchanging_the_positions_changes_the_sign():
    oracle = RandomOracle(words=4)
    base = canvas(oracle, 5, {})
    there = Pair(canvas_L=base, positions=(1, 4), tokens=(2, 3))
    back = Pair(canvas_L=base, positions=(4, 1), tokens=(3, 2))
    one, other = scores(oracle, [there, back], 5).circulation_R
    assert one == pytest.approx(-other, abs=1e-6) and abs(one) > 0.1


def test_the_gap_between_two_orders_is_the_sum_over_adjacent_swaps():
    """From left to right to right to left of four positions: by bubbling, one adjacent swap at a time."""
    oracle, tokens = RandomOracle(words=4), [1, 3, 0, 2]

    def log_likelihood(order):
        filled, total = {}, 0.0
        for position in order:
            total += log_prob(oracle, canvas(oracle, 4, filled), position, tokens[position])
            filled[position] = tokens[position]
        return total

    orders = [[0, 1, 2, 3], [1, 0, 2, 3], [1, 2, 0, 3], [1, 2, 3, 0], [2, 1, 3, 0], [2, 3, 1, 0], [3, 2, 1, 0]]
    pairs = []
    for before, after in pairwise(orders):
        place = next(k for k in range(4) if before[k] != after[k])
        i, j = before[place : place + 2]
        filled = {position: tokens[position] for position in before[:place]}
        pairs.append(Pair(canvas_L=canvas(oracle, 4, filled), positions=(i, j), tokens=(tokens[i], tokens[j])))
    gap = log_likelihood(orders[0]) - log_likelihood(orders[-1])
    assert scores(oracle, pairs, 4).circulation_R.sum() == pytest.approx(gap, abs=1e-4)
    assert abs(gap) > 0.1


@pytest.mark.parametrize(("scale", "passes"), [(0.0, 1), (0.5, 2)])
def test_three_forwards_a_pair_and_equal_canvases_once(scale, passes):
    oracle = RandomOracle(words=4)
    base = canvas(oracle, 4, {})
    pairs = [Pair(canvas_L=base, positions=(0, j), tokens=(1, 2)) for j in (1, 2, 3)]
    forward = Forward(oracle, SamplingConfig(gen_length=4, cfg_scale=scale), batch_size=8)
    pair_scores(forward, pairs, gen_length=4, batch_size=3)
    # The canvas and that with position 0 filled are shared. Guidance takes each twice.
    assert (forward.counters.evaluations, forward.counters.distinct) == (9 * passes, 5 * passes)


def test_no_pair_has_no_score():
    assert scores(RandomOracle(words=4), [], 4).circulation_R.shape == (0,)
