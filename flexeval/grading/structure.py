r"""Read a short answer into its outer shape: a list, a set, a tuple or interval, a union, a matrix, an assignment...

Only the shape is read here; what stands inside stays text until two leaves are compared. So `(1, 2)` and
`[1, 2)` differ without any algebra, and `2, 1` can be compared with `1, 2` piece by piece.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from flexeval.grading.latex import find_top, outer_brackets, split_top, tokens
from flexeval.grading.numerals import read_number
from flexeval.grading.units import qualifies, split_unit

MAX_DEPTH = 6
"""Shapes nested deeper than this stay text."""


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """One value: a number or an expression."""

    text: str
    """Without unit and percent sign."""
    number: Fraction | None
    """Its exact value when it is written as a number."""
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
    """Empty when the left side is an expression in numbers."""
    value: Node
    """What it equals."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """An inequality in one variable, or membership in a set."""

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


Node = Leaf | Words | Group | Matrix | Assignment | Range | Relation | Based

_COMMAS = frozenset([",", ";"])
_ORDERS = frozenset(["<", ">", r"\le", r"\ge"])
_RELATIONS = _ORDERS | {"=", r"\ne", r"\approx", r"\equiv", r"\sim"}
_MATRIX = re.compile(r"\\begin\{(?P<kind>[pbBvV]?matrix|array)\}(?:\{[lcr| ]*\})?(?P<body>.*)\\end\{(?P=kind)\}")
_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_NAME = re.compile(
    r"(?:[A-Za-z]|[A-Z]{2,3}|[A-Za-z]{4,}(?: [A-Za-z]+)*|\\[a-z]+|\\text\{[^{}]*\}"
    r"|\\(?:mathbf|vec|overline|bar)\s*\{?\s*[A-Za-z]+\s*\}?|\\angle\s*[A-Z]+)"
    r"(?:_(?:\w|\{[^{}]*\}))?'*(?:\^\{-1\})?(?:\s*\(\s*\w+(?:\s*,\s*\w+)*\s*\))?"
)
"""What may stand alone on one side of an equality: a variable, a segment, a word, a function of variables."""
_NOT_A_NUMBER = re.compile(r"[A-DF-HJ-Za-df-hj-z]")
_LABEL = re.compile(r"\\text\s*\{[^{}]*\}\s*(?=[^\s^])")
_BASED = re.compile(r"(?P<digits>[0-9A-Fa-f]*[0-9][0-9A-Fa-f]*)_(?:\{\s*(?P<braced>\d+)\s*\}|(?P<bare>\d))")
_CONJUNCTION = re.compile(r"(?:,\s*)?\\text\s*\{\s*,?\s*(?:and|or)\s*\}|(?:,\s*)?\b(?<!\\)(?:and|or)\b")
_PERCENT = re.compile(r"\s*(?:%|\bpercent\b|\\text\s*\{\s*(?:%|percent)\s*\})\s*$")
_WORD = re.compile(r"[A-Za-z]{2,}")
_PLAIN_WORDS = re.compile(r"[A-Za-z][A-Za-z'’\- ]*")
_VOWEL = re.compile(r"[aeiouyAEIOUY]")


def read(text: str) -> Node:
    """The shape of an answer, given in the spelling of `latex.clean`."""
    return _read(text, depth=0)


def _read(text: str, depth: int) -> Node:
    if depth >= MAX_DEPTH:
        return _leaf(text)
    if (words := _words(text)) is not None:
        return words

    # A number with separators of thousands is not a list.
    if read_number(split_unit(text)[0]) is None:
        pieces = [p for p in split_top(_CONJUNCTION.sub(",", text), _COMMAS) if p]
        if len(pieces) > 1:
            return _list(_parts(pieces, depth))
    if (relation := _relation(text, depth)) is not None:
        return relation
    pieces = split_top(text, frozenset([r"\cup"]))
    if len(pieces) > 1:
        return Group(kind="union", brackets="", parts=_parts(pieces, depth))

    if match := _MATRIX.fullmatch(text):
        rows = [split_top(row, frozenset(["&"])) for row in split_top(match["body"], frozenset([r"\\"])) if row]
        cells = tuple(tuple(_read(cell, depth + 1) for cell in row) for row in rows)
        return Matrix(text=text, determinant=match["kind"].lower() == "vmatrix", rows=cells)
    if (brackets := outer_brackets(text)) is not None:
        bracketed = _bracketed(brackets, depth)
        if bracketed is not None:
            return bracketed
    if text == r"\emptyset":
        return Group(kind="set", brackets="", parts=())
    if text == r"\mathbb{R}":
        return _interval("(", r"-\infty", r"\infty", ")", depth)
    if r"\pm" in tokens(text) or r"\mp" in tokens(text):
        return Group(kind="list", brackets="", parts=_parts([text], depth))
    if match := _BASED.fullmatch(text):
        return Based(digits=match["digits"].lstrip("0").lower() or "0", base=match["braced"] or match["bare"])
    if inside := _TEXT.fullmatch(text):
        return _read(inside[1].strip(), depth + 1)
    if (label := _LABEL.match(text)) and not qualifies(label[0]):
        return _read(text[label.end() :], depth + 1)
    return _leaf(text)


def _words(text: str) -> Words | None:
    r"""A name or a phrase; not a product of variables such as `xyz`, unless \text{} says that it is a word."""
    inside = _TEXT.fullmatch(text)
    plain = inside[1].strip() if inside else text
    if not _PLAIN_WORDS.fullmatch(plain):
        return None
    words = _WORD.findall(plain)
    spelled = any(len(word) >= 4 and _VOWEL.search(word) for word in words) or len(words) >= 2
    return Words(text=" ".join(plain.split())) if spelled or (inside and words) else None


def _parts(pieces: list[str], depth: int) -> tuple[Node, ...]:
    r"""The pieces as nodes, each `\pm` written out as two."""
    parts = []
    for piece in pieces:
        if r"\pm" in tokens(piece) or r"\mp" in tokens(piece):
            for plus, minus in (("+", "-"), ("-", "+")):
                signed = re.sub(r"\\mp(?![A-Za-z])", minus, re.sub(r"\\pm(?![A-Za-z])", plus, piece))
                parts.append(_read(signed.removeprefix("+").strip(), depth + 1))
        else:
            parts.append(_read(piece, depth + 1))
    return tuple(parts)


def _list(parts: tuple[Node, ...]) -> Node:
    """Parts in a row; inequalities in one variable, joined by `or`, are one set of values."""
    ranges = [part for part in parts if isinstance(part, Range)]
    if len(ranges) == len(parts) and len({part.name for part in ranges}) == 1:
        union = Group(kind="union", brackets="", parts=tuple(part.values for part in ranges))
        return Range(name=ranges[0].name, values=union)
    return Group(kind="list", brackets="", parts=parts)


def _bracketed(brackets: tuple[str, str, str], depth: int) -> Node | None:
    opening, inside, closing = brackets
    pieces = [piece for piece in split_top(inside, _COMMAS) if piece]
    if (opening, closing) == (r"\{", r"\}"):
        condition = re.match(rf"(?P<name>{_NAME.pattern})\s*(?:\\mid|\||:)(?P<condition>.*)", inside)
        if condition:
            return _read(condition["condition"].strip(), depth + 1)
        return Group(kind="set", brackets="", parts=_parts(pieces, depth))
    if opening == "{" or closing == "}":
        return _read(inside, depth + 1) if (opening, closing) == ("{", "}") else None
    if len(pieces) > 1 and opening in ("(", "[", r"\langle") and closing in (")", "]", r"\rangle"):
        # Angle brackets write the same vector as round ones.
        plain = (opening + closing).replace(r"\langle", "(").replace(r"\rangle", ")")
        return Group(kind="tuple", brackets=plain, parts=_parts(pieces, depth))
    if (opening, closing) == ("(", ")") and len(pieces) == 1:
        return _read(inside, depth + 1)
    return None


def _relation(text: str, depth: int) -> Node | None:
    member = find_top(text, frozenset([r"\in"]))
    if len(member) == 1:
        position, token = member[0]
        name, values = text[:position].strip(), text[position + len(token) :].strip()
        return Range(name=name, values=_read(values, depth + 1)) if _NAME.fullmatch(name) else Relation(text=text)

    signs = [token for _, token in find_top(text, _RELATIONS)]
    if not signs:
        return None
    sides = split_top(text, _RELATIONS)
    if not all(sides):
        return Relation(text=text)
    if set(signs) <= {"=", r"\approx"}:
        return _equality(text, signs, sides, depth)
    if set(signs) <= _ORDERS:
        return _inequality(text, signs, sides, depth)
    return Relation(text=text)


def _equality(text: str, signs: list[str], sides: list[str], depth: int) -> Node:
    # What follows a sign of approximation is a rounding of the answer, unless nothing but a name stands before it.
    if r"\approx" in signs:
        cut = signs.index(r"\approx") + 1
        if cut > 1 or not _NAME.fullmatch(sides[0]):
            sides = sides[:cut]
    if len(sides) == 1:
        return _read(sides[0], depth + 1)
    if len(sides) == 2 and _NAME.fullmatch(sides[1]) and not _NAME.fullmatch(sides[0]):
        sides.reverse()
    named = _NAME.fullmatch(sides[0]) is not None
    if named or not _NOT_A_NUMBER.search(re.sub(r"\\[A-Za-z]+", "", sides[0])):
        name = "".join(tokens(sides[0])) if named else ""
        return Assignment(text=text, name=name, value=_read(sides[-1], depth + 1))
    return Relation(text=text)


def _inequality(text: str, signs: list[str], sides: list[str], depth: int) -> Node:
    r"""`x < 2`, `2 \ge x`, `1 < x \le 3` as intervals; anything else stays a relation."""
    if all(sign in (">", r"\ge") for sign in signs):
        mirrored = {">": "<", r"\ge": r"\le"}
        signs, sides = [mirrored[sign] for sign in reversed(signs)], sides[::-1]
    if any(sign in (">", r"\ge") for sign in signs):
        return Relation(text=text)
    if len(sides) == 2 and _NAME.fullmatch(sides[0]):
        sides, signs = [r"-\infty", *sides], ["<", *signs]
    elif len(sides) == 2 and _NAME.fullmatch(sides[1]):
        sides, signs = [*sides, r"\infty"], [*signs, "<"]
    if len(sides) != 3 or not _NAME.fullmatch(sides[1]):
        return Relation(text=text)
    opening, closing = "(" if signs[0] == "<" else "[", ")" if signs[1] == "<" else "]"
    return Range(name=sides[1], values=_interval(opening, sides[0], sides[2], closing, depth))


def _interval(opening: str, low: str, high: str, closing: str, depth: int) -> Group:
    ends = (_read(low, depth + 1), _read(high, depth + 1))
    return Group(kind="tuple", brackets=opening + closing, parts=ends)


def _leaf(text: str) -> Leaf:
    bare, unit = split_unit(text)
    percent = _PERCENT.search(text) is not None
    bare = _PERCENT.sub("", bare).removeprefix("+").strip()
    return Leaf(text=bare, number=read_number(bare), percent=percent, unit=unit)
