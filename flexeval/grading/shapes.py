"""The shapes that an answer can have: records that `structure` makes and `equivalence` compares."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """One value: a number or an expression."""

    text: str
    """Without unit and percent sign."""
    number: Fraction | None
    """Its exact value when it is a number, or arithmetic in numbers with a rational value."""
    percent: bool
    """Whether a percent sign follows."""
    unit: str | None
    """Canonical name of a known unit."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """A name or a phrase."""

    text: str
    """Single blanks between words."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Several parts. Order counts in a tuple only."""

    kind: Literal["list", "set", "union", "tuple"]
    brackets: str
    """Opening and closing bracket of a tuple (an interval is one); empty otherwise."""
    parts: tuple[Node, ...]
    """As written, from left to right."""


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Rows of cells, between brackets of any kind."""

    text: str
    """The whole, for algebra."""
    determinant: bool
    """Whether it stands between bars."""
    rows: tuple[tuple[Node, ...], ...]
    """Its cells."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """`name = value`, or a chain of equalities whose last member is the value."""

    text: str
    """The whole, for algebra."""
    name: str
    """As `names.normal_name` spells it; empty when everything is an expression in numbers."""
    value: Node
    """What it equals."""


@dataclass(frozen=True, kw_only=True)
class System:
    """Values of several names: `x = 2, y = 4`."""

    values: dict[str, Node]
    """By name, in the order of the names."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """An option of a multiple choice, with more than its letter: `(C) Plane`, `Option C`."""

    letter: str
    """A capital."""
    content: Node | None
    """What the option says."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """An inequality in one variable, or membership in a set."""

    text: str
    """The whole, for algebra."""
    name: str
    """The variable."""
    values: Node
    """The set of its values."""


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Any other equation or inequality."""

    text: str
    """The whole, for algebra."""


@dataclass(frozen=True, kw_only=True)
class Based:
    """A number in another base."""

    digits: str
    """Small letters, no leading zeros."""
    base: str
    """The subscript, decimal."""


Node = Leaf | Words | Group | Matrix | Assignment | System | Choice | Range | Relation | Based
