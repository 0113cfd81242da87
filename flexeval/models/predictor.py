"""The mask predictor: what the sampler needs of a model, and nothing more.

Axis suffixes: `B` canvases, `L` canvas positions, `N` gathered rows, `D` hidden size, `V` vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from flexeval.models.fingerprint import Fingerprint
from flexeval.records import Prompt


@runtime_checkable
class MaskPredictor(Protocol):
    """A model that predicts, for every mask of a canvas, the token behind it.

    It knows nothing of orders, steps, blocks or randomness. Implementations: `NativePredictor` (transformers'
    own layers), the adapter for checkpoints with their own code, and the oracles of the test suite.
    """

    name: str
    """How the model was asked for."""
    mask_id: int
    eos_id: int
    """End of sequence, which also fills the canvas after the text."""
    stop_ids: frozenset[int]
    """Tokens that end the text: EOS, and end-of-turn where the model has one."""
    vocab_size: int
    """Width of the logits."""
    max_length: int
    """Longest canvas (prompt + generated positions)."""
    device: torch.device
    dtype: torch.dtype

    @property
    def fingerprint(self) -> Fingerprint:
        """The identity of the model as it is now; runs of another one are never continued with it."""
        ...

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt with the model's chat template applied: exactly one BOS where the model has one."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of generated tokens, special tokens left out."""
        ...

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """The text that each token adds, so that `"".join(pieces)` is `decode`; special tokens give ""."""
        ...

    def hidden(self, tokens_BL: Tensor, attention_BL: Tensor | None = None, asked_BL: Tensor | None = None) -> Tensor:
        """Final hidden states [B, L, D], aligned so that index i holds what predicts position i.

        Args:
            tokens_BL: canvases, int64, left-padded.
            attention_BL: False at padding; None when no row is padded. A padded row gives the hidden states of the
                unpadded row.
            asked_BL: the positions that will be read; the others may hold anything. None for all.
        """
        ...

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Logits [N, V] of gathered rows, float32. The caller may overwrite them."""
        ...
