"""A loaded network -> a short text that another one does not have: names may be reused, weights tell.

It is taken of the weights in memory, so that a folder that training wrote anew is another model, and one that was
moved is the same.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

_WHOLE_NUMBERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Bytes of an element -> the type that reads its bits."""


def weights_fingerprint(module: torch.nn.Module) -> str:
    """A hash of every weight's name, type, shape and sum of bit patterns.

    The sums are of whole numbers, so they are the same on every device; they cost one pass over the weights.
    """
    digest = hashlib.sha256()
    for name, weight in sorted(module.state_dict().items()):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)} {_sum_of_bits(weight)}\n".encode())
    return digest.hexdigest()


def _sum_of_bits(weight: Tensor) -> int:
    bits = weight.detach().view(_WHOLE_NUMBERS[weight.element_size()])
    return int(bits.sum(dtype=torch.int64))
