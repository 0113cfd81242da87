"""Canvases -> log-probabilities of committed tokens, with gradients: the network that is trained.

Axis suffixes as in `scoring.py`; `V` vocabulary.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from flexeval.grpo.scoring import Batch
from flexeval.models.predictor import MaskPredictor


class Trainable(MaskPredictor, Protocol):
    """A mask predictor whose network may be trained: `hidden` and `logits` let gradients through."""

    module: nn.Module
    """The network behind `hidden` and `logits`."""


class Policy(nn.Module):
    """A mask predictor as one module whose call gives log-probabilities, so that accelerate can wrap it."""

    def __init__(self, predictor: Trainable) -> None:
        super().__init__()
        self.module = predictor.module
        self._predictor = predictor
        # Which layers accelerate wraps one by one when weights are sharded.
        self._no_split_modules = getattr(predictor.module, "_no_split_modules", None)

    def forward(self, batch: Batch) -> Tensor:
        """Log p [M] of each reading's token, nats, under the distribution it was drawn from.

        That is the softmax at the temperature of the draw, without the mask token. The head runs only on the rows that
        are read.
        """
        predictor, device = self._predictor, self._predictor.device
        attended_UL = None if batch.attended_UL.all() else torch.from_numpy(batch.attended_UL).to(device)
        hidden_ULD = predictor.hidden(torch.from_numpy(batch.tokens_UL).to(device), attended_UL)
        at = (torch.from_numpy(batch.canvas_N).to(device), torch.from_numpy(batch.column_N).to(device))
        logits_NV = predictor.logits(hidden_ULD[at])
        logits_NV[:, predictor.mask_id] = -torch.inf
        if np.any(batch.temperature_N != 1):
            temperature_N = torch.from_numpy(batch.temperature_N).to(logits_NV)
            logits_NV = logits_NV / temperature_N[:, None]
        log_probs_NV = logits_NV.log_softmax(dim=-1)
        row_M, token_M = torch.from_numpy(batch.row_M).to(device), torch.from_numpy(batch.token_M).to(device)
        return log_probs_NV[row_M, token_M]


def checkpoint_activations(module: Any) -> None:
    """Let a network of transformers keep its layers' inputs only, and compute the rest again in the backward pass."""
    # transformers 5 renamed it on the way.
    enable = getattr(module, "activation_checkpointing_enable", None) or module.gradient_checkpointing_enable
    enable({"use_reentrant": False})
