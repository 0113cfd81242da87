"""What the sampler promises, on models that attend by blocks."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import JointOracle, RandomOracle
from scipy.stats import chisquare
from test_sampler_batch import SPECS, assert_equal, assert_same, draw, requests

from flexeval.errors import InputError
from flexeval.models.attention import Attention
from flexeval.orders import get_order
from flexeval.records import SamplingConfig
from flexeval.sampling import Sampler, SampleRequest
from flexeval.sampling.schedule import fit_block, rounded_counts, windows

RULES = {
    "from the prompt": Attention(kind="block-causal", block=3, from_prompt=True),
    "from the answer": Attention(kind="block-causal", block=3),
    "first token apart": Attention(kind="block-causal", block=3, from_prompt=True, first_token_apart=True),
    "full to the block": Attention(kind="full-to-block", block=3),
    "open block": Attention(kind="open-block", block=3),
    "rank": Attention(kind="rank"),
}


def blind(oracle, rule: Attention):
    """The oracle, which at every position is shown masks in place of what the rule hides there."""

    def hidden(tokens_BL, attention_BL, asked_BL, level_BL):
        tokens, levels = tokens_BL.numpy(), level_BL.numpy()
        attended = np.ones(tokens.shape, dtype=bool) if attention_BL is None else attention_BL.numpy()
        out = np.zeros((*tokens.shape, oracle.vocab_size), dtype=np.float32)
        places = [(row, level) for row in range(len(tokens)) for level in np.unique(levels[row])]
        for row, level in places:
            first = int(attended[row].argmax())
            seen_L = np.where(levels[row] <= level, tokens[row], oracle.mask_id)[first:]
            at = np.flatnonzero(levels[row] == level)
            at = at[at >= first]
            out[row, at] = oracle.log_conditionals(seen_L)[at - first]
        oracle.evaluated.append(tokens.copy())
        answer = torch.from_numpy(out)
        return answer if asked_BL is None else answer.masked_fill(~asked_BL[..., None], torch.nan)

    oracle.attention, oracle.hidden = rule, hidden
    return oracle


@pytest.fixture(params=RULES)
def rule(request) -> Attention:
    return RULES[request.param]


@pytest.mark.parametrize("spec", ["ar", "top_prob", "random"])
def test_select_then_sample_reproduces_the_joint(rule, spec):
    """Windows and hidden blocks do not bias: what is hidden is masked anyway."""
    rng = np.random.default_rng(0)
    sequences = np.unique(rng.integers(0, 3, size=(14, 5)), axis=0)
    oracle = blind(JointOracle(sequences, rng.dirichlet(np.ones(len(sequences)) * 2), words=3), rule)
    config = SamplingConfig(gen_length=5, temperature=1.0, seed=11)
    wanted = [SampleRequest(problem_id="p", sample_index=i, prompt_ids=[1]) for i in range(1500)]
    drawn = Sampler(oracle, get_order(spec), config, batch_size=500).run(wanted)
    counts = Counter(tuple(t.token_ids_G.tolist()) for t in drawn)
    observed = np.array([counts.pop(tuple(sequence), 0) for sequence in sequences.tolist()])
    assert not counts, "a sequence of probability zero was sampled"
    assert chisquare(observed, oracle.probs_S * len(wanted)).pvalue > 1e-4


@pytest.mark.parametrize("spec", SPECS)
def test_a_sample_is_the_same_in_any_batch(rule, spec):
    oracle = blind(RandomOracle(words=6, eos_bonus=1.0), rule)
    config = SamplingConfig(gen_length=8, temperature=0.9, seed=2)
    alone = draw(oracle, spec, config, 1, requests())
    for batch_size in (3, 64):
        assert_same(alone, draw(oracle, spec, config, batch_size, requests()))
    invariant = dataclasses.replace(config, batch_invariant=True)
    assert_same(alone, draw(oracle, spec, invariant, 64, requests()))


def test_leaving_at_the_end_of_the_text_changes_no_text(rule):
    oracle = blind(RandomOracle(words=6, eos_bonus=1.0), rule)
    settings = {"gen_length": 10, "temperature": 0.9, "seed": 2}
    early = draw(oracle, "confidence", SamplingConfig(**settings), 8, requests())
    full = draw(oracle, "confidence", SamplingConfig(**settings, stop_at_eos=False), 8, requests())
    for key, trajectory in early.items():
        end = trajectory.length + 1
        for name in ("token_ids_G", "commit_step_G", "entropy_G", "passes_G"):
            assert_equal(getattr(trajectory, name)[:end], getattr(full[key], name)[:end])
    assert sum(t.nfe for t in early.values()) < sum(t.nfe for t in full.values())


def test_equal_canvases_are_evaluated_once(rule):
    oracle = blind(RandomOracle(words=6), rule)
    sampler = Sampler(oracle, get_order("confidence"), SamplingConfig(gen_length=9, temperature=0.0), batch_size=8)
    trajectories = list(sampler.run(requests(problems=2, samples=4)))
    steps = sum(t.nfe for t in trajectories if t.sample_index == 0)
    firsts = sampler.counters.distinct - steps
    # A first token apart takes an evaluation of what stands before its block, which no sample counts.
    assert (firsts > 0) == rule.first_token_apart
    for batch in oracle.evaluated:
        assert len(np.unique(batch, axis=0)) == len(batch)


def test_a_first_token_apart_is_drawn_before_its_block_is_evaluated():
    rule = RULES["first token apart"]
    oracle = blind(RandomOracle(words=6), rule)
    config = SamplingConfig(gen_length=8, temperature=0.0, stop_at_eos=False)
    (got,) = Sampler(oracle, get_order("confidence"), config).run(
        [SampleRequest(problem_id="p", sample_index=0, prompt_ids=[1, 2])]
    )
    # One position beside the prompt's tail, then two blocks of three of which the first is apart, then one position.
    assert got.nfe == 1 + 2 + 2
    assert got.commit_step_G[[1, 4, 7]].tolist() == [1, 3, 5]
    assert sorted(got.commit_step_G[[2, 3]]) == [1, 2]


# ----- windows -----


@given(st.sampled_from(list(RULES.values())), st.integers(1, 3), st.integers(0, 7), st.integers(3, 20))
def test_windows_fill_the_canvas_and_stay_within_the_models_blocks(rule, block, prompt, length):
    found = windows(SamplingConfig(gen_length=length, block_length=block), rule, prompt)
    ends = [window.end for window in found]
    assert sum(window.size for window in found) == ends[-1] == length
    assert ends == sorted(set(ends))
    assert all(1 <= window.size <= block for window in found)
    if rule.block is None:
        assert ends == [*range(block, length, block), length]
        return
    for start, end in zip([0, *ends], ends, strict=False):
        # Counted from the first token of the prompt, or from its end.
        first = prompt if rule.from_prompt else 0
        assert (first + start) // rule.block == (first + end - 1) // rule.block
    free = [window.end - 1 for window in found if window.free]
    assert free == ([g for g in range(length) if (prompt + g) % rule.block == 0] if rule.first_token_apart else [])


def test_a_block_length_must_fit_the_models():
    rule = RULES["from the prompt"]
    assert fit_block(SamplingConfig(), rule, name="m").block == 3
    assert fit_block(SamplingConfig(block_length=2), rule, name="m").block == 2
    with pytest.raises(
        InputError, match="block_length 8 is longer than the blocks of 3 that 'm' attends by; use at most 3"
    ):
        fit_block(SamplingConfig(block_length=8), rule, name="m")
    with pytest.raises(InputError, match="schedule 'dream' fills the whole canvas at once"):
        Sampler(blind(RandomOracle(words=3), rule), get_order("entropy"), SamplingConfig(schedule="dream"))


@given(st.integers(1, 40), st.integers(1, 40))
def test_dllms_counts_are_its_formula(positions, steps):
    """In torch, as dLLM computes it."""
    left, wanted = torch.tensor(positions, dtype=torch.float64), []
    for number in range(steps):
        later, now = (torch.tensor((steps - number - gone) / steps, dtype=torch.float32) for gone in (1, 0))
        kept = ((1 - (1 - later)) / (1 - (1 - now))).item()
        wanted.append(min(int(left), int(torch.round(left * (1 - kept)))))
        left -= wanted[-1]
    counts = rounded_counts(positions, steps)
    assert list(counts) == [count for count in wanted if count]
    assert sum(counts) == positions


def test_the_published_examples_of_dllms_counts():
    assert rounded_counts(4, 3) == (1, 1, 2)
    assert rounded_counts(10, 3) == (3, 3, 4)
