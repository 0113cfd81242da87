"""Numbers are read exactly, or not at all."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexeval.grading.numerals import read_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18", 18), ("1,234,567.5", Fraction(2469135, 2)), ("1 234", 1234), (".5", Fraction(1, 2)), ("7.", 7),
        ("-3/4", Fraction(-3, 4)), (r"-\frac{3}{4}", Fraction(-3, 4)), (r"\frac{31.95}{2}", Fraction(639, 40)),
        ("1 1/2", Fraction(3, 2)), (r"-1\frac{1}{2}", Fraction(-3, 2)), ("- 5", -5), ("+5", 5),
        (r"6.02 \times 10^{23}", 602 * 10**21), ("1e-3", Fraction(1, 1000)), (r"5 \cdot 10^2", 500),
    ],
)  # fmt: skip
def test_numbers(text: str, value: Fraction | int) -> None:
    assert read_number(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "x", "1,23", "1,2345", "2 3", "1-1/2", "10-8", "2^3", "5/0", r"\frac{1}{0}", "1e999999999", "1e-1001", "--5",
     "0x10", "١٢", "²", "9" * 1001, "1.2.3", "nan", "inf", "1_000", "5!"],
)  # fmt: skip
def test_what_is_not_a_number(text: str) -> None:
    assert read_number(text) is None


@given(st.fractions())
def test_every_fraction_is_read_back(value: Fraction) -> None:
    assert read_number(str(value)) == value
    sign = "-" if value < 0 else ""
    assert read_number(f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}") == value
    whole, rest = divmod(abs(value), 1)
    assert read_number(f"{sign}{whole}\\frac{{{rest.numerator}}}{{{rest.denominator}}}") == value


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9))
def test_every_decimal_is_read_back(value: object) -> None:
    assert read_number(f"{value}") == read_number(f"{value:,}") == Fraction(str(value))
