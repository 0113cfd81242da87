"""The identity of a model, as short texts. Names and folders may be reused; weights are not.

Weights, network and vocabulary are read from memory, so training and adapters change the fingerprint, and moving or
copying the folder does not. The checksum of the files identifies a model without loading it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from flexeval.hashing import json_hash
from flexeval.models.files import Source

_WHOLE_NUMBERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Bytes of an element -> the type that reads its bits."""
_CHUNK = 1 << 24
"""Elements at a time; mixing takes 8 bytes or more of memory for each."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """The identity of a loaded model. Models with equal weights, network and vocabulary give equal samples."""

    weights: str
    """Of every tensor: name, type, shape and values."""
    network: str
    """Of what is computed with them: layers, attention rule, sizes, scales, or the checkpoint's own code."""
    vocabulary: str
    """Of tokenizer, chat template and special tokens."""
    source: Source | None = None
    """Where it was loaded from; None once the weights in memory are no longer those of the files."""

    @property
    def parts(self) -> dict[str, str]:
        """What must agree for two models to be one."""
        return {"weights": self.weights, "network": self.network, "vocabulary": self.vocabulary}

    @property
    def digest(self) -> str:
        """The parts in one text."""
        return json_hash(self.parts)

    def as_dict(self) -> dict[str, Any]:
        """JSON values, for the record of a run."""
        return {**self.parts, **dataclasses.asdict(self.source or Source(files=None, revision=None))}


def weights_fingerprint(module: torch.nn.Module) -> str:
    """A hash of the name, type, shape and values of every weight.

    It is computed on the weights' own device, in whole numbers, so it is the same on every device.
    """
    digest = hashlib.sha256()
    for name, weight in sorted(module.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)} {_mixed_bits(weight)}\n".encode())
    return digest.hexdigest()


def _mixed_bits(weight: Tensor) -> int:
    """A 64-bit sum over all elements, each mixed with its index, so that swapped values change the sum."""
    bits = weight.detach().contiguous().flatten().view(_WHOLE_NUMBERS[weight.element_size()])
    total = 0
    for start in range(0, len(bits), _CHUNK):
        part = bits[start : start + _CHUNK].to(torch.int64)
        place = torch.arange(start + 1, start + 1 + len(part), device=part.device)
        # Multiply, shift, multiply: the finalizer of a 64-bit hash. Products wrap around, on every device alike.
        mixed = (part + place * 0x1E3779B97F4A7C15) * 0x3F58476D1CE4E5B9
        mixed = (mixed ^ (mixed >> 29)) * 0x14D049BB133111EB
        total += int((mixed ^ (mixed >> 32)).sum())
    return total % 2**64
