"""LLaDA's training objective (arXiv:2502.09992, equation 5), on training batches and on held-out problems.

The loss is a bound on the negative log-likelihood, in nats. A ratio t is drawn uniformly from (0, 1], each answer
token becomes a mask with probability t independently of all others, and the cross-entropy at the masks is weighted by
1/t. Two devices lower the variance and leave the expectation as it is: the ratios of a batch are spread evenly over
(0, 1] (one uniform offset), and each canvas appears twice, with a mask pattern and with its complement (whose ratio is
1 - t, also uniform).
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
    """Which answer tokens are masked, and the 1/t of each row."""

    masked_BG: Tensor
    inverse_ratio_B: Tensor


def draw_masking(batch_size: int, gen_length: int, generator: torch.Generator) -> Masking:
    """Masks for `batch_size` canvases and then for the same canvases again, complemented."""
    offset = torch.rand(1, generator=generator)
    ratio_B = (offset + torch.arange(batch_size) / batch_size) % 1.0
    ratio_B = ratio_B[torch.randperm(batch_size, generator=generator)]
    ratio_B = ratio_B.clamp(SMALLEST_RATIO, 1 - SMALLEST_RATIO)
    masked_BG = torch.rand(batch_size, gen_length, generator=generator) < ratio_B[:, None]
    return Masking(torch.cat([masked_BG, ~masked_BG]), 1 / torch.cat([ratio_B, 1 - ratio_B]))


def masked_loss(network: LlamaForCausalLM, batch: Batch, masking: Masking, mask_id: int) -> Tensor:
    """Sum over canvases and masks of weight x cross-entropy / t, in nats; half of it belongs to each pattern."""
    gen_length = batch.weight_BG.shape[1]
    device = network.device
    masked_BG = masking.masked_BG.to(device)
    tokens_BL = batch.tokens_BL.to(device).repeat(2, 1)
    answer_BG = tokens_BL[:, -gen_length:].clone()
    tokens_BL[:, -gen_length:].masked_fill_(masked_BG, mask_id)
    hidden_BLD = network.model(
        tokens_BL, attention_mask=batch.attention_BL.to(device).repeat(2, 1), use_cache=False
    ).last_hidden_state
    logits_NV = network.lm_head(hidden_BLD[:, -gen_length:][masked_BG])
    losses_N = nn.functional.cross_entropy(logits_NV, answer_BG[masked_BG], reduction="none")
    weight_BG = (batch.weight_BG.repeat(2, 1) * masking.inverse_ratio_B[:, None]).to(device)
    total: Tensor = (losses_N * weight_BG[masked_BG]).sum()
    return total


class Validation:
    """Batches of held-out problems by task, and a few fixed draws of masks for each."""

    def __init__(self, batches: Mapping[str, Batch], mask_id: int) -> None:
        self._mask_id = mask_id
        generator = torch.Generator().manual_seed(0)
        self._sets = {task: _with_masks(batch, generator) for task, batch in batches.items()}

    @torch.no_grad()
    def bounds(self, network: LlamaForCausalLM) -> dict[str, float]:
        """The bound on the negative log-likelihood by task: nats per answer token, the end of sequence included."""
        bounds = {}
        for task, draws in self._sets.items():
            loss = sum(float(masked_loss(network, batch, masking, self._mask_id)) for batch, masking in draws)
            bounds[task] = loss / sum(2 * float(batch.weight_BG.sum()) for batch, _ in draws)
        return bounds


def _with_masks(batch: Batch, generator: torch.Generator) -> list[tuple[Batch, Masking]]:
    # The padding after the first end of sequence is not part of the answer.
    answer_BG = (batch.weight_BG == 1.0).float()
    answer_only = replace(batch, weight_BG=answer_BG)
    rows, gen_length = answer_BG.shape
    return [(answer_only, draw_masking(rows, gen_length, generator)) for _ in range(DRAWS)]
