"""The numbers of a word problem, without its words, and which side of the train/test split they are on."""

from __future__ import annotations

from dataclasses import dataclass

from flexeval.errors import InputError
from flexeval.tasks.drawing import Draw, Split, split_of

ATTEMPTS = 5000
"""Draws after which settings count as impossible."""


@dataclass(frozen=True)
class Quantity:
    """A plain number, or so many packs of so many each."""

    each: int
    packs: int = 1

    @property
    def value(self) -> int:
        """How many there are altogether."""
        return self.packs * self.each

    def __str__(self) -> str:
        return str(self.each) if self.packs == 1 else f"{self.packs}*{self.each}"


@dataclass(frozen=True)
class Change:
    """A gain (sign +1) or a loss (sign -1)."""

    sign: int
    amount: Quantity

    @property
    def signed(self) -> int:
        """The change of the total."""
        return self.sign * self.amount.value

    def __str__(self) -> str:
        return f"{'+' if self.sign > 0 else '-'}{self.amount}"


@dataclass(frozen=True)
class Skeleton:
    """A start and the changes that follow it, in the order of the story."""

    start: Quantity
    changes: tuple[Change, ...]

    @property
    def answer(self) -> int:
        """The final total."""
        return self.start.value + sum(change.signed for change in self.changes)

    @property
    def split(self) -> Split:
        """A hash of the numbers alone decides it, so no wording of a test problem can occur in training."""
        return split_of(f"word-problems/{self}")

    def __str__(self) -> str:
        return f"{self.start}{''.join(str(change) for change in self.changes)}"


@dataclass(frozen=True)
class Limits:
    """What the numbers of a problem may be."""

    facts: int
    max_start: int
    max_change: int
    max_total: int
    products: bool

    def draw(self, draw: Draw, split: Split) -> Skeleton:
        """Draw numbers until they fit and are on this side of the split.

        Raises:
            InputError: nothing fits.
        """
        for _ in range(ATTEMPTS):
            start, changes = _draw_numbers(draw, self)
            skeleton = Skeleton(start, tuple(changes))
            if self._fits(skeleton) and skeleton.split == split:
                return skeleton
        raise InputError(
            f"no {split} problem has facts={self.facts}, max_start={self.max_start}, max_change={self.max_change} "
            f"and max_total={self.max_total}; use fewer facts or larger limits"
        )

    def _fits(self, skeleton: Skeleton) -> bool:
        """Whether every way to solve the problem stays within 0..max_total, and both gains and losses occur.

        Gains taken before losses reach the highest total that any order reaches; orders that go below zero are
        not used, but the order of the story must be possible. One or two changes may be of one kind.
        """
        running = lowest = skeleton.start.value
        for change in skeleton.changes:
            running += change.signed
            lowest = min(lowest, running)
        highest = skeleton.start.value + sum(change.signed for change in skeleton.changes if change.sign > 0)
        one_sided = self.facts > 2 and len({change.sign for change in skeleton.changes}) == 1
        return lowest >= 0 and highest <= self.max_total and not one_sided


def _draw_numbers(draw: Draw, limits: Limits) -> tuple[Quantity, list[Change]]:
    """A start and changes; at most one of them comes in packs, in a third of the problems that allow it."""
    packed = draw.between(0, 3 * limits.facts + 2) if limits.products else -1
    start = _draw_packs(draw, limits.max_start) if packed == 0 else Quantity(draw.between(2, limits.max_start))
    changes = []
    for place in range(1, limits.facts + 1):
        sign = 1 if draw.chance(0.5) else -1
        largest = limits.max_change
        amount = _draw_packs(draw, largest) if packed == place else Quantity(draw.between(1, largest))
        changes.append(Change(sign, amount))
    return start, changes


def _draw_packs(draw: Draw, largest: int) -> Quantity:
    """2 to 5 packs of 2 to 5, at most `largest` in all."""
    pairs = [(packs, each) for packs in range(2, 6) for each in range(2, 6) if packs * each <= largest]
    packs, each = draw.pick(pairs)
    return Quantity(each, packs)
