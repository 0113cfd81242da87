"""What may stand on the left of an equality as the name of its value."""

from __future__ import annotations

import pytest

from flexeval.grading.latex import clean
from flexeval.grading.names import is_name, names_of_tuple, normal_name

NAMES = [
    "x", "x_1", "x_{10}", "x'", r"\theta", r"\alpha_1", "AB", "A'B'", "Area", r"\text{Area}", r"\vec{v}", r"\mathbf v",
    r"\overline{AB}", r"\overrightarrow{AB}", "f(x)", "f^{-1}(x)", "f(-1)", "g(x, y)", r"(f \circ g)(2)", "P(X=2)",
    r"\sin A", r"\cos\theta", r"\tan \angle ABC", r"\gcd(12, 18)", r"\det A", r"\angle ABC", r"m\angle A", r"\angle 1",
    "[ABC]", "|AB|", r"|\vec{v}|", r"\|\mathbf{v}\|", "|z|", r"|A \cup B|", r"\frac{AB}{CD}", r"\frac{dy}{dx}", "a/b",
    "AB:CD", r"\mathbf{a}\cdot\mathbf{b}", r"PA \cdot PB", "(x, y)", "(a,b,c)", r"\text{proj}_{\mathbf{b}} \mathbf{a}",
]  # fmt: skip
NO_NAMES = [
    "", "2", "-x", "2x", "x + 2", "a + b", "x^2", "x(x+1)", "p(p+1)", "|x|", "|x - 2|", r"\frac{x}{2}", "x/2", "2:3",
    r"\sqrt{x}", "(x+1, y)", "(x)", "xy + 1", r"x \cdot y", r"\pi", r"\log x", "5 = x",
]  # fmt: skip


@pytest.mark.parametrize("text", NAMES)
def test_names(text: str) -> None:
    assert is_name(clean(text))


@pytest.mark.parametrize("text", NO_NAMES)
def test_expressions_are_no_names(text: str) -> None:
    assert not is_name(clean(text))


def test_spellings_of_one_name() -> None:
    for spellings in (
        [r"m\angle ABC", r"\angle ABC", r"\measuredangle ABC"],
        ["AB", "|AB|", r"\overrightarrow{AB}"],
        ["x_{1}", "x_1"],
        [r"\text{proj}_{\mathbf b}\mathbf a", r"\operatorname{proj}_\mathbf{b} \mathbf{a}"],
    ):
        assert len({normal_name(clean(text)) for text in spellings}) == 1
    assert normal_name("x_1") != normal_name("x_2")


def test_names_of_coordinates() -> None:
    assert names_of_tuple(clean(r"(x, y_{1})")) == ("x", "y_1")
    assert names_of_tuple("(x)") == names_of_tuple("x, y") == names_of_tuple("(2, x)") == ()
