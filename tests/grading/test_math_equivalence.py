"""When two mathematical answers are the same: a table of truths, and the laws that hold for all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexeval.grading.algebra_workers import MathWorkers
from flexeval.grading.equivalence import equivalent
from flexeval.grading.mathematics import same_answer

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
    ("yes", "Yes", "a short word is no product of variables"),
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
    (r"\text{proj}_{\mathbf b}\mathbf a = \begin{pmatrix}1\\2\end{pmatrix}", "(1,2)", "a vector and its name"),
    (r"\operatorname{proj}_\mathbf{b} \mathbf{a} = (1,2)", r"\text{proj}_{\mathbf b}\mathbf a = (1,2)", "one name"),
    (r"|AB|=1", "1", "a length and its name"),
    (r"|\overrightarrow{AB}| = 5", "5", "another length"),
    (r"\|\mathbf{v}\|=\sqrt{14}", r"\sqrt{14}", "a norm"),
    (r"\mathbf{a}\cdot\mathbf{b}=3", "3", "a product of vectors is one number"),
    (r"m\angle A=90^\circ", r"90^\circ", "an angle and its name"),
    (r"\measuredangle ABC=30^\circ", r"m\angle ABC=30", "one angle"),
    (r"\angle A = 40^\circ, \angle B=60^\circ", r"40^\circ, 60^\circ", "two angles"),
    (r"\frac{NO}{BO}=\frac{1}{\sqrt6}", r"\frac{1}{\sqrt6}", "a ratio of lengths"),
    ("S_{MBCN}:S=7:32", "7:32", "a ratio of areas"),
    ("[ABC]=12", "12", "an area"),
    (r"\sin A=\frac35", r"\frac35", "a function of an angle"),
    ("P(X=2)=0.3", "0.3", "a probability"),
    ("f(-1)=5", "5", "a function at a point"),
    (r"\det A = 5", "5", "a determinant"),
    ("(x,y)=(2,4)", "(2,4)", "coordinates and their names"),
    ("x=2, y=4", "(2,4)", "coordinates one by one"),
    ("y=4, x=2", "(2,4)", "in the order of the names"),
    ("(x,y)=(2,4)", "x=2 and y=4", "together or one by one"),
    ("x=2, y=4", "y=4, x=2", "named values have no order"),
    ("AB=4,CD=5", "4,5", "names left out"),
    (r"\begin{cases}x=2\\y=4\end{cases}", "(2,4)", "in a brace"),
    ("p=5,q=2;p=7,q=2", "(5,2),(7,2)", "two pairs"),
    (r"(x, y) = (5, 8) \quad \text{and} \quad (8, 5)", "(5,8),(8,5)", "a name for both"),
    ("x <= 0", r"(-\infty,0]", "relations in plain text"),
    ("-2<=x<=7", "[-2,7]", "on both sides"),
    ("x >= 5", r"x \geq 5", "the other way"),
    ("x < 1", "-x > -1", "an inequality multiplied by -1"),
    (r"x \ne 2", r"(-\infty,2)\cup(2,\infty)", "all but one number"),
    (r"2\begin{pmatrix}1\\2\end{pmatrix}", "(2,4)", "a factor before a vector"),
    (r"-\begin{bmatrix}1\\2\end{bmatrix}", r"\begin{pmatrix}-1\\-2\end{pmatrix}", "a sign before one"),
    (r"\frac{1}{3}\begin{pmatrix}1 & 2\\3 & 4\end{pmatrix}", r"\begin{pmatrix}1/3&2/3\\1&4/3\end{pmatrix}", "a matrix"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}/2", r"(\frac12, 1)", "a divisor behind"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}+\begin{pmatrix}5\\6\end{pmatrix}",
     r"\begin{pmatrix}6\\8\end{pmatrix}", "a sum of vectors"),
    (r"\text{(C) Plane}", r"\text{(C)}", "a choice with what it says"),
    (r"\text{(C) Plane}", r"\text{plane}", "and the other way"),
    (r"\textbf{(C)}\ 12", "12", "what a choice says may be a number"),
    (r"\text{Option C}", r"\text{(C)}", "a choice called so"),
    ("C. Plane", "C", "with a point"),
    (r"\text{Evelyn.}", r"\text{Evelyn}", "a point inside TeX's text"),
    (r"\mathbf{Evelyn}", r"\text{Evelyn}", "a bold name"),
    (r"\boldsymbol{x=5}", "5", "a bold equation"),
    (r"\underline{42}", "42", "underlined"),
    ("(4210)_5", "4210_{5}", "digits in brackets"),
    ("4210_{(5)}", "4210_{5}", "a base in brackets"),
    (r"4210_{\text{five}}", "4210_5", "a base in words"),
    (r"4210 \text{ (base 5)}", "4210_5", "a base behind the number"),
    (r"\color{red}{42}", "42", "colours mean nothing"),
    (r"\textcolor{blue}{x=42}", "42", "here too"),
    (r"\approx 42", "42", "a sign that introduces the answer"),
    ("= 42", "42", "another one"),
    ("about 42", "42", "a word that does"),
    ("－４２", "-42", "full-width characters"),
    ("（１，２）", "(1,2)", "full-width brackets and comma"),
    ("𝟒𝟐", "42", "digits of mathematical type"),
    ("x⁴", "x^4", "a raised digit"),
    ("-⅔", r"-\frac{2}{3}", "a fraction as one character"),
    ("θ", r"\theta", "a Greek letter as one character"),
    (r"\\frac{1}{2}", "0.5", "backslashes doubled by a program"),
    ("x = 12,000", "12000", "thousands in an equation"),
    (r"3 + 12{,}000 = 12{,}003", "12003", "thousands in a calculation"),
    ("3{,}5", "3.5", "a decimal comma"),
    (r"\sqrt[3]{-8}", "-2", "the real root"),
    (r"\cos 60^\circ", r"\frac12", "degrees in a function"),
    (r"\frac{2^{100}+1}{2^{100}}", r"1+2^{-100}", "exactly"),
    (r"\frac{\pi}{2^{98}}", r"\pi\cdot 2^{-98}", "small, irrational and equal"),
    ("i^{10}", "-1", "powers of the imaginary unit"),
    (r"k\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}k\\2k\end{pmatrix}", "a factor with a letter"),
    (r"\text{The answer is (B)}", "B", "a choice in a sentence"),
    (r"0.1\overline{6}", r"\frac{1}{6}", "a repeating decimal is a fraction"),
    (r"5\text{ million}", "5000000", "a word for a power of ten"),
    (r"\sqrt{3+2\sqrt2}", r"1+\sqrt2", "nested roots"),
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
    (r"\{1,2,3\}", r"\{1,2\}", "a set is more than its part"),
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
    (r"\frac{1}{2^{98}}", r"\frac{1}{2^{99}}", "small numbers differ by a factor"),
    (r"\frac{1}{19!}", r"\frac{1}{20!}", "here by 20"),
    (r"\frac{1}{2004!}", r"\frac{1}{2006!}", "and here by millions"),
    (r"\frac{1}{3\cdot 2^{101}}", r"\frac{2^{100}+1}{3\cdot 2^{101}}", "about 0 is not about 1/6"),
    ("10^{-20}", "0", "small is not nothing"),
    ("5 million", "5", "a word for a power of ten is no unit"),
    ("i^2", "i", "a power of the imaginary unit"),
    ("12:00", "1:00", "times of the day"),
    (r"0.\overline{3}", "0.3", "a bar over digits"),
    ("e^{-100}", "e^{-101}", "small and irrational"),
    ("e^{-100}", "0", "nor is that nothing"),
    (r"\frac{\pi}{2^{98}}", r"\frac{\pi}{2^{99}}", "a half of it"),
    (r"\pi\cdot 10^{30}", r"\pi\cdot 10^{30}+1", "large numbers that differ by 1"),
    (r"\sqrt{2^{400}+1}", "2^{200}", "a root that is nearly whole"),
    ("x+2^{-98}", "x+2^{-99}", "small terms beside a variable"),
    (r"\frac{x}{10^{20}}", r"\frac{x}{10^{21}}", "small factors beside one"),
    ("x^2+y^2=2^{-98}", "x^2+y^2=2^{-99}", "circles of different size"),
    ("(2^{-98},1)", "(2^{-99},1)", "in coordinates"),
    (r"\begin{pmatrix}e^{-98}\\1\end{pmatrix}", r"\begin{pmatrix}e^{-99}\\1\end{pmatrix}", "in vectors"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}x+\begin{pmatrix}e^{-98}\\1\end{pmatrix}",
     r"\begin{pmatrix}1\\2\end{pmatrix}x+\begin{pmatrix}e^{-99}\\1\end{pmatrix}", "and in lines"),
    ("11a+c", "7 = 11a+c", "an equation is not its right-hand side, whatever stands on the left"),
    ("x+y", "5=x+y", "here too"),
    ("a+b=5", "5", "a sum of unknowns is no name"),
    ("x^2=4", "4", "nor a power"),
    ("2x=4", "4", "nor a multiple"),
    ("x(x+1)=6", "6", "nor a product that looks like a function"),
    (r"\frac{x}{2}=3", "3", "nor a half"),
    ("|x|=1", "1", "x may be -1"),
    ("x=2,y=4", "(4,2)", "the order of the names counts"),
    ("(y,x)=(2,4)", "(x,y)=(2,4)", "named the other way round"),
    ("x=2,y=4", "x=2,y=5", "one value is another"),
    ("x=2,y=4", "2", "one value is missing"),
    ("x <= 0", r"(-\infty,0)", "the end belongs to it"),
    ("x >= 5", "x <= 5", "the other side"),
    (r"x \ne 2", "x < 2", "half of it"),
    (r"2\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}", "the factor counts"),
    (r"2\begin{vmatrix}1&2\\3&4\end{vmatrix}", r"\begin{vmatrix}2&4\\6&8\end{vmatrix}", "of a determinant, one row"),
    (r"\text{(C) Plane}", r"\text{(D)}", "another choice"),
    (r"\text{Option C}", r"\text{Option D}", "here too"),
    (r"(A) \cup (B)", "A", "not a choice"),
    ("(4210)_5", "(4210)_6", "another base"),
    (r"\approx 42", "43", "another number"),
    (r"\approx 3.14", r"\pi", "a rounded value alone"),
    ("3, -1", "-1", "one solution of two"),
    (r"\tan 45^\circ", r"\tan 45", "degrees are not radians in functions either"),
    ("1,234", "(1,234)", "a point is not a number"),
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


def test_what_is_rational_is_decided_without_algebra() -> None:
    def symbolic(a: str, b: str) -> bool:
        raise AssertionError("not needed")

    for a, b in [("5!", "120"), (r"\sqrt{16}+1", "5"), (r"\binom{5}{2}", "10")]:
        assert equivalent(a, b, symbolic)
        assert not equivalent(a, f"{b}+2^{{-99}}", symbolic)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400))
def test_powers_are_told_apart_whatever_their_size(x: int, y: int) -> None:
    assert same_answer(f"\\frac{{1}}{{2^{{{x}}}}}", f"2^{{-{y}}}")[0] == (x == y)
