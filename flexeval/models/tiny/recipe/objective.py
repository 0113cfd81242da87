"""LLaDA's training objective (arXiv:2502.09992, equation 5), on training batches and on held-out problems.

The loss is a bound on the negative log-likelihood, in nats. A ratio t is drawn uniformly from (0, 1], each answer
token becomes a mask with probability t independently of all others, and the cross-entropy at the masks is weighted by
1/t. Two devices lower the variance and leave the expectation as it is: the ratios of a batch are spread evenly over
(0, 1] (one uniform offset), and each canvas appears twice, with a mask pattern and with its complement (whose ratio is
1 - t, also uniform).

With `block` it is that of block diffusion (arXiv:2503.09573, equation 8): every block has a ratio of its own, and what
comes before it stands unmasked. A row then holds the text and, beside it, both masked copies of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from flexeval.models.tiny.recipe.data import Batch

SMALLEST_RATIO = 1e-3
"""Keeps 1/t finite; LLaDA's own value."""
DRAWS = 4
"""Of masks, for all problems of a validation set."""


@dataclass(frozen=True)
class Masking:
    """Which answer tokens are masked, and the 1/t of each."""

    masked_BG: Tensor
    inverse_ratio_BG: Tensor


def draw_masking(batch_size: int, gen_length: int, generator: torch.Generator, *, block: int | None = None) -> Masking:
    """Masks for `batch_size` canvases and then for the same canvases again, complemented.

    Args:
        batch_size: canvases.
        gen_length: answer positions of each.
        generator: of all random numbers.
        block: positions that share a ratio; None is all of a canvas.
    """
    block = block or gen_length
    blocks = -(-gen_length // block)
    ratios = batch_size * blocks
    offset = torch.rand(1, generator=generator)
    ratio_R = (offset + torch.arange(ratios) / ratios) % 1.0
    ratio_R = ratio_R[torch.randperm(ratios, generator=generator)]
    ratio_R = ratio_R.clamp(SMALLEST_RATIO, 1 - SMALLEST_RATIO)
    ratio_BG = ratio_R.view(batch_size, blocks).repeat_interleave(block, dim=1)[:, :gen_length]
    masked_BG = torch.rand(batch_size, gen_length, generator=generator) < ratio_BG
    return Masking(torch.cat([masked_BG, ~masked_BG]), 1 / torch.cat([ratio_BG, 1 - ratio_BG]))


def masked_loss(
    network: LlamaForCausalLM, batch: Batch, masking: Masking, mask_id: int, *, block: int | None = None
) -> Tensor:
    """Sum over canvases and masks of weight x cross-entropy / t, in nats; half of it belongs to each pattern.

    Args:
        network: with bidirectional layers.
        batch: texts.
        masking: as `draw_masking` draws it for these texts.
        mask_id: the mask token.
        block: positions of a block, of a model that attends block-causally; None is full attention.
    """
    device = network.device
    answer_BG = batch.tokens_BL[:, -batch.weight_BG.shape[1] :].to(device).repeat(2, 1)
    masked_BG = masking.masked_BG.to(device)
    noisy_BG = answer_BG.masked_fill(masked_BG, mask_id)
    hidden_BGD = _hidden(network, batch, noisy_BG) if block is None else _hidden_beside(network, batch, noisy_BG, block)
    logits_NV = network.lm_head(hidden_BGD[masked_BG])
    losses_N = nn.functional.cross_entropy(logits_NV, answer_BG[masked_BG], reduction="none")
    weight_BG = (batch.weight_BG.repeat(2, 1) * masking.inverse_ratio_BG).to(device)
    total: Tensor = (losses_N * weight_BG[masked_BG]).sum()
    return total


def _hidden(network: LlamaForCausalLM, batch: Batch, noisy_BG: Tensor) -> Tensor:
    """Of both masked copies of the answers, each on a canvas of its own."""
    gen_length = noisy_BG.shape[1]
    tokens_BL = batch.tokens_BL.to(network.device).repeat(2, 1)
    tokens_BL[:, -gen_length:] = noisy_BG
    attention_BL = batch.attention_BL.to(network.device).repeat(2, 1)
    hidden_BLD: Tensor = network.model(tokens_BL, attention_mask=attention_BL, use_cache=False).last_hidden_state
    return hidden_BLD[:, -gen_length:]


def _hidden_beside(network: LlamaForCausalLM, batch: Batch, noisy_BG: Tensor, block: int) -> Tensor:
    """Of both masked copies of the answers, beside their texts: every block sees the text before it and itself."""
    length, gen_length = batch.tokens_BL.shape[1], noisy_BG.shape[1]
    tokens_BS = torch.cat([batch.tokens_BL.to(network.device), *noisy_BG.chunk(2)], dim=1)
    attended_BS = torch.nn.functional.pad(batch.attention_BL, (0, 2 * gen_length), value=True)

    # Column by column: its place in the text, its block, and which copy it belongs to (0 is the text itself).
    place_L = torch.arange(length)
    place_S = torch.cat([place_L, place_L[-gen_length:], place_L[-gen_length:]])
    block_S = (place_S - (length - gen_length)) // block
    copy_S = torch.tensor([0] * length + [1] * gen_length + [2] * gen_length)
    before_SS = (copy_S == 0) & (block_S < block_S[:, None])
    within_SS = (copy_S == copy_S[:, None]) & (block_S == block_S[:, None])
    # Padding sees itself: a softmax over nothing is NaN.
    sees_BSS = (before_SS | within_SS) & attended_BS[:, None] | torch.eye(len(place_S), dtype=torch.bool)

    hidden_BSD: Tensor = network.model(
        tokens_BS,
        attention_mask=sees_BSS[:, None].to(network.device),
        position_ids=place_S[None].to(network.device),
        use_cache=False,
    ).last_hidden_state
    return torch.cat(list(hidden_BSD[:, length:].chunk(2, dim=1)))


class Validation:
    """Batches of held-out problems by task, and a few fixed draws of masks for each."""

    def __init__(self, batches: Mapping[str, Batch], mask_id: int, *, block: int | None = None) -> None:
        self._mask_id, self._block = mask_id, block
        generator = torch.Generator().manual_seed(0)
        self._sets = {task: _with_masks(batch, generator, block) for task, batch in batches.items()}

    @torch.no_grad()
    def bounds(self, network: LlamaForCausalLM) -> dict[str, float]:
        """The bound on the negative log-likelihood by task: nats per answer token, the end of sequence included."""
        bounds = {}
        for task, draws in self._sets.items():
            loss = sum(
                float(masked_loss(network, batch, masking, self._mask_id, block=self._block))
                for batch, masking in draws
            )
            bounds[task] = loss / sum(2 * float(batch.weight_BG.sum()) for batch, _ in draws)
        return bounds


def _with_masks(batch: Batch, generator: torch.Generator, block: int | None) -> list[tuple[Batch, Masking]]:
    # The padding after the first end of sequence is not part of the answer.
    answer_BG = (batch.weight_BG == 1.0).float()
    answer_only = replace(batch, weight_BG=answer_BG)
    rows, gen_length = answer_BG.shape
    return [(answer_only, draw_masking(rows, gen_length, generator, block=block)) for _ in range(DRAWS)]
