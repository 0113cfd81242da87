"""When two mathematical answers are the same: a table of truths, and the laws that hold for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexeval.grading.mathematics import same_answer
from flexeval.grading.workers import MathWorkers

SAME = [
    # (one answer, another, why they are the same)
    ("18", "18.00", "zeros after the point change nothing"),
    ("7.", "7", "a final point ends a sentence"),
    (".35625", "0.35625", "a zero before the point changes nothing"),
    (r"\frac{1}{2}", "0.5", "a terminating decimal is a fraction"),
    (r"\frac{1}{2}", "1/2", "two ways to write a fraction"),
    (r"\dfrac{17}{50}", r"\frac{34}{100}", "a fraction need not be reduced"),
    (r"\frac43", r"\frac{4}{3}", "TeX takes one character where braces are missing"),
    (r"\frac 59", r"\tfrac{5}{9}", "a blank before the argument changes nothing"),
    (r"\frac9{19}", "9/19", "one argument with braces, one without"),
    (r"-\frac{24}{25}", r"\frac{-24}{25}", "the sign may stand in the numerator"),
    (r"2{1\over 4}", r"\frac94", "TeX's own fraction, in a mixed number"),
    (r"1\frac{4}{5}", r"\frac{9}{5}", "a mixed number is a sum"),
    (r"137 \frac{1}{2}", "137.5", "a mixed number as a decimal"),
    ("1 1/2", r"\frac{3}{2}", "a mixed number in plain text"),
    (r"10,\!080", "10080", "a separator of thousands in TeX"),
    (r"11,\! 111,\! 111,\! 100", "11,111,111,100", "separators of thousands with blanks"),
    ("1{,}234", "1234", "a comma without TeX's space"),
    (r"1\,234", "1234", "a thin space between thousands"),
    (r"6.02 \times 10^{23}", "602000000000000000000000", "scientific notation is exact"),
    (r"\$32,\!348", "32348", "the question names the currency"),
    (r"\$18.90", r"\$ 18.90", "a blank after the currency sign"),
    (r"25\%", "25", "the question asks for a percentage"),
    (r"25\%", "0.25", "a percentage is a number"),
    (r"25\%", r"25 \text{ percent}", "the sign as a word"),
    (r"90^\circ", "90", "the question asks for degrees"),
    (r"90^{\circ}", r"90 \text{ degrees}", "the sign as a word"),
    (r"\frac{270}7\text{ degrees}", r"\frac{270}{7}^\circ", "a fraction of degrees"),
    (r"15\mbox{ cm}^2", "15", "the question names the unit"),
    (r"864 \mbox{ inches}^2", "864 square inches", "the same unit in words"),
    (r"5.4 \text{ cents}", "5.4 cents", "the unit inside or outside TeX's text"),
    ("12 students", "12", "words that only say what was counted"),
    ("x=5", "5", "the value of the unknown"),
    (r"y = 2x + 3", "2x+3", "the value of the unknown, an expression"),
    (r"f(x) = x^2 - 1", "(x-1)(x+1)", "a function is given by its rule"),
    (r"2 + 3 = 5", "5", "a calculation ends in its result"),
    (r"\text{Area} = 12 \text{ cm}^2", "12", "a label and a unit"),
    (r"x = \sqrt{2} \approx 1.414", r"\sqrt{2}", "the rounded value only illustrates"),
    ("5x - 7y + 11z + 4 = 0", "10x - 14y + 22z = -8", "multiples of an equation have the same solutions"),
    ("y = -2x", "2x + y = 0", "the same line"),
    (r"\left( 3, \frac{\pi}{2} \right)", r"(3, \pi/2)", "sizes of brackets are typography"),
    (r"\left(\frac{3}{5},\frac{8}{3}\right]", "(0.6, 8/3]", "an interval with exact ends"),
    (r"x \in [-2,7]", "[-2,7]", "membership states the set"),
    (r"-2 \le x \le 7", "[-2,7]", "a double inequality is an interval"),
    ("x < 2", r"(-\infty, 2)", "an inequality is a half-line"),
    (r"2 \geq x", r"x \le 2", "an inequality read from the other side"),
    (r"x < -1 \text{ or } x > 3", r"(-\infty,-1) \cup (3,\infty)", "two half-lines"),
    (r"(0,9) \cup (9,36)", r"(9,36)\cup(0,9)", "a union has no order"),
    (r"\mathbb{R}", r"(-\infty, \infty)", "the real line as an interval"),
    ("1,-2", "-2, 1", "solutions have no order"),
    ("3, 5, 7", r"3, 5 \text{ and } 7", "the last solution after a word"),
    ("x=1 or x=-2", "1,-2", "solutions with or without their name"),
    (r"1 \pm \sqrt{19}", r"1-\sqrt{19}, 1+\sqrt{19}", "plus or minus is two answers"),
    (r"\{1\pm\sqrt{5},-2\}", r"\{-2, 1+\sqrt{5}, 1-\sqrt{5}\}", "plus or minus inside a set"),
    (r"\{1, 2, 2\}", r"\{2, 1\}", "a set counts nothing twice"),
    (r"\{5\}", "5", "the only solution"),
    (r"\begin{pmatrix} -1/3 \\ 2/3 \end{pmatrix}", r"\begin{bmatrix} -\frac13 \\ \frac23 \end{bmatrix}", "brackets"),
    (r"\frac{8}{49} \begin{pmatrix} 2 \\ 6 \end{pmatrix}", r"\begin{pmatrix} 16/49 \\ 48/49 \end{pmatrix}", "scaled"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "(1, 2)", "a vector as a column or as coordinates"),
    (r"\langle 1, 2 \rangle", "(1, 2)", "a vector in angle brackets"),
    ("4210_{5}", "4210_5", "braces around a base"),
    ("10_2", "10", "the question names the base"),
    (r"\text{(C)}", "C", "a choice with or without brackets"),
    (r"\text{Evelyn}", "evelyn", "a name in any case"),
    (r"\text{even}", r"\textbf{even}", "type styles mean nothing"),
    (r"2\sqrt{3}", r"\sqrt{12}", "a root taken apart"),
    (r"11\sqrt2", r"11\cdot\sqrt{2}", "a product sign may be left out"),
    (r"\frac{1}{\sqrt{3}}", r"\frac{\sqrt{3}}{3}", "a rational denominator"),
    (r"\sqrt{2^{16}}", "256", "a root that can be taken"),
    (r"18+2\pi", r"2(\pi + 9)", "a factor taken out"),
    ("7i - 2", "-2 + 7i", "a sum has no order, in the complex numbers too"),
    ("(a+5)(b+2)", "(b + 2)(5 + a)", "a product has no order"),
    (r"\cot x", r"\frac{1}{\tan x}", "an identity"),
    (r"\frac{11+9a}{20}", "0.55 + 0.45a", "decimals inside an expression are exact"),
    ("2^{10}", "1024", "a power"),
    (r"\binom{5}{2}", "10", "a binomial coefficient"),
    ("5!", "120", "a factorial"),
    ("$\\frac{1}{2}$.", r"\(\frac{1}{2}\)", "marks around mathematics"),
    (r"3\mathrm{i} + 2", "2+3i", "the imaginary unit in upright type"),
    ("(1+i)^2", "2i", "the square of the imaginary unit is known"),
    (r"\frac{1}{i}", "-i", "and its inverse"),
    ("½", "0.5", "a fraction as one character"),
    ("−3", "-3", "a typographic minus"),
]  # fmt: skip

DIFFERENT = [
    ("50", "0.5", "no factor of 100 is forgiven"),
    ("0.5", "50", "nor the other way round"),
    ("5", "500", "nor in whole numbers"),
    (r"50\%", "5000", "nor beside a percent sign"),
    (r"50\%", r"5000\%", "nor between percentages"),
    ("100.005", "100", "near is not equal"),
    ("0.333", r"\frac{1}{3}", "a rounded third is not a third"),
    ("1.41421356", r"\sqrt{2}", "a rounded root is not the root"),
    ("3.14", r"\pi", "a rounded pi is not pi"),
    ("6.28", r"2\pi", "nor its double"),
    ("[1,2]", "(1,2)", "closed is not open"),
    ("[0,1)", "[0,1]", "half-open is not closed"),
    ("(1,2)", "(2,1)", "a tuple has an order"),
    ("(1,2)", r"\{1,2\}", "a tuple is not a set"),
    ("(1,2)", "1,2", "a point is not two solutions"),
    ("1,2", "1,2,3", "a solution too many"),
    ("1,2", "1,1", "a solution twice is not two solutions"),
    ("(1,2,3)", "(1,2)", "a coordinate too many"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1 & 2 \end{pmatrix}", "a column is not a row"),
    (r"\begin{vmatrix} 1 & 2 \\ 3 & 4 \end{vmatrix}", r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", "determinant"),
    ("x=1", "y=1", "another unknown"),
    ("x+2=7", "7", "an equation is not its right-hand side"),
    (r"x \le 2", r"(-\infty, 2)", "the end belongs to it"),
    ("x < 2", "y < 2", "another unknown"),
    ("10_2", "2", "digits in another base"),
    ("10_2", "10_3", "another base"),
    ("5 cm", "5 m", "another unit"),
    (r"5.4 \text{ cents}", r"\$5.4", "cents are not dollars"),
    (r"5 \text{ or more}", "5", "words that change what is said"),
    (r"\text{at least } 5", "5", "and before the number"),
    (r"90^\circ", r"90 \text{ radians}", "degrees are not radians"),
    ("5t", "5", "a variable is not a unit"),
    (r"5\text{x}", "5", "nor is one in upright type"),
    (r"2\mathrm{e}", "2", "nor is Euler's number"),
    (r"5\text{i}", "5", "nor the imaginary unit"),
    ("3R^2", "3r^2", "a capital is another variable"),
    ("x", "X", "here too"),
    (r"\text{(C)}", r"\text{(D)}", "another choice"),
    (r"\text{odd}", r"\text{even}", "another word"),
    (r"\text{east}", r"\text{seat}", "a word is not a product of its letters"),
    (r"|x|", "x", "an absolute value"),
    (r"\sqrt{x^2}", "x", "a root of a square"),
    ("x^2", "2x", "a power is not a product"),
    ("-120", "120", "another sign"),
    ("86, 42", "128", "two numbers are not their sum"),
    ("1,234", "1.234", "thousands are not decimals"),
    ("1-1/2", "1 1/2", "a difference is not a mixed number"),
    ("", "0", "nothing is not zero"),
    ("", "", "nothing answers nothing"),
    (r"\frac{1}{0}", r"\frac{2}{0}", "not numbers"),
    (r"2\sqrt", "2", "unfinished TeX"),
    (r"\text{No solutions}", r"3 \pm 2 \sqrt{2}", "words against numbers"),
]  # fmt: skip


@pytest.fixture(scope="module")
def workers() -> Iterator[MathWorkers]:
    with MathWorkers(workers=1) as pool:
        yield pool


@pytest.mark.parametrize(("a", "b", "why"), SAME)
def test_same(a: str, b: str, why: str, workers: MathWorkers) -> None:
    assert same_answer(a, b, workers) == same_answer(b, a, workers) == (True, None), why


@pytest.mark.parametrize(("a", "b", "why"), DIFFERENT)
def test_different(a: str, b: str, why: str, workers: MathWorkers) -> None:
    assert same_answer(a, b, workers) == same_answer(b, a, workers) == (False, None), why


def test_every_answer_equals_itself() -> None:
    """Without algebra: so that no answer of a benchmark can fail against its own text."""
    for answer in {text for a, b, _ in SAME for text in (a, b)}:
        assert same_answer(answer, f" {answer} ") == (True, None)


numbers = st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=1000)


@settings(max_examples=100, deadline=None)
@given(numbers, numbers)
def test_written_numbers_are_equal_exactly_when_their_values_are(x: object, y: object) -> None:
    assert same_answer(f"{x}", f"{y}")[0] == (x == y)


@settings(max_examples=50, deadline=None)
@given(numbers.filter(bool), st.sampled_from([100, 10, 1000]))
def test_no_power_of_ten_is_forgiven(x: object, factor: int) -> None:
    scaled = x * factor  # type: ignore[operator]
    assert not same_answer(f"{x}", f"{scaled}")[0]
    assert not same_answer(f"{scaled}", f"{x}")[0]
