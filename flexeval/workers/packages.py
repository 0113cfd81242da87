"""Which samples go to a worker together. Knows nothing of Ray.

A group is samples of one problem, whose canvases begin equal and merge; it is never divided, unless it is more than a
batch. A package is groups that a worker draws at once. What a worker that died has not delivered goes out again, each
group by itself, so that a group that kills its worker is found; it is given up after `TRIES`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice

from flexeval.runs.layout import SampleKey

TRIES = 3
"""How often a group may be with a worker when it dies."""
EACH = 2
"""A package is at most this part of what is left for each worker, so that all end at the same time."""


@dataclass(eq=False, kw_only=True)
class Package:
    """Samples that are with one worker."""

    keys: list[SampleKey]
    """Not delivered yet, those of a problem side by side."""
    deaths: int = 0
    """Workers that died with it."""

    def delivered(self, key: SampleKey) -> None:
        """A sample is there."""
        self.keys.remove(key)


@dataclass(frozen=True, kw_only=True)
class GivenUp:
    """A group that nobody could draw."""

    keys: Sequence[SampleKey]
    reason: str
    """Of the last death."""

    def __str__(self) -> str:
        problem, first = self.keys[0]
        return f"{len(self.keys)} samples of problem {problem!r}, from number {first} ({self.reason})"


@dataclass(kw_only=True)
class Packages:
    """What is still to be handed out."""

    keys: Iterator[SampleKey]
    """Those of a problem side by side; read only as far as is needed."""
    missing: int
    """How many they are."""
    size: int
    """Samples that a worker draws side by side."""
    workers: int
    given_up: list[GivenUp] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._groups = self._cut()
        self._next: list[SampleKey] | None = None
        self._again: deque[Package] = deque()

    def pop(self) -> Package | None:
        """The next package; None when there is none now."""
        if self._again:
            return self._again.popleft()
        most = min(self.size, max(1, -(-self.missing // (EACH * self.workers))))
        keys: list[SampleKey] = []
        while (group := self._peek()) is not None and (not keys or len(keys) + len(group) <= most):
            keys += group
            self._next = None
        self.missing -= len(keys)
        return Package(keys=keys) if keys else None

    def left(self) -> bool:
        """Whether there is a package to be had."""
        return bool(self._again) or self._peek() is not None

    def give_back(self, package: Package, reason: str) -> int:
        """A worker died with a package. How many of its samples will be drawn again."""
        again = 0
        for _, keys in groupby(package.keys, key=lambda key: key[0]):
            group = Package(keys=list(keys), deaths=package.deaths + 1)
            if group.deaths < TRIES:
                self._again.append(group)
                again += len(group.keys)
            else:
                self.given_up.append(GivenUp(keys=group.keys, reason=reason))
        return again

    def _peek(self) -> list[SampleKey] | None:
        """The next group, which stays the next."""
        if self._next is None:
            self._next = next(self._groups, None)
        return self._next

    def _cut(self) -> Iterator[list[SampleKey]]:
        for _, same_problem in groupby(self.keys, key=lambda key: key[0]):
            while group := list(islice(same_problem, self.size)):
                yield group


def groups(problems: int, num_samples: int, size: int) -> int:
    """How many groups a run has."""
    return problems * -(-num_samples // size)
