"""Soundness by rule: chains whose verdict is known by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexeval.grading.equations import find_equations
from flexeval.grading.soundness import fault_in_chain, fault_in_steps


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("6 * 5 = 30", ["6 * 5 = 30"]),
        ("Then 30-6=24.", ["30 - 6 = 24"]),
        ("So 5 + 3 = 8. 8 - 2 = 6. Done", ["5 + 3 = 8", "8 - 2 = 6"]),
        ("5 + 3 = 8 and 8 + 2 = 10", ["5 + 3 = 8", "8 + 2 = 10"]),
        ("5 + 3 = 8 8 + 2 = 10", ["5 + 3 = 8", "8 + 2 = 10"]),
        ("(7 - 2) * 3 = 15", ["( 7 - 2 ) * 3 = 15"]),
        ("as above (5 + 3 = 8)", ["5 + 3 = 8"]),
        (r"\(5 \times 3 = 15\)", ["5 * 3 = 15"]),
        (r"\boxed{5 × 3 = 15}", ["5 * 3 = 15"]),
        ("$5 + $3 = $8", ["5 + 3 = 8"]),
        ("6 / 4 = 1.5", ["6 / 4 = 1.5"]),
        ("1) 5 + 3 = 8", ["5 + 3 = 8"]),
        ("so x = 5 + 3 = 8", ["5 + 3 = 8"]),
        ("5 + 3 = ?", []),
        ("5 + 3 is 8", []),
        ("7 * 2 != 15", []),
        ("the total = 9", []),
        ("Rows: 1 2 3 4 / 3 4 1 2", []),
        ("", []),
        # Markdown, lists and labels of steps.
        ("- 5 + 3 = 8\n* 8 - 2 = 6", ["5 + 3 = 8", "8 - 2 = 6"]),
        ("**3 * 4 = 12**", ["3 * 4 = 12"]),
        ("**Step 1:** 5 * 3 = **15**", ["5 * 3 = 15"]),
        ("*3*4 = 12*", ["3 * 4 = 12"]),
        ("Step 1 - 3 * 4 = 12", ["3 * 4 = 12"]),
        ("1) (7 - 2) * 3 = 15", ["( 7 - 2 ) * 3 = 15"]),
        ("5 + 3 = 8 -> 8 - 2 = 6 => 6 - 1 = 5", ["5 + 3 = 8", "8 - 2 = 6", "6 - 1 = 5"]),
        # Other spellings of numbers and signs.
        (r"\frac{12}{3} + 2 = 6", ["( ( 12 ) / ( 3 ) ) + 2 = 6"]),
        ("3(2+1) = 9", ["3 ( 2 + 1 ) = 9"]),
        ("5 + 3 == 8", ["5 + 3 = 8"]),
        ("1,000 + 200 = 1,200, so", ["1,000 + 200 = 1,200"]),
        ("5 + 3 = 8 (8 - 2 = 6)", ["5 + 3 = 8", "8 - 2 = 6"]),
        ("5 x 3 = 15. 7 X 2 = 14. 7 • 2 = 14. 7 ∙ 2 = 14", ["5 * 3 = 15", "7 * 2 = 14", "7 * 2 = 14", "7 * 2 = 14"]),
        (r"5\,\times\,3=15 and 5 + 3 === 8", ["5 * 3 = 15", "5 + 3 = 8"]),
        ("7 – 2 = 5, 7 — 2 = 5, so –5 + 6 = 1", ["7 - 2 = 5", "7 - 2 = 5", "-5 + 6 = 1"]),
        # A dash that is no minus.
        ("7*3 = 21 - too big. 7*3 = 21—too big — 7-2 = 5", ["7 * 3 = 21", "7 * 3 = 21", "7 - 2 = 5"]),
        # Blanks, line breaks and marks within an equation, and line breaks between two.
        ("4 + 2 =\n7. ", ["4 + 2 = 7"]),
        ("4 + 2\n= 7\n8 - 1 = 7", ["4 + 2 = 7", "8 - 1 = 7"]),
        ("4 +\t2\u00a0=\r\n7. ", ["4 + 2 = 7"]),
        ("4 + 2 = `7`, | 4 + 2 = <b>7</b> |, 4 + 2 = __7__", ["4 + 2 = 7"] * 3),
        (r"4 + 2 = \boxed{7}. 4 + 2 &= 7 \\ 4 * 3 &= 15 \end{align}", ["4 + 2 = 7", "4 + 2 = 7", "4 * 3 = 15"]),
        ("4 + 2 = {7} ✓ → 7 - 1 = 6 ❌", ["4 + 2 = ( 7 )", "7 - 1 = 6"]),
        ("5 + 3 = 8\n-1 + 9 = 8\n---\n(9 - 1) / 2 = 4", ["5 + 3 = 8", "-1 + 9 = 8", "( 9 - 1 ) / 2 = 4"]),
        # A side with something that is no number in it.
        ("x + 2 = 8 and 2 + y - 3 = 8", []),
        ("5 + 3 = 10 - x and 5 + 3 = 2x + 4", []),
        ("5 apples + 3 = 8 apples", []),
        ("2^3 + 1 = 9 and 9 = 2^3, 2 ** 3 = 8, 7 // 2 = 3, 3! + 2 = 8", []),
        (r"\sqrt{16} + 2 = 6 and 2\frac{1}{2} + 1 = 3.5", []),
        ("5 times 3 + 1 = 16, half of 8 = 4, half 10 = 5, twice 4 = 8, double 10 = 20, square root of 9 = 3", []),
        ("1/2 of 10 = 5, 3/4 of 12 = 9, 10% of 50 = 5, 7 % 2 = 1, 50 = 5 tens, ratio 3:2 = 1.5", []),
        ("7 / 3 = 2 1/3 and 5 + 2 1/3 = 7 1/3, 5 + 3 = 10 - two", []),
        ("sum: 3 & 4 = 7, the product of 3, 4 = 12, 7 ± 2 = 9 and 7 @ 2 = 9", []),
        ("9 red apples + 4 = 13 red apples. 9 toy cars - 3 = 6 toy cars. 5 apples – 3 = 2 apples", []),
        (r"\binom{5}{2} = 10, \frac{a}{2} = 3, 2^{3 + 1} = 16, 5 \text{ apples} + 3 = 8 \text{ apples}", []),
        ("f(2) + 3 = 8, (a, 4) = 4, 2 (3 + 1) = 8", []),
        ("3,5 + 1 = 4,5", []),
        ("5 + 3 = 8 apples, too many", ["5 + 3 = 8"]),
    ],
)
def test_equations_are_found_in_prose(text: str, found: list[str]) -> None:
    assert [equation.text for equation in find_equations(text)] == found


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("4 * 3 = 12", True),
        ("4 * 3 = 9", False),
        ("4 - 9 = -5", True),
        ("7 / 2 = 3.5", True),
        ("7 / 2 = 3", False),
        ("7 / 0 = 7", False),
        ("5 + 3 = 8 + 2 = 10", False),
        ("5 + 3 = 9 = 8", False),
        ("5 + 3 = 6 + 2 = 8", True),
        ("30 = 6 * 5", True),
        ("6 * = 30", False),
        ("she has + 3 = 8", False),
        ("8 buys 2 = 6", False),
        ("1,000 + 200 = 1,200", True),
    ],
)
def test_an_equation_is_true_when_all_sides_have_one_value(text: str, true: bool) -> None:
    (equation,) = find_equations(text)
    assert equation.true == true


def test_operands_are_the_numbers_that_are_worked_with() -> None:
    (equation,) = find_equations("30 = 6 * 5")
    assert equation.operands == (6, 5)
    (equation,) = find_equations("(7 - 2) * 3 = 15")
    assert (equation.operands, equation.result) == ((7, 2, 3), 15)
    (equation,) = find_equations("9 = 9")
    assert equation.operands == (9,)
    (equation,) = find_equations("-2 + 7 - -1,000 = 1,005")
    assert equation.operands == (-2, 7, -1000)
    (equation,) = find_equations("3 - 5 = -2")
    assert (equation.operands, equation.result) == ((3, 5), -2)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("4 + 3 = 7. 7 - 2 = 5.", None),
        ("3 + 2 = 5. 4 + 5 = 9.", None),
        ("4 + 3 = 7. 3 + 2 = 5. 7 + 5 = 12.", None),
        ("4 + 3 = 8. 8 - 2 = 6.", "4 + 3 = 8 is false"),
        ("4 + 3 = 7. 9 - 2 = 7.", "9 in 9 - 2 = 7 is neither given nor a result"),
        ("7 - 2 = 5. 4 + 3 = 7.", "7 in 7 - 2 = 5 is neither given nor a result"),
        ("9 = 9. 9 - 2 = 7.", "9 in 9 = 9 is neither given nor a result"),
        ("4 + = 7.", "4 + = 7 is false"),
        ("3 - 4 = -1. Then 2 + (-1) = 1.", None),
        ("-3 + 4 = 1.", None),
        ("-1 + 4 = 3.", "-1 in -1 + 4 = 3 is neither given nor a result"),
        ("It is 7.", "no equation"),
    ],
)
def test_steps_are_true_and_start_from_what_is_known(text: str, reason: str | None) -> None:
    assert fault_in_steps(text, [4, 3, 2]) == reason


def test_a_text_without_steps_is_sound_only_where_none_are_needed() -> None:
    assert fault_in_steps("It is 7.", [4, 3], needed=False) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("6 * 5 = 30. 30 - 6 = 24. 24 + 5 = 29.", None),
        ("6 * 5 = 30. 5 + 30 = 35. 35 - 6 = 29.", None),
        ("6 * 5 = 30. 6 + 5 = 11. 30 + 11 = 41.", "6 + 5 = 11 does not go on from 30"),
        ("6 * 5 = 30. 30 - 5 = 25. 25 + 5 = 30.", "5 in 25 + 5 = 30 is not left to use"),
        ("6 * 5 = 30. 30 - 6 = 24.", "5 is not used"),
        ("6 * 5 = 30. 30 - 7 = 23.", "7 in 30 - 7 = 23 is not left to use"),
        ("6 * 5 = 36. 36 - 6 = 30. 30 + 5 = 35.", "6 * 5 = 36 is false"),
        ("5 - 6 = -1. 6 + -1 = 5. 5 - 5 = 0.", None),
        ("29", "no equation"),
    ],
)
def test_a_chain_goes_on_from_its_result_and_uses_each_number_once(text: str, reason: str | None) -> None:
    assert fault_in_chain(text, [5, 6, 6, 5]) == reason


def test_an_operand_that_is_the_result_before_counts_as_that() -> None:
    # 2 + 2 = 4 takes both twos; 4 + 4 = 8 takes the result and the given four.
    assert fault_in_chain("2 + 2 = 4. 4 + 4 = 8.", [2, 2, 4]) is None
    assert fault_in_chain("2 + 2 = 4. 4 + 4 = 8. 8 - 4 = 4.", [2, 2, 4]) is not None


@given(
    st.lists(st.sampled_from(["1", "23", "+", "-", "*", "/", "=", "(", ")", ".", ",000", " ", "a", "\n"])).map("".join)
)
@settings(max_examples=200, deadline=None)
def test_any_text_gets_a_verdict(text: str) -> None:
    for equation in find_equations(text):
        assert equation.true <= (equation.result is not None)
    fault_in_steps(text, [1, 23])
    fault_in_chain(text, [1, 23])


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5), st.data())
@settings(max_examples=100, deadline=None)
def test_every_chain_that_is_worked_out_is_sound_and_with_one_wrong_result_is_not(
    numbers: list[int], data: st.DataObject
) -> None:
    total, lines = Fraction(numbers[0]), []
    for number in numbers[1:]:
        sign = data.draw(st.sampled_from("+-*"))
        result = {"+": total + number, "-": total - number, "*": total * number}[sign]
        lines.append((total, sign, number, result))
        total = result
    right = [f"{a} {sign} {b} = {c}." for a, sign, b, c in lines]
    assert fault_in_chain(" ".join(right), numbers) is None
    assert fault_in_steps(" ".join(right), numbers) is None
    place = data.draw(st.integers(0, len(lines) - 1))
    a, sign, b, c = lines[place]
    wrong = [*right[:place], f"{a} {sign} {b} = {c + 1}.", *right[place + 1 :]]
    assert fault_in_chain(" ".join(wrong), numbers) is not None
    assert fault_in_steps(" ".join(wrong), numbers) is not None


@pytest.mark.parametrize("text", ["= ", "-", "1=", "step ", r"\frac{", "a*b ", "(", ") ", "1 - ", "1\n-1"])
def test_long_texts_end_in_time(text):
    """A time that grows with the square of the length would be minutes here."""
    assert len(find_equations(text * 20_000)) <= 1
