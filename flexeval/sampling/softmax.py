"""The softmax of rows of logits: what orders and the record measure of it, tempering, and token draws.

Everything is float32 whatever the weights' type is; draws accumulate in float64. Knows nothing of
canvases, orders or steps. Axis suffixes: `N` rows, `M` draws, `V` vocabulary, `K` chunks of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_SMALLEST_GAP = -87.0
"""exp() of anything below would be a denormal float32, ten times as slow to compute with; it counts as zero."""


@dataclass(frozen=True)
class Distribution:
    """Untempered softmax of some rows, kept as what everything else is computed from."""

    gaps_NV: Tensor
    """logit - highest logit, <= 0."""
    weights_NV: Tensor
    """exp(gap): the softmax up to its normaliser."""
    normaliser_N: Tensor
    """Sum of the weights, >= 1."""

    @classmethod
    def of(cls, logits_NV: Tensor) -> Distribution:
        """The softmax of float32 logits, which may hold -inf but not only -inf."""
        # amax is several times faster than max, which also finds the index.
        gaps_NV = logits_NV - logits_NV.amax(dim=-1, keepdim=True)
        weights_NV = _exp_(gaps_NV.clone())
        return cls(gaps_NV, weights_NV, weights_NV.sum(dim=-1))

    def take(self, rows_M: Tensor) -> Distribution:
        """The distributions of some rows."""
        return Distribution(self.gaps_NV[rows_M], self.weights_NV[rows_M], self.normaliser_N[rows_M])

    def top_token(self) -> Tensor:
        """Likeliest token [N]; the lowest id among equals."""
        return self.gaps_NV.argmax(dim=-1)

    def top_prob(self) -> Tensor:
        """Probability of the likeliest token [N]."""
        return self.normaliser_N.reciprocal()

    def margin(self) -> Tensor:
        """Gap between the two likeliest tokens' probabilities [N]."""
        two_N2 = self.weights_NV.topk(2, dim=-1).values
        return (two_N2[:, 0] - two_N2[:, 1]) / self.normaliser_N

    def entropy(self, rows: Tensor | None = None) -> Tensor:
        """Nats, >= 0, of all rows [N] or of some."""
        gaps_NV, weights_NV, normaliser_N = self.gaps_NV, self.weights_NV, self.normaliser_N
        if rows is not None:
            gaps_NV, weights_NV, normaliser_N = gaps_NV[rows], weights_NV[rows], normaliser_N[rows]
        # Where the gap is infinite the weight is zero; the clamp keeps 0 * -inf out. Autocast, in which rollouts are
        # drawn, would round what a dot product is made of to half precision.
        mean_gap_N: Tensor = gaps_NV.clamp(min=_SMALLEST_GAP).mul_(weights_NV).sum(dim=-1) / normaliser_N
        return (normaliser_N.log() - mean_gap_N).clamp_(min=0)

    def prob(self, tokens_M: Tensor, rows_M: Tensor) -> Tensor:
        """Probability of one token in each of some rows [M]."""
        return self.weights_NV[rows_M, tokens_M] / self.normaliser_N[rows_M]

    def rank(self, tokens_M: Tensor, rows_M: Tensor) -> Tensor:
        """How many tokens come before the given one in each of some rows [M]; equal logits are ordered by id."""
        gaps_MV = self.gaps_NV[rows_M]
        chosen_M1 = gaps_MV.gather(1, tokens_M[:, None])
        rank_M = (gaps_MV > chosen_M1).sum(dim=-1)
        equal_MV = gaps_MV == chosen_M1
        tied_M = (equal_MV.sum(dim=-1) > 1).nonzero()[:, 0]
        if len(tied_M):
            ids_V = torch.arange(gaps_MV.shape[1], device=tokens_M.device)
            rank_M[tied_M] += (equal_MV[tied_M] & (ids_V < tokens_M[tied_M, None])).sum(dim=-1)
        return rank_M


