"""Canvases -> log-probabilities of committed tokens, with gradients: the network that is trained.

Axis suffixes as in `scoring.py`; `V` vocabulary.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flexeval.grpo.scoring import Batch
from flexeval.models.predictor import MaskPredictor, attention_of
from flexeval.sampling.forward import hidden_after, on_device
from flexeval.sampling.prefixes import Canvases, can_go_on, canvases_of, pieces, shared_prefixes

if TYPE_CHECKING:
    from flexeval.models.past import Kept


class Trainable(MaskPredictor, Protocol):
    """A mask predictor whose network may be trained: `hidden` and `logits` let gradients through."""

    module: nn.Module
    """The network behind `hidden` and `logits`."""


class Policy(nn.Module):
    """A mask predictor as one module whose call gives log-probabilities, so that accelerate can wrap it."""

    def __init__(self, predictor: Trainable, *, shared: bool = False) -> None:
        """
        Args:
            predictor: its network.
            shared: compute finished prefixes once for all canvases of a batch that begin with them (see
                `shares_prefixes`).
        """
        super().__init__()
        self.shared = shared
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
        logits_NV = predictor.logits(self._hidden(batch))
        logits_NV[:, predictor.mask_id] = -torch.inf
        if np.any(batch.temperature_N != 1):
            temperature_N = torch.from_numpy(batch.temperature_N).to(logits_NV)
            logits_NV = logits_NV / temperature_N[:, None]
        log_probs_NV = logits_NV.log_softmax(dim=-1)
        row_M, token_M = torch.from_numpy(batch.row_M).to(device), torch.from_numpy(batch.token_M).to(device)
        return log_probs_NV[row_M, token_M]

    def _hidden(self, batch: Batch) -> Tensor:
        """Hidden states [N, D] at the rows that are read."""
        predictor = self._predictor
        attention = attention_of(predictor)
        asked_UL = np.zeros(batch.tokens_UL.shape, dtype=np.bool_)
        asked_UL[batch.canvas_N, batch.column_N] = True
        answer = batch.tokens_UL.shape[1] - batch.generated
        attended_UL = attention.attended(
            batch.tokens_UL, batch.attended_UL, answer=answer, window_end_B=batch.window_end_U
        )
        if self.shared:
            canvases = canvases_of(
                batch.tokens_UL,
                attended_UL,
                asked_UL[:, answer:],
                batch.window_end_U,
                attention=attention,
                block=batch.generated,
                mask_id=predictor.mask_id,
            )
            # Rows come in the order of canvases and columns, and each at most once.
            row_UL = asked_UL.cumsum().reshape(asked_UL.shape) - 1
            return self._after_prefixes(canvases)[self._on_device(row_UL[batch.canvas_N, batch.column_N])]

        given: list[Tensor | None] = [
            self._on_device(batch.tokens_UL),
            None if attended_UL.all() else self._on_device(attended_UL),
            self._on_device(asked_UL),
        ]
        if not attention.is_full:
            level_UL = attention.levels(
                batch.tokens_UL,
                attended_UL,
                answer=answer,
                window_end_B=batch.window_end_U,
                mask_id=predictor.mask_id,
            )
            given.append(self._on_device(level_UL))
        hidden_ULD = predictor.hidden(*given)  # type: ignore[arg-type] # levels are for models with a rule
        return hidden_ULD[self._on_device(batch.canvas_N), self._on_device(batch.column_N)]

    def _after_prefixes(self, canvases: Canvases) -> Tensor:
        """Hidden states [N, D] at the asked columns: what canvases begin with first, then the rest of each."""
        predictor: Any = self._predictor
        prefixes, source, rest = shared_prefixes(canvases, shifted=predictor.shifted)
        known: list[Kept] = []
        if prefixes.computed_UL.any():
            for piece in pieces(prefixes):
                known += self._run(piece, keep=True)[1]
        lengths = (rest.computed_UL.argmax(axis=1) - canvases.first_U).tolist()
        after = [
            known[place].first(length) if known and length else None
            for place, length in zip(source, lengths, strict=True)
        ]
        return torch.cat([self._run(piece, keep=False)[0] for piece in pieces(replace(rest, after=after))])

    def _run(self, piece: tuple[NDArray[Any], ...], *, keep: bool) -> tuple[Tensor, list[Kept]]:
        """One forward: hidden states [N, D] at the asked columns, and what is kept."""
        hidden_USD, kept = hidden_after(self._predictor, *piece, keep=keep)
        return hidden_USD[self._on_device(piece[5])], kept

    def _on_device(self, array: NDArray[Any]) -> Tensor:
        return on_device(self._predictor, array)


def shares_prefixes(predictor: MaskPredictor, *, gradient_checkpointing: bool, sharded: bool) -> bool:
    """Whether finished prefixes can be computed once, with gradients.

    Their keys and values are those of whole canvases, and so is the gradient. Gradient checkpointing repeats layers
    without what came before them; and processes that share weights have to make equally many forwards.
    """
    by_blocks = can_go_on(predictor) and not attention_of(predictor).is_full
    return by_blocks and not gradient_checkpointing and not sharded


def checkpoint_activations(module: Any) -> None:
    """Let a network of transformers keep its layers' inputs only, and compute the rest again in the backward pass."""
    # transformers 5 renamed it on the way.
    enable = getattr(module, "activation_checkpointing_enable", None) or module.gradient_checkpointing_enable
    enable({"use_reentrant": False})
