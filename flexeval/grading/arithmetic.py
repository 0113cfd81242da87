r"""Read an expression in numbers: its exact value as a fraction.

A parser of its own, so that no text of a model is ever evaluated as code. `read_expression` knows whole numbers,
`+ - * /` and parentheses, and says which numbers were used. `exact_value` also knows decimals, powers, roots,
factorials and binomial coefficients, as long as the value is rational and of bounded size. A short text can name a
number that is expensive to compute; it has no value here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from flexeval.grading.latex import clean

MAX_LENGTH = 150
"""Characters of an expression in whole numbers; longer texts are not read."""
MAX_EXACT_LENGTH = 500
"""Characters of any other expression."""
MAX_BITS = 32_768
"""Of numerator and denominator of every value on the way."""
MAX_FACTORIAL = 3000
MAX_ROOT = 64
MAX_DEPTH = 30
"""Brackets within brackets."""

_BASIC = re.compile(r"\s*(\d+|[-+*/(){}\[\]])", re.ASCII)
_EXACT = re.compile(
    r"\s*(\d+\.?\d*|\.\d+|\\(?:frac|sqrt|binom|times|cdot|div)(?![A-Za-z])|[-+*/^!(){}\[\]|])", re.ASCII
)
_OPERATORS = {r"\times": "*", r"\cdot": "*", r"\div": "/"}
_LETTER_FOR_TIMES = re.compile(r"(?<=[\d)}\]])(?<!\b0) ?[xX] ?(?=[\d({\[])")
_FRACTION = re.compile(r"\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_THOUSANDS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])", re.ASCII)
_CLOSING = {"(": ")", "{": "}", "[": "]", "|": "|"}


@dataclass(frozen=True, kw_only=True)
class Expression:
    """What an arithmetic expression says."""

    value: Fraction
    numbers: tuple[int, ...]
    """Every number that is written in it, from left to right."""


def read_expression(text: str) -> Expression | None:
    r"""The expression that a text is, or None when it is not one, or divides by zero.

    Whole numbers, `+ - * /`, brackets of every kind, an `x` between numbers, and LaTeX's `\times`, `\cdot`, `\div` and
    `\frac`; nothing else, and no product without its sign.
    """
    if len(text) > MAX_LENGTH:
        return None
    text = clean(text)
    for command, sign in _OPERATORS.items():
        text = text.replace(command, sign)
    while _FRACTION.search(text):
        text = _FRACTION.sub(r"((\1)/(\2))", text)
    text = _LETTER_FOR_TIMES.sub("*", text)
    tokens = _tokens(text, _BASIC)
    value = _value(tokens, brackets="({[")
    if value is None:
        return None
    return Expression(value=value, numbers=tuple(int(token) for token in tokens if token.isdigit()))


def exact_value(text: str) -> Fraction | None:
    r"""The rational value of an expression in numbers: `\frac{1}{2^{98}}`, `5!`, `\sqrt{16}`, `3(2+1)`.

    Args:
        text: in the spelling of `latex.clean`.

    Returns:
        None where the text is no such expression, its value is irrational or undefined, or it is beyond the limits.
    """
    if len(text) > MAX_EXACT_LENGTH or re.search(r"\d\s+\(", text):
        return None
    text = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    tokens = [_OPERATORS.get(token, token) for token in _tokens(text, _EXACT)]
    return _value(_with_products(tokens))


def _tokens(text: str, pattern: re.Pattern[str]) -> list[str]:
    """The tokens of a text; an empty list if a part of it is not a token."""
    tokens, position = [], 0
    while match := pattern.match(text, position):
        tokens.append(match[1])
        position = match.end()
    return tokens if position == len(text) else []


def _with_products(tokens: list[str]) -> list[str]:
    r"""With the sign of every product that leaves it out; `2\frac{1}{2}` is not one but a sum, and stays."""
    written: list[str] = []
    for token in tokens:
        before = written[-1] if written else ""
        number = before[-1:].isdigit() or before.endswith(".")
        opens = token in ("(", r"\sqrt", r"\binom") or (token == r"\frac" and not number)
        if opens and (number or before in (")", "}", "!")):
            written.append("*")
        written.append(token)
    return written


def _value(tokens: list[str], brackets: str = "({") -> Fraction | None:
    """The value of some tokens, of which these open a bracket around a part."""
    try:
        return _Parser(tokens, brackets).parse()
    except (_NotAnExpression, ZeroDivisionError):
        return None


class _NotAnExpression(Exception):
    pass


class _Parser:
    """Recursive descent; each method reads one level of the grammar from the front of the tokens."""

    def __init__(self, tokens: list[str], brackets: str) -> None:
        self._tokens = tokens
        self._brackets = brackets
        self._position = 0
        self._depth = 0

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
            _check_size(value)
        return value

    def _product(self) -> Fraction:
        value = self._signed()
        while self._next in ("*", "/"):
            value = value * self._signed() if self._take() == "*" else value / self._signed()
            _check_size(value)
        return value

    def _signed(self) -> Fraction:
        sign = 1
        while self._next == "-":
            self._take()
            sign = -sign
        return sign * self._power()

    def _power(self) -> Fraction:
        base = self._factorial()
        if self._next != "^":
            return base
        self._take()
        sign = 1
        if self._next in ("+", "-"):
            sign = -1 if self._take() == "-" else 1
        return _to_the(base, sign * self._atom())

    def _factorial(self) -> Fraction:
        value = self._atom()
        if self._next == "!":
            self._take()
            if value.denominator != 1 or not 0 <= value <= MAX_FACTORIAL or self._next == "!":
                raise _NotAnExpression
            value = Fraction(math.factorial(int(value)))
        return value

    def _atom(self) -> Fraction:
        token = self._take()
        if token[-1:].isdigit() or token.endswith("."):
            return Fraction(token.removesuffix("."))
        if token in self._brackets:
            return self._rest_of_group(token)
        if token == "|":
            return abs(self._rest_of_group(token))
        if token == r"\frac":
            return self._group("{") / self._group("{")
        if token == r"\binom":
            return _choose(self._group("{"), self._group("{"))
        if token == r"\sqrt":
            index = self._group("[") if self._next == "[" else Fraction(2)
            return _root(self._group("{"), index)
        raise _NotAnExpression

    def _group(self, opening: str) -> Fraction:
        if self._take() != opening:
            raise _NotAnExpression
        return self._rest_of_group(opening)

    def _rest_of_group(self, opening: str) -> Fraction:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _NotAnExpression
        value = self._sum()
        if self._take() != _CLOSING[opening]:
            raise _NotAnExpression
        self._depth -= 1
        return value


def _check_size(value: Fraction) -> None:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise _NotAnExpression


def _to_the(base: Fraction, exponent: Fraction) -> Fraction:
    if base == exponent == 0:
        raise _NotAnExpression
    if exponent.denominator != 1:
        # A negative number to the power of a fraction is complex, which its author does not mean.
        if base < 0:
            raise _NotAnExpression
        base, exponent = _root(base, Fraction(exponent.denominator)), Fraction(exponent.numerator)
    if base in (0, 1, -1):
        # However large the exponent, only its sign and parity count.
        return base ** (2 - int(exponent) % 2 if exponent >= 0 else -2 + int(exponent) % 2)
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits * abs(exponent) > MAX_BITS:
        raise _NotAnExpression
    return base ** int(exponent)


def _root(value: Fraction, index: Fraction) -> Fraction:
    """The real root where it is rational; of a negative number to an odd index only."""
    if index.denominator != 1 or not 1 <= index <= MAX_ROOT or (value < 0 and index % 2 == 0):
        raise _NotAnExpression
    root = Fraction(_whole_root(abs(value.numerator), int(index)), _whole_root(value.denominator, int(index)))
    if root**index != abs(value):
        raise _NotAnExpression
    return root if value >= 0 else -root


def _whole_root(value: int, index: int) -> int:
    """The largest whole number whose power does not exceed the value, by Newton's method from above."""
    root = 1 << -(-value.bit_length() // index)
    while (lower := ((index - 1) * root + value // root ** (index - 1)) // index) < root:
        root = lower
    return root


def _choose(n: Fraction, k: Fraction) -> Fraction:
    if n.denominator != 1 or k.denominator != 1 or not 0 <= k <= n <= MAX_FACTORIAL:
        raise _NotAnExpression
    return Fraction(math.comb(int(n), int(k)))
