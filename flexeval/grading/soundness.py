r"""Whether the steps of a solution are sound, by rule: a right answer can be reached by a wrong way.

The rules read the equations of a text, whatever stands between them. An equation is two or more expressions in numbers
with `=` between them ("6 * 5 = 30", "(7 - 2) * 3 = 15"). It is true when all of them have exactly the same value, so
"5 + 3 = 8 + 2 = 10" is false. Its operands are the numbers of the sides that hold a sign. What is not written as an
equation in numbers is not looked at.

The rules judge the steps and never the answer: a text that is sound and wrong stopped early or took another way.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from flexeval.grading.arithmetic import exact_value

_SPELLINGS = {r"\times": "*", r"\cdot": "*", r"\div": "/", "×": "*", "·": "*", "÷": "/", "−": "-", "$": " ",
              r"\(": " ", r"\)": " ", r"\[": " ", r"\]": " "}  # fmt: skip
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[-+*/()=]", re.ASCII)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class Equation:
    """One equation of a text."""

    text: str
    """As the text has it, with single spaces."""
    operands: tuple[Fraction, ...]
    """The numbers of the sides that hold a sign, from left to right; where no side holds one, the first number."""
    result: Fraction | None
    """The value of the last side; None when a side cannot be read ("6 * = 30")."""
    true: bool
    """Whether every side can be read and all have one value."""


@dataclass(frozen=True)
class Soundness:
    """A verdict on the steps of a solution."""

    sound: bool
    reason: str | None = None
    """What is wrong with the first step that is not sound."""


SOUND = Soundness(True)


def find_equations(text: str) -> list[Equation]:
    """The equations of a text, in order."""
    for spelling, plain in _SPELLINGS.items():
        text = text.replace(spelling, plain)
    return [equation for run in _runs(text) if (equation := _equation(run)) is not None]


def judge_steps(text: str, given: Iterable[int], *, needed: bool = True) -> Soundness:
    """Sound when every equation is true and every operand is given or the result of an earlier equation.

    Args:
        text: the solution.
        given: the numbers of the problem.
        needed: whether a text without any equation is unsound.
    """
    equations = find_equations(text)
    if needed and not equations:
        return Soundness(False, "no equation")
    known = {Fraction(number) for number in given}
    for equation in equations:
        if not equation.true or equation.result is None:
            return Soundness(False, f"{equation.text} is false")
        for operand in equation.operands:
            if operand not in known:
                return Soundness(False, f"{operand} in {equation.text} is neither given nor a result")
        known.add(equation.result)
    return SOUND


def judge_chain(text: str, given: Sequence[int]) -> Soundness:
    """Sound when every equation is true and goes on from the result before, and every given number is used once.

    Args:
        text: the solution.
        given: the numbers of the problem; one that is given twice is to be used twice.
    """
    equations = find_equations(text)
    if not equations:
        return Soundness(False, "no equation")
    left = Counter(Fraction(number) for number in given)
    before: Fraction | None = None
    for equation in equations:
        if not equation.true or equation.result is None:
            return Soundness(False, f"{equation.text} is false")
        operands = list(equation.operands)
        if before is not None:
            if before not in operands:
                return Soundness(False, f"{equation.text} does not go on from {before}")
            operands.remove(before)
        for operand in operands:
            if left[operand] == 0:
                return Soundness(False, f"{operand} in {equation.text} is not left to use")
            left[operand] -= 1
        before = equation.result
    for number in left.elements():
        return Soundness(False, f"{number} is not used")
    return SOUND


def _runs(text: str) -> list[list[str]]:
    """Runs of numbers and signs with nothing but blanks between them; two numbers side by side begin a new one."""
    runs: list[list[str]] = []
    end = None
    for match in _TOKEN.finditer(text):
        token = match[0]
        apart = end is None or text[end : match.start()].strip(" ") != ""
        before = runs[-1][-1] if runs else ""
        if apart or ((before == ")" or before[-1:].isdigit()) and (token == "(" or token[0].isdigit())):
            runs.append([])
        runs[-1].append(token)
        end = match.end()
    return runs


def _equation(run: list[str]) -> Equation | None:
    """The equation that a run of tokens is; None when it has no two sides."""
    sides: list[list[str]] = [[]]
    for token in run:
        if token == "=":
            sides.append([])
        else:
            sides[-1].append(token)
    # "so x = 5 + 3 = 8" and "5 + 3 = ?" leave an empty side at an end.
    while sides and not sides[0]:
        del sides[0]
    while sides and not sides[-1]:
        del sides[-1]
    if len(sides) < 2:
        return None
    _drop_brackets_around(sides)

    values = [exact_value(" ".join(side)) for side in sides]
    worked = [side for side in sides if len(side) > 1] or sides[:1]
    return Equation(
        text=" = ".join(" ".join(side) for side in sides),
        operands=tuple(Fraction(token) for side in worked for token in side if _NUMBER.fullmatch(token)),
        result=None if None in values else values[-1],
        true=None not in values and len(set(values)) == 1,
    )


def _drop_brackets_around(sides: list[list[str]]) -> None:
    """Remove what opens before an equation and closes after it: "(5 + 3 = 8)"."""
    first, last = sides[0], sides[-1]
    while first[:1] == ["("] and first.count("(") > first.count(")"):
        del first[0]
    while last[-1:] == [")"] and last.count(")") > last.count("("):
        del last[-1]
