r"""Read an expression in whole numbers, `+ - * /` and parentheses: its exact value and the numbers it uses.

A parser of its own, so that no text of a model is ever evaluated as code. LaTeX's `\times`, `\cdot`, `\div`
and `\frac{}{}` are understood. No powers: a short text cannot name a number that is expensive to compute.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from flexeval.grading.latex import clean

MAX_LENGTH = 150
"""Characters; longer texts are not read."""

_TOKEN = re.compile(r"\s*(\d+|[-+*/()])", re.ASCII)
_FRACTION = re.compile(r"\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")


@dataclass(frozen=True, kw_only=True)
class Expression:
    """What an arithmetic expression says."""

    value: Fraction
    numbers: tuple[int, ...]
    """Every number that is written in it, from left to right."""


def read_expression(text: str) -> Expression | None:
    """The expression that a text is, or None when it is not one, or divides by zero."""
    if len(text) > MAX_LENGTH:
        return None
    text = clean(text)
    for command, sign in ((r"\times", "*"), (r"\cdot", "*"), (r"\div", "/")):
        text = text.replace(command, sign)
    while _FRACTION.search(text):
        text = _FRACTION.sub(r"((\1)/(\2))", text)
    tokens, position = [], 0
    while match := _TOKEN.match(text, position):
        tokens.append(match[1])
        position = match.end()
    if position != len(text) or not tokens:
        return None
    try:
        value = _Parser(tokens).parse()
    except (_NotAnExpression, ZeroDivisionError):
        return None
    return Expression(value=value, numbers=tuple(int(token) for token in tokens if token.isdigit()))


class _NotAnExpression(Exception):
    pass


class _Parser:
    """Recursive descent; each method reads one level of the grammar from the front of the tokens."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._position = 0

    def parse(self) -> Fraction:
        value = self._sum()
        if self._next is not None:
            raise _NotAnExpression
        return value

    @property
    def _next(self) -> str | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _take(self) -> str:
        if self._next is None:
            raise _NotAnExpression
        self._position += 1
        return self._tokens[self._position - 1]

    def _sum(self) -> Fraction:
        value = self._product()
        while self._next in ("+", "-"):
            value = value + self._product() if self._take() == "+" else value - self._product()
        return value

    def _product(self) -> Fraction:
        value = self._factor()
        while self._next in ("*", "/"):
            value = value * self._factor() if self._take() == "*" else value / self._factor()
        return value

    def _factor(self) -> Fraction:
        token = self._take()
        if token.isdigit():
            return Fraction(int(token))
        if token == "-":
            return -self._factor()
        if token != "(":
            raise _NotAnExpression
        value = self._sum()
        if self._take() != ")":
            raise _NotAnExpression
        return value
