"""What generated tasks share: random choices and a train/test split that are the same everywhere, and checks.

Python promises a stable sequence for `random.Random(seed).random()` alone; `choice`, `shuffle` and
`sample` may change between versions. Everything here is built on that one method and on blake2b.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from flexeval.errors import InputError
from flexeval.records import Problem

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


def first_different(draw: Callable[[int], Problem | None], size: int, *, attempts: int) -> tuple[Problem, ...]:
    """The first `size` problems with different ids among `draw(0)`, `draw(1)`, ...; None is no problem.

    Raises InputError when `attempts` draws give fewer.
    """
    found: dict[str, Problem] = {}
    for attempt in range(attempts):
        problem = draw(attempt)
        if problem is not None:
            found.setdefault(problem.id, problem)
            if len(found) == size:
                return tuple(found.values())
    raise InputError(f"these settings allow only {len(found)} different problems; use size={len(found)} or less")


def check_split(split: str) -> None:
    """Raise InputError unless there is such a side of the split."""
    if split not in ("train", "test"):
        raise InputError(f"split must be train or test, not {split!r}")


def check_at_least(least: int, **values: int) -> None:
    """Raise InputError for a parameter below the smallest value that it may have."""
    for name, value in values.items():
        if value < least:
            raise InputError(f"{name} must be at least {least}, not {value}")
