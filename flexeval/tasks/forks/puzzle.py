"""A puzzle (make a goal out of given numbers), and every chain of steps that solves it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from flexeval.tasks.drawing import Split, split_of

Sign = Literal["+", "-", "*"]
SIGNS: tuple[Sign, ...] = ("+", "-", "*")

LARGEST = 60
"""No result is larger; none is smaller than 1."""


@dataclass(frozen=True)
class Step:
    """One calculation: the running result (at first a given number), a sign, a given number."""

    left: int
    sign: Sign
    right: int
    result: int

    @property
    def equation(self) -> str:
        """The calculation in symbols: "5 + 3 = 8"."""
        return f"{self.left} {self.sign} {self.right} = {self.result}"


Chain = tuple[Step, ...]
"""Steps that use every given number once, each going on from the result before.

The first step has its larger number on the left."""


@dataclass(frozen=True)
class Puzzle:
    """Numbers, in the order in which they are told, and the goal."""

    numbers: tuple[int, ...]
    goal: int

    def __str__(self) -> str:
        """The same for every order of the numbers: "5-5-6-6=25"."""
        return f"{'-'.join(str(number) for number in sorted(self.numbers))}={self.goal}"

    @property
    def split(self) -> Split:
        """A hash of goal and sorted numbers decides it, so no order of a test puzzle's numbers occurs in training."""
        return split_of(f"forks/{self}")

    @property
    def solutions(self) -> tuple[Chain, ...]:
        """Every chain that ends at the goal. Equal numbers are not told apart."""
        return chains(tuple(sorted(self.numbers))).get(self.goal, ())


def passes(chain: Chain) -> bool:
    """Whether a chain is above its last result somewhere on the way."""
    return any(step.result > chain[-1].result for step in chain[:-1])


@cache
def chains(numbers: tuple[int, ...]) -> Mapping[int, tuple[Chain, ...]]:
    """Every chain over sorted numbers, by its last result."""
    found: dict[int, list[Chain]] = {}
    for small, large in sorted(set(itertools.combinations(numbers, 2))):
        rest = _without(_without(numbers, small), large)
        for step in _steps(large, small):
            _extend((step,), rest, found)
    return {result: tuple(ending) for result, ending in found.items()}


def _extend(chain: Chain, rest: tuple[int, ...], found: dict[int, list[Chain]]) -> None:
    if not rest:
        found.setdefault(chain[-1].result, []).append(chain)
    for number in sorted(set(rest)):
        for step in _steps(chain[-1].result, number):
            _extend((*chain, step), _without(rest, number), found)


def _steps(left: int, right: int) -> list[Step]:
    results: dict[Sign, int] = {"+": left + right, "-": left - right, "*": left * right}
    return [Step(left, sign, right, results[sign]) for sign in SIGNS if 1 <= results[sign] <= LARGEST]


def _without(numbers: tuple[int, ...], number: int) -> tuple[int, ...]:
    place = numbers.index(number)
    return numbers[:place] + numbers[place + 1 :]
