"""The arithmetic parser equals Python's own arithmetic on everything that it reads, and reads nothing else."""

from __future__ import annotations

import ast
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexeval.grading.arithmetic import MAX_LENGTH, exact_value, read_expression
from flexeval.grading.latex import clean

expressions = st.recursive(
    st.integers(0, 99).map(str),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(" ".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"-({text})"),
    ),
    max_leaves=8,
).filter(lambda text: len(text) <= MAX_LENGTH)


def by_python(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int(value)):
            return Fraction(value)
        case ast.UnaryOp(op=ast.USub()):
            return -by_python(node.operand)
        case ast.BinOp(op=ast.Add()):
            return by_python(node.left) + by_python(node.right)
        case ast.BinOp(op=ast.Sub()):
            return by_python(node.left) - by_python(node.right)
        case ast.BinOp(op=ast.Mult()):
            return by_python(node.left) * by_python(node.right)
        case ast.BinOp(op=ast.Div()):
            return by_python(node.left) / by_python(node.right)
    raise AssertionError(ast.dump(node))


@given(expressions)
def test_values_and_numbers_are_python_s(text: str) -> None:
    tree = ast.parse(text, mode="eval").body
    read = read_expression(text)
    try:
        value = by_python(tree)
    except ZeroDivisionError:
        assert read is None
        return
    assert read is not None
    assert read.value == value
    assert sorted(read.numbers) == sorted(node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))


def test_latex_spellings() -> None:
    for text in (r"(7 - 2) \times 3", r"\left(7-2\right)\cdot 3", "(7 − 2) × 3", r"\frac{7-2}{1} * 3", r"$(7-2)*3$.",
                 "(7 - 2)∗3", "(7-2) x 3", "[7-2]*3", r"{7-2} \cdot {3}", "3X[7 - (2)]"):  # fmt: skip
        read = read_expression(text)
        assert read is not None
        assert read.value == 15
    assert read_expression(r"6 \div 4") == read_expression("6/4") == read_expression("6 ÷ 4") == read_expression("6∕4")


@pytest.mark.parametrize(
    "text",
    ["", "x", "7 2", "(7 - 2", "7 - 2)", "7 +", "* 7", "2 ** 3", "2^3", "7 // 2", "7(2)", "1/0", "1/(2-2)",
     "1_0", "٣ + 4",
     "abs(3)", "3.5", "[7 - 2)", "7 x", "7 xx 2", "0x10", "7 - 2] x [3",
     "(" * 149, "-" * 149, "9" * 151, "__import__('os')", "7; 2", "7 = 7"],
)  # fmt: skip
def test_what_is_not_an_expression(text: str) -> None:
    assert read_expression(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"\frac{1}{2^{98}}", Fraction(1, 2**98)), (r"\frac{1}{19!}", Fraction(1, math.factorial(19))),
        (r"\frac{2^{100}+1}{3\cdot 2^{101}}", Fraction(2**100 + 1, 3 * 2**101)), ("5!", 120), (r"\binom52", 10),
        ("3(2+1)", 9), ("(1+2)(3+4)", 21), ("-2^2", -4), ("(-2)^3", -8), ("2^{-3}", Fraction(1, 8)),
        ("2^-3", Fraction(1, 8)), (r"(\frac12)^{3}", Fraction(1, 8)), (r"\sqrt{16}", 4), (r"\sqrt4\sqrt9", 6),
        (r"\sqrt[3]{-8}", -2), (r"\sqrt{\frac{9}{4}}", Fraction(3, 2)), ("8^{2/3}", 4), ("|-5|", 5), ("1,234+1", 1235),
        (".5*4", 2), ("(-1)^{1000000001}", -1), ("1^{99999999999}", 1), ("0^{5}", 0),
    ],
)  # fmt: skip
def test_exact_values(text: str, value: Fraction | int) -> None:
    assert exact_value(clean(text)) == value


@pytest.mark.parametrize(
    "text",
    ["", "x", "7 2", r"\sqrt{2}", r"\sqrt{-4}", "(-8)^{1/3}", "0^0", "1/0", "0^{-1}", "5!!", "(-3)!", "2.5!", "12 (3)",
     "2(", "3+", r"2\frac{1}{2}", r"\binom{2}{5}", "10^{10^{10}}", "99999!", "((9!)!)!", "(" * 40 + "1" + ")" * 40,
     "9" * 501, "((((9^9)^9)^9)^9)^9", r"\sqrt[1000]{2}", "__import__('os')", "٣"],
)  # fmt: skip
def test_what_has_no_exact_value(text: str) -> None:
    assert exact_value(clean(text)) is None


@given(st.fractions(max_denominator=99).filter(bool), st.integers(-30, 30), st.integers(1, 6))
def test_a_root_undoes_a_power(base: Fraction, power: int, index: int) -> None:
    assert exact_value(f"({base})^{{{power}}}") == base**power
    assert exact_value(f"\\sqrt[{index}]{{({abs(base)})^{{{index}}}}}") == abs(base)


@given(expressions)
def test_the_larger_grammar_agrees_with_the_smaller(text: str) -> None:
    read = read_expression(text)
    assert exact_value(text) == (read.value if read else None)


def test_differences_and_quotients_go_from_left_to_right():
    for text, value in (("10 - 2 - 3", 5), ("10 - 2 + 3", 11), ("24 / 4 / 2", 3), ("24 / 4 * 2", 12)):
        assert exact_value(text) == read_expression(text).value == value
