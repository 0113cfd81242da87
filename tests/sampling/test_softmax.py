"""Measurements and draws against float64 by brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from precision import UNIT, rounding
from scipy.stats import chisquare

from flexeval.sampling.softmax import Distribution, draw, temper

FEW = 16
"""Units of float32 rounding between a softmax over some hundred tokens and the same in float64."""


def some_logits(rows: int = 6, vocab: int = 301) -> torch.Tensor:
    logits = torch.randn(rows, vocab, generator=torch.Generator().manual_seed(0)) * 3
    logits[0, 10:] = -torch.inf
    logits[1] = 0
    logits[2, 7] = 80
    return logits


def softmax64(logits: torch.Tensor) -> np.ndarray:
    return torch.softmax(logits.double(), dim=-1).numpy()


def test_scores_are_those_of_the_softmax():
    logits = some_logits()
    probs = softmax64(logits)
    distribution = Distribution.of(logits)
    ordered = np.sort(probs, axis=1)[:, ::-1]
    entropy = -(probs * np.log(np.where(probs > 0, probs, 1))).sum(axis=1)
    np.testing.assert_allclose(distribution.top_prob(), probs.max(axis=1), rtol=FEW * UNIT)
    np.testing.assert_allclose(distribution.margin(), ordered[:, 0] - ordered[:, 1], atol=rounding(1, FEW))
    np.testing.assert_allclose(distribution.entropy(), entropy, atol=rounding(entropy, FEW))
    np.testing.assert_allclose(distribution.entropy(torch.tensor([3, 0])), entropy[[3, 0]], atol=rounding(entropy, FEW))
    assert (distribution.entropy() >= 0).all()
    assert distribution.top_token().tolist() == probs.argmax(axis=1).tolist()


def test_autocast_rounds_no_measurement():
    """Rollouts of a training with bf16 are drawn in it."""
    logits, rows, tokens = some_logits(), torch.arange(6), torch.tensor([9, 7, 8, 300, 3, 41])

    def measured() -> list[torch.Tensor]:
        distribution = Distribution.of(logits)
        scores = [getattr(distribution, name)() for name in ("top_prob", "margin", "entropy", "top_token")]
        weights = temper(distribution, torch.full((6,), 0.6), 0.9, 100)
        drawn = draw(weights, rows, torch.full((6,), 0.7, dtype=torch.float64))
        return [*scores, distribution.prob(tokens, rows), distribution.rank(tokens, rows), weights, drawn]

    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = measured()
    assert all(torch.equal(here, there) for here, there in zip(found, measured(), strict=True))


def test_measurements_of_some_rows_are_those_rows_measurements():
    logits = some_logits()
    distribution, rows = Distribution.of(logits), torch.tensor([4, 2, 2, 0, 5])
    tokens = torch.tensor([9, 7, 300, 3, 41])
    np.testing.assert_allclose(distribution.prob(tokens, rows), softmax64(logits)[rows, tokens], rtol=1e-5, atol=2e-38)
    taken, alone = distribution.take(rows), Distribution.of(logits[rows])
    for name in ("top_prob", "margin", "entropy", "top_token"):
        np.testing.assert_allclose(getattr(taken, name)(), getattr(alone, name)(), rtol=1e-6, atol=1e-6)
    assert distribution.rank(tokens, rows).tolist() == alone.rank(tokens, torch.arange(5)).tolist()


def test_rank_counts_the_tokens_before():
    logits = torch.tensor([[1.0, 3.0, 3.0, 2.0, -torch.inf]])
    rows, tokens = torch.zeros(5, dtype=torch.long), torch.arange(5)
    assert Distribution.of(logits).rank(tokens, rows).tolist() == [3, 0, 1, 2, 4]


@pytest.mark.parametrize("temperature", [1.0, 0.6, 50.0])
def test_a_removed_token_has_no_probability_at_all(temperature):
    """Not a small one either: at a high temperature that of a token far below the others counts, that of -inf is 0."""
    logits = torch.tensor([[0.0, -torch.inf, -80.0, -torch.inf]])
    distribution = Distribution.of(logits)
    weights = temper(distribution, torch.tensor([temperature]), 1.0, 0)
    expected = softmax64(logits / temperature)[0]
    np.testing.assert_allclose((weights / weights.sum())[0], expected, rtol=1e-5, atol=2e-38)
    np.testing.assert_allclose(
        distribution.prob(torch.arange(4), torch.zeros(4, dtype=torch.long)), softmax64(logits)[0], rtol=1e-5
    )
    assert weights[0, [1, 3]].tolist() == [0, 0] and distribution.weights_NV[0, [1, 3]].tolist() == [0, 0]


def test_measuring_leaves_the_logits_alone():
    logits = some_logits()
    before = logits.clone()
    distribution = Distribution.of(logits)
    distribution.entropy()
    temper(distribution, torch.full((6,), 0.5), 0.9, 5)
    assert torch.equal(logits, before)


@pytest.mark.parametrize("vocab", [1, 2, 3, 5, 64, 301, 1025])
def test_a_draw_is_the_inverse_of_the_cumulative_distribution(vocab):
    generator = torch.Generator().manual_seed(vocab)
    weights = torch.rand(4, vocab, generator=generator)
    weights[torch.rand(4, vocab, generator=generator) < 0.3] = 0
    weights[:, vocab // 2] += 0.1
    rows = torch.arange(4).repeat_interleave(500)
    uniforms = torch.rand(2000, generator=generator, dtype=torch.float64)
    tokens = draw(weights, rows, uniforms)

    cumulative = weights.double().cumsum(-1)
    targets = uniforms * cumulative[rows, -1]
    upper = cumulative[rows, tokens]
    lower = torch.where(tokens > 0, cumulative[rows, (tokens - 1).clamp(min=0)], 0.0)
    slack = FEW * UNIT * cumulative[rows, -1]  # sums of chunks are float32
    assert ((lower <= targets + slack) & (targets < upper + slack)).all()
    assert (weights[rows, tokens] > 0).all()


def test_the_extremes_of_a_uniform_stay_inside_the_support():
    weights = torch.zeros(1, 1000)
    weights[0, [3, 400, 997]] = torch.tensor([1e-30, 1.0, 1e-12])
    extremes = torch.tensor([0.0, 5e-324, 0.5, 1 - 2**-53], dtype=torch.float64)
    tokens = draw(weights, torch.zeros(4, dtype=torch.long), extremes)
    assert set(tokens.tolist()) <= {3, 400, 997}
    assert tokens[0] == 3 and tokens[2] == 400


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
def test_draws_have_the_tempered_distribution(temperature):
    logits = torch.randn(1, 12, generator=torch.Generator().manual_seed(1))
    weights = temper(Distribution.of(logits), torch.tensor([temperature]), 1.0, 0)
    uniforms = torch.rand(40_000, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    tokens = draw(weights, torch.zeros(40_000, dtype=torch.long), uniforms)
    expected = softmax64(logits / temperature)[0] * 40_000
    assert chisquare(np.bincount(tokens, minlength=12), expected).pvalue > 1e-3


def test_each_row_has_its_own_temperature():
    logits, temperatures = some_logits()[2:], torch.tensor([1.0, 0.5, 0.0, 2.0])
    weights = temper(Distribution.of(logits), temperatures, 1.0, 0)
    for row, temperature in enumerate(temperatures.tolist()):
        alone = temper(Distribution.of(logits[[row]]), torch.tensor([temperature]), 1.0, 0)[0]
        assert torch.equal(weights[row], alone)
        if temperature:
            np.testing.assert_allclose(alone / alone.sum(), softmax64(logits[row] / temperature), rtol=1e-5, atol=1e-30)


def test_temperature_zero_takes_the_likeliest_token_of_lowest_id():
    logits = torch.tensor([[0.0, 5.0, 5.0], [2.0, 1.0, 0.0]])
    weights = temper(Distribution.of(logits), torch.tensor([0.0, 0.7]), 1.0, 0)
    assert weights[0].tolist() == [0, 1, 0]
    np.testing.assert_allclose(weights[1] / weights[1].sum(), softmax64(logits[1] / 0.7), rtol=FEW * UNIT)


@pytest.mark.parametrize("top_p", [0.1, 0.5, 0.9, 0.999])
def test_the_nucleus_is_the_smallest_set_with_that_probability(top_p):
    logits = some_logits()[3:]
    kept = temper(Distribution.of(logits), torch.full((3,), 0.8), top_p, 0) > 0
    for row, probs in enumerate(softmax64(logits / 0.8)):
        order = np.argsort(-probs, kind="stable")
        size = int(np.searchsorted(np.cumsum(probs[order]), top_p)) + 1
        assert set(np.flatnonzero(kept[row])) == set(order[:size])


def test_top_k_keeps_that_many():
    logits = some_logits()[3:]
    kept = temper(Distribution.of(logits), torch.ones(3), 1.0, 4) > 0
    assert kept.sum(dim=1).tolist() == [4, 4, 4]
    assert torch.equal(kept.nonzero()[:, 1].view(3, 4).sort().values, logits.topk(4).indices.sort().values)


def whole_weights(vocab: int, seed: int) -> torch.Tensor:
    """Small whole numbers, many of them 0: every sum of them is exact in any type, in any order."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randint(0, 4, (1, vocab), generator=generator) * (torch.rand(1, vocab, generator=generator) < 0.4)
    weights[0, vocab // 2] += 1
    return weights.float()


@pytest.mark.parametrize("vocab", [1, 2, 3, 4, 16, 17, 64, 100, 301])
@pytest.mark.parametrize("seed", range(3))
def test_on_a_boundary_the_draw_is_the_next_token_that_can_be_drawn(vocab, seed):
    """Where sums are exact, token t gets exactly [P(token < t), P(token <= t)): of each boundary, the token after it.

    The boundaries between chunks are among them, and so are those before, between and after tokens of probability 0.
    """
    weights = whole_weights(vocab, seed)
    cumulative = weights[0].double().cumsum(-1)
    total = int(cumulative[-1])
    uniforms = torch.arange(total, dtype=torch.float64) / total
    uniforms = torch.cat([uniforms, torch.nextafter(uniforms[1:], torch.zeros(total - 1, dtype=torch.float64))])
    tokens = draw(weights, torch.zeros(len(uniforms), dtype=torch.long), uniforms)
    expected = torch.searchsorted(cumulative, uniforms * total, right=True)
    assert tokens.tolist() == expected.tolist()
    assert (weights[0, tokens] > 0).all()


@pytest.mark.parametrize("vocab", [2, 16, 100, 257])
def test_a_token_without_probability_is_never_drawn(vocab):
    """One token has all the weight; every uniform number, the extremes included, draws it."""
    extremes = torch.tensor([0.0, 5e-324, 2**-53, 0.5, 1 - 2**-53], dtype=torch.float64)
    for token in {0, 1, vocab // 2, vocab - 2, vocab - 1}:
        weights = torch.zeros(1, vocab)
        weights[0, token] = 1e-30
        assert draw(weights, torch.zeros(5, dtype=torch.long), extremes).tolist() == [token] * 5


def test_the_largest_uniform_draws_the_last_token_that_can_be_drawn():
    """(1 - 2^-53) times the total rounds to less than the total, whatever the total."""
    weights = torch.zeros(1, 40)
    weights[0, 5:30] = torch.linspace(0.1, 3.7, 25)
    last = torch.tensor([1 - 2**-53, np.nextafter(1.0, 0.0)], dtype=torch.float64)
    for scale in (1.0, 3.0, 1e-20, 1.7, 0.3, *torch.rand(50, generator=torch.Generator().manual_seed(0)).tolist()):
        assert draw(weights * scale, torch.zeros(2, dtype=torch.long), last).tolist() == [29, 29]


@pytest.mark.parametrize("top_k", [1, 2, 3, 5, 6, 7, 8])
def test_top_k_keeps_all_that_are_as_likely_as_the_last(top_k):
    logits = torch.tensor([[1.0, 3.0, 2.0, 2.0, 3.0, 0.0, -1.0]])
    kept = temper(Distribution.of(logits), torch.ones(1), 1.0, top_k)[0] > 0
    at_least = sorted(logits[0].tolist(), reverse=True)[min(top_k, 7) - 1]
    assert kept.tolist() == (logits[0] >= at_least).tolist()


def test_a_nucleus_that_is_filled_exactly_takes_no_more():
    """Weights 2, 1, 4, 1: a nucleus of 1/2 is one token, of a little more two; ties go to the lower id."""
    weights = torch.tensor([[2.0, 1.0, 4.0, 1.0]])
    distribution = Distribution(weights.log(), weights, weights.sum(dim=-1))
    just_more = 1 + 1e-12
    for top_p, expected in [
        (1e-300, [2]),
        (0.5, [2]),
        (0.5 * just_more, [0, 2]),
        (0.75, [0, 2]),
        (0.75 * just_more, [0, 1, 2]),
        (0.875, [0, 1, 2]),
        (0.875 * just_more, [0, 1, 2, 3]),
    ]:
        kept = temper(distribution, torch.ones(1), top_p, 0)[0] > 0
        assert kept.nonzero()[:, 0].tolist() == expected, top_p
    # The nucleus is of the whole distribution, not of what top-k leaves: 4 of 8 is less than 0.6, 4 of 6 is more.
    kept = temper(distribution, torch.ones(1), 0.6, 2)[0] > 0
    assert kept.nonzero()[:, 0].tolist() == [0, 2]


def test_a_nucleus_of_a_large_vocabulary_is_summed_in_float64():
    weights = torch.rand(1, 50_000, generator=torch.Generator().manual_seed(0)) + 0.5
    distribution = Distribution(weights.log(), weights, weights.sum(dim=-1))
    cumulative = np.cumsum(np.sort(weights[0].double().numpy())[::-1])
    for size in (10_001, 20_002, 30_003, 40_004):
        # A little more than `size` tokens hold, by far less than a float32 sum of so many resolves.
        top_p = float(cumulative[size - 1] / cumulative[-1]) + 1e-9
        assert int((temper(distribution, torch.ones(1), top_p, 0) > 0).sum()) == size + 1
