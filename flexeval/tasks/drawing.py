"""What generated tasks share: random choices and a train/test split that are the same everywhere.

Python promises a stable sequence for `random.Random(seed).random()` alone; `choice`, `shuffle` and
`sample` may change between versions. Everything here is built on that one method and on blake2b.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import Literal, TypeVar

T = TypeVar("T")

Split = Literal["train", "test"]

TEST_SHARE = 1 / 8
"""Share of all problems that only the test split may use."""


class Draw:
    """A stream of choices, decided by a text."""

    def __init__(self, key: str) -> None:
        self._random = random.Random(key).random

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random() < probability

    def between(self, low: int, high: int) -> int:
        """A uniform whole number, both ends included."""
        return low + int(self._random() * (high - low + 1))

    def pick(self, items: Sequence[T]) -> T:
        """One of the items, uniformly."""
        return items[int(self._random() * len(items))]

    def pick_weighted(self, items: Sequence[T], weights: Sequence[float]) -> T:
        """One of the items, in proportion to its weight."""
        left = self._random() * sum(weights)
        for item, weight in zip(items, weights, strict=True):
            left -= weight
            if left < 0:
                return item
        return items[-1]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in a uniformly random order."""
        rest = list(items)
        return [rest.pop(int(self._random() * len(rest))) for _ in range(len(rest))]


def split_of(key: str) -> Split:
    """The side of the split that a text is on: its blake2b hash, read as a fraction, is below `TEST_SHARE` or not."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return "test" if int.from_bytes(digest, "big") / 2**64 < TEST_SHARE else "train"
