"""The arithmetic parser equals Python's own arithmetic on everything that it reads, and reads nothing else."""

from __future__ import annotations

import ast
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexeval.grading.arithmetic import MAX_LENGTH, read_expression

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
    for text in (r"(7 - 2) \times 3", r"\left(7-2\right)\cdot 3", "(7 − 2) × 3", r"\frac{7-2}{1} * 3", r"$(7-2)*3$."):
        read = read_expression(text)
        assert read is not None
        assert read.value == 15
    assert read_expression(r"6 \div 4") == read_expression("6/4") == read_expression("6 ÷ 4")


@pytest.mark.parametrize(
    "text",
    ["", "x", "7 2", "(7 - 2", "7 - 2)", "7 +", "* 7", "2 ** 3", "2^3", "7 // 2", "7(2)", "1/0", "1/(2-2)",
     "1_0", "٣ + 4",
     "abs(3)", "3.5", "(" * 149, "-" * 149, "9" * 151, "__import__('os')", "7; 2", "7 = 7"],
)  # fmt: skip
def test_what_is_not_an_expression(text: str) -> None:
    assert read_expression(text) is None
