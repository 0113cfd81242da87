r"""Whether the steps of a solution are sound, by rule: a right answer can be reached by a wrong way.

The rules read the equations of a text, whatever stands between them. An equation is two or more expressions in numbers
with `=` between them ("6 * 5 = 30", "(7 - 2) * 3 = 15"). It is true when all of them have exactly the same value, so
"5 + 3 = 8 + 2 = 10" is false. Its operands are the numbers of the sides that hold a sign. What is not written as an
equation in numbers is not looked at.

The rules judge the steps and never the answer. A task's verdict `sound` asks for both: the answer is correct, and no
step has a fault.
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
    """The numbers of the sides that hold a sign, from left to right; where no side holds one, the first number. None
    where a side cannot be read."""
    result: Fraction | None
    """The value of the last side; None when a side cannot be read ("6 * = 30")."""
    true: bool
    """Whether every side can be read and all have one value."""


def find_equations(text: str) -> list[Equation]:
    """The equations of a text, in order."""
    for spelling, plain in _SPELLINGS.items():
        text = text.replace(spelling, plain)
    return [equation for run in _runs(text) if (equation := _equation(run)) is not None]


def fault_in_steps(text: str, given: Iterable[int], *, needed: bool = True) -> str | None:
    """The first step that is false, or has an operand that is neither given nor the result of an earlier equation.

    Args:
        text: the solution.
        given: the numbers of the problem.
        needed: whether a text without any equation has a fault.

    Returns:
        What is wrong, in words; None where nothing is.
    """
    equations = find_equations(text)
    if needed and not equations:
        return "no equation"
    known = {Fraction(number) for number in given}
    for equation in equations:
        if not equation.true or equation.result is None:
            return f"{equation.text} is false"
        for operand in equation.operands:
            if operand not in known:
                return f"{operand} in {equation.text} is neither given nor a result"
        known.add(equation.result)
    return None


def fault_in_chain(text: str, given: Sequence[int]) -> str | None:
    """The first step that is false, or does not go on from the result before with a given number that is left.

    At the end no given number may be left.

    Args:
        text: the solution.
        given: the numbers of the problem; one that is given twice is to be used twice.

    Returns:
        As `fault_in_steps`.
    """
    equations = find_equations(text)
    if not equations:
        return "no equation"
    left = Counter(Fraction(number) for number in given)
    before: Fraction | None = None
    for equation in equations:
        if not equation.true or equation.result is None:
            return f"{equation.text} is false"
        operands = list(equation.operands)
        if before is not None:
            if before not in operands:
                return f"{equation.text} does not go on from {before}"
            operands.remove(before)
        for operand in operands:
            if left[operand] == 0:
                return f"{operand} in {equation.text} is not left to use"
            left[operand] -= 1
        before = equation.result
    for number in left.elements():
        return f"{number} is not used"
    return None


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
    numbers = [token for side in worked for token in side if _NUMBER.fullmatch(token)]
    return Equation(
        text=" = ".join(" ".join(side) for side in sides),
        operands=() if None in values else tuple(map(Fraction, numbers)),
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
