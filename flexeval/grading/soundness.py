r"""Whether the steps of a solution are sound, by rule: a right answer can be reached by a wrong way.

The rules read the equations of a text (`flexeval.grading.equations`), whatever stands between them. An equation is true
when all of its sides have exactly the same value, so "5 + 3 = 8 + 2 = 10" is false. Its operands are the numbers of the
sides that calculate. A negative operand is the negative result of an earlier step, or a given number with a sign. What
is not written as an equation in numbers is not looked at.

The rules judge the steps and never the answer. A task's verdict `sound` asks for both: the answer is correct, and no
step has a fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction

from flexeval.grading.equations import find_equations


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
            if operand not in known and (operand >= 0 or -operand not in known):
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
            number = operand if left[operand] else abs(operand)
            if left[number] == 0:
                return f"{operand} in {equation.text} is not left to use"
            left[number] -= 1
        before = equation.result
    for number in left.elements():
        return f"{number} is not used"
    return None
