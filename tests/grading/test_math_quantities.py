"""The number that a short answer states: its value counts, and what has none states none."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexeval.grading.mathematics import grade_number
from flexeval.grading.quantities import MULTIPLIERS, number_in

STATED = [
    (r"\$18", 18), ("$1,200.50 dollars", Fraction(2401, 2)), ("-$5", -5), ("18€", 18), (r"\pounds 18", 18),
    (r"18\%", 18), ("50 percent", 50), ("x = 5", 5), ("18 = x", 18), ("16 - 3 - 4 = 9", 9), (r"\text{Total} = 18", 18),
    ("3 days = 72 hours", 72),
    ("5 changes/day", 5), ("$18/hour", 18), ("2:00 pm", 2), ("3rd", 3), ("Day 5", 5), ("5 a day", 5),
    (r"\frac{2}{3} \text{ dollars}", Fraction(2, 3)), ("1 1/2 cups", Fraction(3, 2)),
    (r"-\frac{2}{3} cups", Fraction(-2, 3)),
    (r"2\frac{1}{2} \text{ hours}", Fraction(5, 2)), ("2 and a half hours", Fraction(5, 2)),
    (r"360\text{ hours} hours.", 360), (r"70\text{ minutes>", 70), ("Box C is 2 dollars more", 2), ("7 dozen", 7),
    (r"60 \text{ ft}^2", 60), ("9 m^2", 9), ("5 cm^3", 5), (r"9 \text{ m}^{2}", 9), ("9.8 m/s^2", Fraction(49, 5)),
    (r"120 \text{ square feet}", 120), ("5 m", 5), ("5kg", 5), ("60mph", 60), (r"90^\circ", 90),
    (r"18^{\circ}C", 18), (r"20\text{k}", 20_000),
    (r"\sqrt{16}", 4), (r"\sqrt{16} cm", 4), ("5!", 120), ("10^2", 100), (r"2^5 \text{ apples}", 32),
    (r"3 \times 5", 15),
    ("12-5", 7), ("(18)", 18), ("|-5|", 5), ("1e3", 1000), ("**18**", 18), ("４２", 42),
    ("−5", -5), (r"\approx 20", 20),
    ("1 million", 10**6), ("2.5k", 2500), (r"\$2.5 \text{ million}", 2_500_000), ("$2.5M", 2_500_000),
    ("2 thousand", 2000),
]  # fmt: skip
NOT_STATED = [
    "", "none", "86, 42", "5 apples and 3 pears", "2:30", "1/0", "9" * 5000, "x_1", "x^2", "2x", "5y", "5 x", "5x+3",
    r"5\pi", r"5\sqrt{2}", "x > 20", r"\ge 20", "20 < x", "20+", "at least 5", "more than 5", "5 or more",
    r"5\text{ or more}", r"20 \pm 1",
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), STATED)
def test_the_one_number_of_a_short_answer(text: str, value: Fraction | int) -> None:
    assert number_in(text) == value


@pytest.mark.parametrize("text", NOT_STATED)
def test_no_number_or_several(text: str) -> None:
    assert number_in(text) is None


@pytest.mark.parametrize(
    ("answer", "target"),
    [(r"\sqrt{16}", "16"), ("5!", "5"), ("1 million", "1"), ("2.5k", "2.5"), ("x^2", "2"), ("x > 20", "20")],
)
def test_a_number_inside_an_answer_is_not_the_answer(answer: str, target: str) -> None:
    assert not grade_number(rf"\boxed{{{answer}}}", target).correct


@given(st.fractions(), st.sampled_from(["", " dollars", r" \text{ cm}^2", r"\%", " m^2", " people in all"]))
def test_what_is_counted_changes_no_number(value: Fraction, unit: str) -> None:
    assert number_in(f"{value}{unit}") == value


@given(st.integers(-(10**6), 10**6), st.sampled_from(sorted(MULTIPLIERS)))
def test_a_word_for_a_power_of_ten_multiplies(value: int, word: str) -> None:
    assert number_in(f"{value} {word} dollars") == value * MULTIPLIERS[word]
