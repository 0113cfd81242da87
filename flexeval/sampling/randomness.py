"""Uniform numbers by hashing what they are for: (seed, problem id, sample index, purpose, position, draw).

So they do not depend on a sample's batch, its worker or a restart. The order is not hashed: two orders see common
random numbers.
"""

from __future__ import annotations

from enum import IntEnum
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flexeval.hashing import mixed_bits

UInt64Array = NDArray[np.uint64]


class Purpose(IntEnum):
    """What a uniform number decides."""

    TOKEN = 1
    """Which token a position gets."""
    POSITION = 2
    """Which position is chosen (`random`)."""
    CHOICE = 3
    """What is chosen of a position at a step, which counts as the draw (`tct`, `remdm`)."""


def sample_key(seed: int, problem_id: str, sample_index: int) -> int:
    """The 64-bit key of one sample, the same on every machine."""
    text = f"{seed}\x1f{problem_id}\x1f{sample_index}".encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


def uniforms(
    keys: UInt64Array, purpose: Purpose, positions: NDArray[np.integer[Any]], draws: ArrayLike = 0
) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) with 53 random bits; the arguments broadcast.

    Args:
        keys: of the samples, from `sample_key`.
        purpose: what the numbers decide.
        positions: generated positions, below 2^24.
        draws: how often each position has been drawn before for that sample, below 2^32.
    """
    word = (
        (np.uint64(purpose) << np.uint64(56))
        | (positions.astype(np.uint64) << np.uint64(32))
        | np.asarray(draws).astype(np.uint64)
    )
    bits = mixed_bits(mixed_bits(word) + keys)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