def _exp_(gaps_NV: Tensor) -> Tensor:
    """exp() in place; what would be below 2e-38 is zero."""
    weights_NV = gaps_NV.clamp_(min=_SMALLEST_GAP).exp_()
    return torch.nn.functional.threshold(weights_NV, 2e-38, 0.0, inplace=True)


def temper(distribution: Distribution, temperature_N: Tensor, top_p: float, top_k: int) -> Tensor:
    """Unnormalised weights [N, V] of the distribution that tokens are drawn from.

    Temperature first, then top-k and nucleus as in Dream's generation code: temperature, top_p, top_k. A row at
    temperature 0 has all its weight on the likeliest token.
    """
    weights_NV = distribution.weights_NV
    if not bool((temperature_N == 1).all()):
        greedy_N = temperature_N == 0
        inverse_N = torch.where(greedy_N, 1.0, temperature_N).reciprocal()
        weights_NV = _exp_(distribution.gaps_NV * inverse_N[:, None])
        if bool(greedy_N.any()):
            weights_NV[greedy_N] = 0
            weights_NV[greedy_N, distribution.top_token()[greedy_N]] = 1
    if top_p < 1:
        weights_NV = _keep_nucleus(weights_NV, top_p)
    if 0 < top_k < weights_NV.shape[1]:
        kth_N1 = weights_NV.topk(top_k, dim=-1).values[:, -1:]
        weights_NV = torch.where(weights_NV >= kth_N1, weights_NV, 0.0)
    return weights_NV


def _keep_nucleus(weights_NV: Tensor, top_p: float) -> Tensor:
    """Zero all but the smallest set of likeliest tokens that holds at least `top_p` of the probability."""
    sorted_NV, order_NV = weights_NV.sort(dim=-1, descending=True, stable=True)
    before_NV = sorted_NV.cumsum(dim=-1, dtype=torch.float64) - sorted_NV
    total_N1 = sorted_NV.sum(dim=-1, keepdim=True, dtype=torch.float64)
    kept_NV = torch.where(before_NV < top_p * total_N1, sorted_NV, 0.0)
    return torch.zeros_like(weights_NV).scatter_(1, order_NV, kept_NV)


def draw(weights_NV: Tensor, rows_M: Tensor, uniforms_M: Tensor) -> Tensor:
    """Tokens [M] by inverse CDF over token ids, one uniform number each, accumulated in float64.

    The vocabulary is cut into chunks of about the square root of its size: a draw finds its chunk, then the token
    inside, so that the cumulative sum over the whole vocabulary is never formed.

    Args:
        weights_NV: unnormalised probabilities.
        rows_M: which row each draw is from; a row may be drawn from many times.
        uniforms_M: float64 in [0, 1).
    """
    rows, vocab = weights_NV.shape
    size = 1 << ((vocab - 1).bit_length() + 1) // 2
    if vocab % size:
        weights_NV = torch.nn.functional.pad(weights_NV, (0, -vocab % size))
    chunks_NKC = weights_NV.view(rows, -1, size)
    cumulative_NK = chunks_NKC.sum(dim=-1).to(torch.float64).cumsum(dim=-1)

    # Find the chunk. A float64 below 1 times the total stays below the total, also when it is rounded.
    target_M = uniforms_M * cumulative_NK[rows_M, -1]
    chunk_M = torch.searchsorted(cumulative_NK[rows_M], target_M[:, None], right=True)[:, 0]
    before_M = torch.where(chunk_M > 0, cumulative_NK[rows_M, (chunk_M - 1).clamp(min=0)], 0.0)

    # Find the token. The sum over a chunk and its cumulative sum round differently, hence the last possible token.
    inside_MC = chunks_NKC[rows_M, chunk_M].to(torch.float64)
    token_M = torch.searchsorted(inside_MC.cumsum(dim=-1), (target_M - before_M)[:, None], right=True)[:, 0]
    last_M = size - 1 - (inside_MC.flip(-1) > 0).to(torch.int8).argmax(dim=-1)
    return chunk_M * size + torch.minimum(token_M, last_M)
