"""Read a chain of steps from a text as one expression.

"6 * 5 = 30. Then 30 - 6 = 24." is (6 * 5) - 6, and is said to be 24.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from flexeval.grading.equations import find_equations, plain_text

_EQUATION = re.compile(r"(\d{1,6}) ([-+*]) (\d{1,6}) = (\d{1,6})", re.ASCII)
_STEP = re.compile(r"(?<![\d.])\d{1,6}\s*[-+*]\s*\d{1,6}\s*=(?:\s*(\d{1,6})(?!\d|\.\d))?", re.ASCII)
"""An equation, the result of which may be missing yet."""
_MOST_STEPS = 12


@dataclass(frozen=True)
class ChainText:
    """What the steps of a text come to."""

    text: str
    """The expression."""
    numbers: tuple[int, ...]
    """Those in it."""
    value: int
    """Its value, whatever results the text writes."""
    said: int
    """The last result that the text writes."""


def read_chain(text: str) -> ChainText | None:
    """The expression of all steps in a text; None when there is none, or one does not go on from the one before.

    A step is an equation of two numbers and their result. Other equations are no steps, and are left out.
    """
    chain: ChainText | None = None
    steps = [step for equation in find_equations(text) if (step := _EQUATION.fullmatch(equation.text))]
    if len(steps) > _MOST_STEPS:
        return None
    for step in steps:
        left_text, sign, right_text, said = step.groups()
        left, right = int(left_text), int(right_text)
        if chain is None:
            chain = ChainText(f"{left} {sign} {right}", (left, right), _apply(sign, left, right), int(said))
        elif left == chain.said:
            value = _apply(sign, chain.value, right)
            chain = ChainText(f"({chain.text}) {sign} {right}", (*chain.numbers, right), value, int(said))
        elif right == chain.said:
            value = _apply(sign, left, chain.value)
            chain = ChainText(f"{left} {sign} ({chain.text})", (*chain.numbers, left), value, int(said))
        else:
            return None
    return chain


def says_an_end(text: str, steps: int, goal: int) -> bool:
    """Whether a text has come to the end of its steps, right or wrong: all are begun, or the goal is said as a result.

    Args:
        text: the steps.
        steps: how many it takes to use every given number.
        goal: what they are to make.
    """
    results = _STEP.findall(plain_text(text))
    return len(results) >= steps or any(result != "" and int(result) == goal for result in results)


def _apply(sign: str, left: int, right: int) -> int:
    return {"+": left + right, "-": left - right, "*": left * right}[sign]
