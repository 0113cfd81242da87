"""Each sample has exactly the distribution that order and model define."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from oracles import IndependentOracle, JointOracle
from scipy.stats import binomtest, chisquare

from flexeval.orders import Order, get_order, take_highest
from flexeval.records import SamplingConfig
from flexeval.sampling import Sampler, SampleRequest

SAMPLES = 4000
REJECT = 1e-4
"""Below this p-value a sampler is wrong; the deliberately wrong ones below fall under it by far."""


@pytest.fixture(scope="module")
def joint() -> JointOracle:
    rng = np.random.default_rng(0)
    sequences = np.unique(rng.integers(0, 3, size=(14, 5)), axis=0)
    return JointOracle(sequences, rng.dirichlet(np.ones(len(sequences)) * 2), words=3)


def p_value(oracle: JointOracle, order: Order, **settings) -> float:
    """Chi-square of the sampled sequences against the joint."""
    config = SamplingConfig(**{"gen_length": 5, "temperature": 1.0, "seed": 11, **settings})
    requests = [SampleRequest(problem_id="p", sample_index=i, prompt_ids=[1]) for i in range(SAMPLES)]
    counts = Counter(
        tuple(t.token_ids_G.tolist()) for t in Sampler(oracle, order, config, batch_size=1000).run(requests)
    )
    observed = np.array([counts.pop(tuple(sequence), 0) for sequence in oracle.sequences_SG.tolist()])
    assert not counts, "a sequence of probability zero was sampled"
    return float(chisquare(observed, oracle.probs_S * SAMPLES).pvalue)


EXACT = ["ar", "top_prob", "margin", "entropy", "random", "permutation", "egi:first_temperature=1", "eb:gamma=0"]


@pytest.mark.parametrize("spec", EXACT)
@pytest.mark.parametrize("block_length", [5, 2])
def test_select_then_sample_reproduces_the_joint(joint, spec, block_length):
    """The chain rule holds in any order, as long as the choice of position does not look at the token."""
    assert p_value(joint, get_order(spec), block_length=block_length) > REJECT


@dataclass(frozen=True)
class AllAtOnce(Order):
    """Deliberately wrong: draws every position from its marginal."""

    name = "all-at-once"
    adaptive = True

    def __call__(self, state):
        return state.eligible_BG


@dataclass(frozen=True)
class RareProposals(Order):
    """Deliberately wrong: lets the choice of position see the token."""

    name = "rare-proposals"
    reads = frozenset({"proposal"})

    def __call__(self, state):
        return take_highest(-state.confidence_BG, state.eligible_BG, state.budget_B)


def test_the_chi_square_catches_wrong_samplers(joint):
    assert p_value(joint, get_order("confidence")) < REJECT / 1e6
    assert p_value(joint, RareProposals()) < REJECT / 1e6
    assert p_value(joint, get_order("ar"), temperature=0.7) < REJECT / 1e6
    # Marginals give sequences outside the support.
    with pytest.raises((AssertionError, ValueError, RuntimeError)):
        p_value(joint, AllAtOnce())


PROBS = np.array([0.1] + [0.9 / 19] * 19)
"""20 tokens, the top one at 0.1, the others equal."""


def tempered_top(temperature: float) -> float:
    weights = PROBS ** (1 / temperature)
    return float(weights[0] / weights.sum())


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("spec", ["confidence", "top_prob"])
def test_non_top_commits_for_independent_positions(spec, temperature):
    """`confidence` at m masks commits a non-top token with probability (1 - c_T)^m, `top_prob` with 1 - c_T.

    The final share of non-top tokens for L = 128 is the mean of that over m = 1..L: 7.03 % at T = 1 and
    10.22 % at T = 2 for `confidence`.
    """
    length, samples, top = 128, 80, tempered_top(temperature)
    config = SamplingConfig(gen_length=length, block_length=length, temperature=temperature, seed=3)
    requests = [SampleRequest(problem_id="p", sample_index=i, prompt_ids=[0]) for i in range(samples)]
    trajectories = list(Sampler(IndependentOracle(PROBS), get_order(spec), config, batch_size=samples).run(requests))
    non_top = np.array([t.rank_G > 0 for t in trajectories])
    masks_left = np.array([length - t.commit_step_G for t in trajectories])

    expected = (1 - top) ** masks_left if spec == "confidence" else np.full(masks_left.shape, 1 - top)
    if spec == "confidence":
        assert expected.mean() == pytest.approx({1.0: 0.0703, 2.0: 0.1022}[temperature], abs=5e-5)
    # Independent Bernoulli trials of known probability: the z-score of their sum.
    z = (non_top.sum() - expected.sum()) / np.sqrt((expected * (1 - expected)).sum())
    assert abs(z) < 4

    # The last m positions one by one, where both orders differ most from each other.
    for m in (1, 2, 5, 10):
        at = masks_left == m
        chance = (1 - top) ** m if spec == "confidence" else 1 - top
        assert binomtest(int(non_top[at].sum()), int(at.sum()), chance).pvalue > REJECT


def test_the_first_step_of_confidence_filters_rare_tokens():
    """At the first step, m = 8 masks: (1 - c)^8, over many samples."""
    samples = 2000
    config = SamplingConfig(gen_length=8, temperature=1.0, seed=1)
    requests = [SampleRequest(problem_id="p", sample_index=i, prompt_ids=[0]) for i in range(samples)]
    first = [
        t.rank_G[t.commit_step_G == 0][0] > 0
        for t in Sampler(IndependentOracle(PROBS), get_order("confidence"), config, batch_size=500).run(requests)
    ]
    assert binomtest(sum(first), samples, 0.9**8).pvalue > REJECT
    assert binomtest(sum(first), samples, 0.9).pvalue < REJECT / 1e6
