r"""Whether two short mathematical answers are the same answer.

Shapes are compared first (`structure`), rational numbers exactly as fractions, words as words. What remains, two
expressions such as `2\sqrt{3}` and `\sqrt{12}`, goes to `symbolic`, which the caller supplies, so that
this module computes nothing that a hostile text could make expensive.

The relation is symmetric. Nothing is rounded and no factor of 100 is forgiven: `0.5` is not `50`, though
`50\%` is either.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from flexeval.grading.latex import CLOSING, OPENING, TOKEN, clean, tokens
from flexeval.grading.quantities import units_agree
from flexeval.grading.shapes import (
    Assignment,
    Based,
    Choice,
    Group,
    Leaf,
    Matrix,
    Node,
    Range,
    Relation,
    System,
    Words,
)
from flexeval.grading.structure import read

Symbolic = Callable[[str, str], bool]
"""Compares two expressions by algebra. May raise to say that it cannot."""

MAX_LENGTH = 2000
"""Characters; a longer answer equals only itself."""
MAX_ALGEBRA = 500
"""Characters; a longer expression equals only itself."""
MAX_NESTING = 20
"""Brackets within brackets; what is nested deeper equals only itself."""
MAX_PARTS = 50
"""Parts of a list or set that are compared piece by piece."""

_DECIMAL = re.compile(r"(?<![\d.])(\d*)\.(\d+)", re.ASCII)
_IMAGINARY = re.compile(r"(?<![A-Za-z\\])i(?![A-Za-z])")
_DEGREES = re.compile(r"(\d+)\s*\^\\circ", re.ASCII)
_THOUSANDS = re.compile(r"(?<![\d,])\d{1,3}(?:,\d{3})+(?![\d,])", re.ASCII)


def equivalent(a: str, b: str, symbolic: Symbolic) -> bool:
    """Whether two answers are the same; each as a model or a benchmark wrote it.

    Args:
        a: one answer.
        b: the other; the order does not matter.
        symbolic: decides what cannot be decided by shape and exact numbers. What it raises passes through.
    """
    if len(a) > MAX_LENGTH or len(b) > MAX_LENGTH:
        return a.strip() == b.strip() != ""
    cleaned_a, cleaned_b = clean(a), clean(b)
    if not cleaned_a or not cleaned_b:
        return False
    return tokens(cleaned_a) == tokens(cleaned_b) or _same(read(cleaned_a), read(cleaned_b), symbolic)


def _same(a: Node, b: Node, symbolic: Symbolic) -> bool:
    for one, other in ((a, b), (b, a)):
        if type(one) is not type(other):
            verdict = _same_mixed(one, other, symbolic)
            if verdict is not None:
                return verdict
    match a, b:
        case Leaf(), Leaf():
            return _same_leaf(a, b, symbolic)
        case Words(), Words():
            return a.text.casefold() == b.text.casefold()
        case Group(), Group():
            return _same_group(a, b, symbolic)
        case Matrix(), Matrix():
            if a.determinant != b.determinant or [len(row) for row in a.rows] != [len(row) for row in b.rows]:
                return False
            return all(_same_in_order(row_a, row_b, symbolic) for row_a, row_b in zip(a.rows, b.rows, strict=True))
        case Assignment(), Assignment():
            if a.name == b.name or not a.name or not b.name:
                return _same(a.value, b.value, symbolic)
            return _by_algebra(a.text, b.text, symbolic)
        case System(), System():
            return a.values.keys() == b.values.keys() and _same_in_order(
                [*a.values.values()], [*b.values.values()], symbolic
            )
        case Choice(), Choice():
            return a.letter == b.letter
        case Range(), Range():
            return a.name == b.name and _same(a.values, b.values, symbolic)
        case Relation(), Relation():
            return tokens(a.text) == tokens(b.text) or _by_algebra(a.text, b.text, symbolic)
        case Based(), Based():
            return a == b
    return False


def _same_mixed(a: Node, b: Node, symbolic: Symbolic) -> bool | None:
    """The verdict where one shape may stand for the other; None where none is reached in this order of the two."""
    match a, b:
        case ((Assignment() | Range()), Relation()):
            return _by_algebra(a.text, b.text, symbolic)
        case System(), Assignment(name=name):
            return name == f"({','.join(a.values)})" and _same_values(a, b.value, symbolic)
        case System(), _:
            return _same_values(a, b, symbolic)
        case Choice(), _:
            if isinstance(b, Leaf) and b.text == a.letter:
                return True
            return a.content is not None and _same(a.content, b, symbolic)
        case Assignment(), _:
            return _same(a.value, b, symbolic)
        case Range(), Group() | Leaf():
            return _same(a.values, b, symbolic)
        case Group(kind="set", parts=(only,)), Leaf():
            return _same(only, b, symbolic)
        case Based(), Leaf():
            return a.digits == (b.text.lstrip("0").lower() or "0")
        case Words(), Leaf():
            return a.text.casefold() == b.text.casefold()
        case Matrix(), Group(kind="tuple", brackets="()"):
            line = _vector(a)
            return line is not None and _same_in_order(line, b.parts, symbolic)
        case Matrix(), Leaf() if r"\begin" in b.text:
            return _by_algebra(a.text, b.text, symbolic)
    return None


def _same_values(a: System, b: Node, symbolic: Symbolic) -> bool:
    """Whether a tuple or list gives the values alone: a tuple in the order of the names, a list in any."""
    values = tuple(a.values.values())
    match b:
        case Group(kind="tuple", brackets="()"):
            return _same_in_order(values, b.parts, symbolic)
        case Group(kind="list"):
            return _same_in_any_order(values, b.parts, symbolic)
    return False


def _same_group(a: Group, b: Group, symbolic: Symbolic) -> bool:
    kinds = {a.kind, b.kind}
    if len(a.parts) > MAX_PARTS or len(b.parts) > MAX_PARTS:
        return False
    if kinds == {"tuple"}:
        return a.brackets == b.brackets and _same_in_order(a.parts, b.parts, symbolic)
    if "set" in kinds and kinds <= {"set", "list"}:
        return _covers(a.parts, b.parts, symbolic) and _covers(b.parts, a.parts, symbolic)
    return len(kinds) == 1 and _same_in_any_order(a.parts, b.parts, symbolic)


def _same_in_order(a: Sequence[Node], b: Sequence[Node], symbolic: Symbolic) -> bool:
    return len(a) == len(b) and all(_same(x, y, symbolic) for x, y in zip(a, b, strict=True))


def _same_in_any_order(a: Sequence[Node], b: Sequence[Node], symbolic: Symbolic) -> bool:
    """Whether the parts can be paired off. The first partner found is kept."""
    if len(a) != len(b):
        return False
    left = list(b)
    for part in a:
        partner = next((i for i, other in enumerate(left) if _same(part, other, symbolic)), None)
        if partner is None:
            return False
        del left[partner]
    return True


def _covers(a: Sequence[Node], b: Sequence[Node], symbolic: Symbolic) -> bool:
    return all(any(_same(part, other, symbolic) for other in a) for part in b)


def _vector(matrix: Matrix) -> tuple[Node, ...] | None:
    """The entries of a matrix that is a single row or column."""
    if len(matrix.rows) == 1:
        return matrix.rows[0]
    if all(len(row) == 1 for row in matrix.rows):
        return tuple(row[0] for row in matrix.rows)
    return None


def _same_leaf(a: Leaf, b: Leaf, symbolic: Symbolic) -> bool:
    if not units_agree(a.unit, b.unit):
        return False
    if tokens(a.text) == tokens(b.text):
        return a.text != ""
    if a.number is not None and b.number is not None:
        return _same_number(a.number, a.percent, b.number, b.percent)
    if not a.text or not b.text or _are_names(a.text, b.text) or _differ_in_case(a.text, b.text):
        return False
    return _by_algebra(a.text, b.text, symbolic)


def _by_algebra(a: str, b: str, symbolic: Symbolic) -> bool:
    return all(_is_modest(text) for text in (a, b)) and symbolic(_exact(a), _exact(b))


def _is_modest(text: str) -> bool:
    if len(text) > MAX_ALGEBRA:
        return False
    depth = deepest = 0
    for token in TOKEN.findall(text):
        depth += (token in OPENING) - (token in CLOSING)
        deepest = max(deepest, depth)
    return deepest <= MAX_NESTING


def _same_number(a: Fraction, a_percent: bool, b: Fraction, b_percent: bool) -> bool:
    """A percentage equals its value, and also its bare number, as where a question asks for a percentage."""
    if a_percent == b_percent:
        return a == b
    percentage, other = (a, b) if a_percent else (b, a)
    return other in (percentage, percentage / 100)


def _are_names(a: str, b: str) -> bool:
    """Two single letters (choices, variables): different texts are different answers."""
    return len(a) == len(b) == 1 and (a + b).isalpha()


def _differ_in_case(a: str, b: str) -> bool:
    """Whether one answer writes a variable in capitals that the other writes small: `R` is not `r`."""
    letters_a, letters_b = _letters(a), _letters(b)
    return any(letter.swapcase() in letters_b - letters_a for letter in letters_a - letters_b)


def _letters(text: str) -> set[str]:
    return {token for token in TOKEN.findall(text) if len(token) == 1 and token.isalpha()}


def _exact(text: str) -> str:
    """The expression as algebra reads it: decimals as fractions, radians, no separators of thousands, `I` for i."""
    text = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    text = _DECIMAL.sub(lambda match: f"\\frac{{{match[1]}{match[2]}}}{{1{'0' * len(match[2])}}}", text)
    text = _DEGREES.sub(r"{\\frac{\1\\pi}{180}}", text)
    # In braces, since the parser would drop its exponent.
    return _IMAGINARY.sub("{I}", text)
