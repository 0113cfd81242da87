"""Measurements and draws against float64 by brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from precision import UNIT, rounding
from scipy.stats import chisquare

from flexeval.sampling.measure import Distribution, draw, temper

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


def test_rank_counts_the_tokens_before():
    logits = torch.tensor([[1.0, 3.0, 3.0, 2.0, -torch.inf]])
    rows, tokens = torch.zeros(5, dtype=torch.long), torch.arange(5)
    assert Distribution.of(logits).rank(tokens, rows).tolist() == [3, 0, 1, 2, 4]


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
