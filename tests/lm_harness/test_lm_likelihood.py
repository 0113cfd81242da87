"""Scores against their definitions, on oracles that see every difference of a canvas."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from oracles import JointOracle, RandomOracle

from flexeval.errors import InputError
from flexeval.lm_harness.likelihood import Continuation, Scorer
from flexeval.orders import get_order
from flexeval.records import SamplingConfig
from flexeval.sampling import Sampler, SampleRequest

WORDS = 4


def log_probs(oracle, canvas):
    """log p at every position of one canvas, the mask token removed as it is before anything is scored."""
    log_LV = np.array(oracle.log_conditionals(np.array(canvas)))
    log_LV[:, oracle.mask_id] = -np.inf
    return log_LV - np.logaddexp.reduce(log_LV, axis=1, keepdims=True)


def chain(oracle, context, tokens, positions):
    """The definition: each token given the ones before it, and masks from it on."""
    total, greedy = 0.0, True
    for step, token in enumerate(tokens):
        canvas = [*context, *tokens[:step], *[oracle.mask_id] * (positions - step)]
        at = log_probs(oracle, canvas)[len(context) + step]
        total += at[token]
        greedy &= int(at.argmax()) == token
    return total, greedy


def greedy_text(oracle, context, positions):
    tokens = []
    for step in range(positions):
        canvas = [*context, *tokens, *[oracle.mask_id] * (positions - step)]
        tokens.append(int(log_probs(oracle, canvas)[len(context) + step].argmax()))
    return tokens


def some_continuations(oracle, count=12):
    rng = np.random.default_rng(0)
    continuations = []
    for number in range(count):
        length = int(rng.integers(1, 5))
        context = tuple(rng.integers(0, WORDS, size=int(rng.integers(1, 6))).tolist())
        positions = length + int(rng.integers(0, 3))
        tokens = rng.integers(0, WORDS, size=length).tolist()
        if number % 3 == 0:
            tokens = greedy_text(oracle, context, positions)[:length]
        continuations.append(Continuation(context_ids=context, token_ids=tuple(tokens), positions=positions))
    return continuations


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_chain_is_its_definition_whatever_the_batch(batch_size):
    oracle = RandomOracle(WORDS)
    continuations = some_continuations(oracle)
    scores = Scorer(oracle, SamplingConfig(), batch_size=batch_size).score(continuations)
    wanted = [chain(oracle, c.context_ids, c.token_ids, c.positions) for c in continuations]
    assert [score.log_prob for score in scores] == pytest.approx([total for total, _ in wanted], abs=1e-4)
    assert [score.greedy for score in scores] == [greedy for _, greedy in wanted]
    assert {True, False} == {score.greedy for score in scores}


@pytest.mark.parametrize("cfg_scale", [0.0, 1.5])
def test_a_score_is_the_sum_of_what_the_sampler_recorded(cfg_scale):
    oracle = RandomOracle(WORDS, eos_bonus=0.5)
    config = SamplingConfig(gen_length=6, temperature=1.0, stop_at_eos=False, cfg_scale=cfg_scale, seed=4)
    requests = [SampleRequest(problem_id="p", sample_index=i, prompt_ids=[1, 2, 3]) for i in range(5)]
    trajectories = list(Sampler(oracle, get_order("ar"), config).run(requests))
    for part in (slice(0, 6), slice(0, 2)):
        continuations = [
            Continuation(context_ids=(1, 2, 3), token_ids=tuple(t.token_ids_G[part].tolist()), positions=6)
            for t in trajectories
        ]
        scores = Scorer(oracle, config).score(continuations)
        recorded = [float(np.log(t.prob_G[part].astype(np.float64)).sum()) for t in trajectories]
        assert [score.log_prob for score in scores] == pytest.approx(recorded, abs=1e-4)
        assert [score.greedy for score in scores] == [bool((t.rank_G[part] == 0).all()) for t in trajectories]


def test_equal_canvases_of_several_choices_are_evaluated_once():
    oracle = RandomOracle(WORDS)
    choices = [Continuation(context_ids=(1, 2), token_ids=(a, b), positions=2) for a in (0, 1) for b in (0, 1)]
    Scorer(oracle, SamplingConfig()).score(choices)
    # One with both tokens hidden, one behind each of two first tokens.
    assert sum(map(len, oracle.evaluated)) == 3


def bound_terms(oracle, context, tokens):
    """The value of every possible draw of the bound, and its probability."""
    length = len(tokens)
    for count in range(1, length + 1):
        subsets = list(combinations(range(length), count))
        for hidden in subsets:
            canvas = [*context, *(oracle.mask_id if i in hidden else t for i, t in enumerate(tokens))]
            log_LV = log_probs(oracle, canvas)
            total = sum(log_LV[len(context) + i, tokens[i]] for i in hidden)
            yield length / count * total, 1 / length / len(subsets)


def test_the_bound_has_the_expectation_of_its_definition():
    oracle, context, tokens, draws = RandomOracle(WORDS, sharpness=1.0), (1, 2), (3, 0, 2), 2000
    values, chances = map(np.array, zip(*bound_terms(oracle, context, tokens), strict=True))
    mean = float((values * chances).sum())
    error = float(np.sqrt((chances * (values - mean) ** 2).sum() / draws))
    asked = [Continuation(context_ids=context, token_ids=tokens, positions=3)]
    (score,) = Scorer(oracle, SamplingConfig(), mc_num=draws, batch_size=draws).score(asked)
    assert abs(score.log_prob - mean) < 4 * error
    assert abs(chain(oracle, context, tokens, 3)[0] - mean) > 10 * error, "the test must tell the two apart"


def test_the_bound_is_tight_where_the_conditionals_are_of_one_distribution():
    """E over l and sets of T / l times the sum is the chain rule, averaged over all orders."""
    sequences = np.array([[0, 1, 2], [0, 2, 1], [1, 1, 0], [2, 0, 0]])
    oracle = JointOracle(sequences, np.array([0.4, 0.3, 0.2, 0.1]), words=3)
    expectation = sum(value * chance for value, chance in bound_terms(oracle, (0,), (0, 1, 2)))
    assert expectation == pytest.approx(np.log(0.4))
    asked = [Continuation(context_ids=(0,), token_ids=(0, 1, 2), positions=3)]
    (exact,) = Scorer(oracle, SamplingConfig()).score(asked)
    assert exact.log_prob == pytest.approx(np.log(0.4), abs=1e-6)


def test_one_token_needs_one_draw():
    oracle = RandomOracle(WORDS)
    asked = [Continuation(context_ids=(1, 2), token_ids=(token,), positions=1) for token in range(WORDS)]
    exact = Scorer(oracle, SamplingConfig()).score(asked)
    for draws in (1, 5):
        assert [s.log_prob for s in Scorer(oracle, SamplingConfig(), mc_num=draws).score(asked)] == pytest.approx(
            [s.log_prob for s in exact]
        )


def test_the_bound_keeps_the_greedy_flag_and_depends_on_its_seed_only():
    oracle = RandomOracle(WORDS)
    asked = some_continuations(oracle)
    exact = Scorer(oracle, SamplingConfig()).score(asked)
    one = Scorer(oracle, SamplingConfig(seed=1), mc_num=3, batch_size=2).score(asked)
    again = Scorer(oracle, SamplingConfig(seed=1), mc_num=3, batch_size=50).score(asked[::-1])[::-1]
    other = Scorer(oracle, SamplingConfig(seed=2), mc_num=3).score(asked)
    assert [s.greedy for s in one] == [s.greedy for s in exact]
    assert [s.log_prob for s in one] == pytest.approx([s.log_prob for s in again], abs=1e-5)
    assert [s.log_prob for s in one] != pytest.approx([s.log_prob for s in other], abs=1e-5)


def test_masked_counts_are_spread_evenly():
    """With as many draws as tokens, the bound hides each number of tokens exactly once."""
    oracle, length = RandomOracle(WORDS), 7
    asked = [Continuation(context_ids=(1,), token_ids=(0,) * length, positions=length)]
    Scorer(oracle, SamplingConfig(seed=3), mc_num=length, batch_size=100).score(asked)
    # The greedy flag is found before.
    hidden = sorted((oracle.evaluated[-1][:, 1:] == oracle.mask_id).sum(axis=1).tolist())
    assert hidden == list(range(1, length + 1))
    assert all(b - a == 1 for a, b in pairwise(hidden))


@pytest.mark.parametrize("mc_num", [None, 2])
def test_each_score_is_told_once_and_before_the_last_is_known(mc_num):
    oracle = RandomOracle(WORDS)
    asked = [Continuation(context_ids=(1, 2), token_ids=tokens, positions=2) for tokens in [(0, 1), (2, 0), (3, 3), ()]]
    told, evaluated = {}, []

    def done(index, score):
        assert index not in told
        told[index] = score
        evaluated.append(len(oracle.evaluated))

    scores = Scorer(oracle, SamplingConfig(), mc_num=mc_num, batch_size=1).score(asked, done)
    assert [told[i] for i in range(4)] == scores
    assert evaluated == sorted(set(evaluated)), "each as soon as its canvases are evaluated"


def test_nothing_to_score_and_too_much():
    oracle = RandomOracle(WORDS, max_length=8)
    (score,) = Scorer(oracle, SamplingConfig()).score([Continuation(context_ids=(1,), token_ids=(), positions=1)])
    assert (score.log_prob, score.greedy) == (0.0, True)
    with pytest.raises(InputError, match="more than the 8 of model"):
        Scorer(oracle, SamplingConfig()).score([Continuation(context_ids=(1,) * 6, token_ids=(1, 1, 1), positions=3)])
