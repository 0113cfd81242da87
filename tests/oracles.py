"""Mask predictors whose distribution is known exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from flexeval.models.fingerprint import Fingerprint
from flexeval.records import Prompt


class Oracle:
    """What all oracles share: a tiny vocabulary whose last two tokens are EOS and mask, and no text."""

    def __init__(self, words: int, *, name: str = "oracle", max_length: int = 4096) -> None:
        self.name = name
        self.eos_id = words
        self.mask_id = words + 1
        self.stop_ids = frozenset({self.eos_id})
        self.vocab_size = words + 2
        self.max_length = max_length
        self.device = torch.device("cpu")
        self.dtype = torch.float32
        self.fingerprint = Fingerprint(weights=name, network="oracle", vocabulary=str(words))
        self.evaluated: list[np.ndarray] = []
        """Every batch of canvases that was evaluated."""

    def encode(self, prompt: Prompt) -> list[int]:
        return [ord(character) % (self.vocab_size - 2) for character in prompt.user]

    def decode(self, token_ids: Sequence[int]) -> str:
        return "".join(self.pieces(token_ids))

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        return [f"{token} " if token < self.eos_id else "" for token in map(int, token_ids)]

    def log_conditionals(self, canvas_L: np.ndarray) -> np.ndarray:
        """log p(token | canvas) at every position [L, V]."""
        raise NotImplementedError

    def hidden(self, tokens_BL: Tensor, attention_BL: Tensor | None = None, asked_BL: Tensor | None = None) -> Tensor:
        self.evaluated.append(tokens_BL.numpy().copy())
        rows = []
        for row, tokens_L in enumerate(tokens_BL.numpy()):
            first = 0 if attention_BL is None else int((~attention_BL[row]).sum())
            inside = self.log_conditionals(tokens_L[first:])
            rows.append(np.pad(inside, ((first, 0), (0, 0))))
        return _forget_unasked(torch.tensor(np.stack(rows), dtype=torch.float32), asked_BL)

    def logits(self, hidden_ND: Tensor) -> Tensor:
        return hidden_ND.clone()


class JointOracle(Oracle):
    """An explicit joint distribution over a few sequences; its conditionals are exact. Ignores the prompt."""

    def __init__(self, sequences_SG: np.ndarray, probs_S: np.ndarray, words: int) -> None:
        super().__init__(words)
        self.sequences_SG = np.asarray(sequences_SG)
        self.probs_S = np.asarray(probs_S, dtype=np.float64)

    def log_conditionals(self, canvas_L: np.ndarray) -> np.ndarray:
        length = self.sequences_SG.shape[1]
        canvas_G = canvas_L[len(canvas_L) - length :]
        consistent_S = ((canvas_G == self.mask_id) | (self.sequences_SG == canvas_G)).all(axis=1)
        weights_S = self.probs_S * consistent_S
        probs_LV = np.zeros((len(canvas_L), self.vocab_size))
        probs_LV[: len(canvas_L) - length, 0] = 1
        for position in range(length):
            np.add.at(probs_LV[len(canvas_L) - length + position], self.sequences_SG[:, position], weights_S)
        with np.errstate(divide="ignore"):
            return np.log(probs_LV / probs_LV.sum(axis=1, keepdims=True))


class IndependentOracle(Oracle):
    """Every position has the same distribution whatever else is on the canvas."""

    def __init__(self, probs_V: np.ndarray) -> None:
        super().__init__(len(probs_V))
        with np.errstate(divide="ignore"):
            self._log_probs_V = np.log(np.concatenate([probs_V, [0.0, 0.0]]))

    def log_conditionals(self, canvas_L: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self._log_probs_V, (len(canvas_L), self.vocab_size))

    def hidden(self, tokens_BL: Tensor, attention_BL: Tensor | None = None, asked_BL: Tensor | None = None) -> Tensor:
        log_probs_BLV = torch.tensor(self._log_probs_V, dtype=torch.float32).expand(*tokens_BL.shape, -1)
        return _forget_unasked(log_probs_BLV, asked_BL)


class RandomOracle(Oracle):
    """Arbitrary conditionals: a hash of the whole canvas and the position seeds each distribution.

    Any difference in a canvas changes every distribution, so a sampler that shows the model anything else than
    it should is found out.
    """

    def __init__(self, words: int, *, sharpness: float = 2.0, eos_bonus: float = 0.0, max_length: int = 4096) -> None:
        super().__init__(words, max_length=max_length)
        self._sharpness = sharpness
        self._eos_bonus = eos_bonus

    def log_conditionals(self, canvas_L: np.ndarray) -> np.ndarray:
        seed = np.frombuffer(canvas_L.astype(np.int64).tobytes(), dtype=np.uint32)
        logits_LV = np.random.default_rng(seed).normal(size=(len(canvas_L), self.vocab_size)) * self._sharpness
        logits_LV[:, self.eos_id] += self._eos_bonus
        return logits_LV - np.logaddexp.reduce(logits_LV, axis=1, keepdims=True)


def _forget_unasked(hidden_BLD: Tensor, asked_BL: Tensor | None) -> Tensor:
    """NaN where nobody said that they would read, so that reading there is found out."""
    return hidden_BLD if asked_BL is None else hidden_BLD.masked_fill(~asked_BL[..., None], torch.nan)
