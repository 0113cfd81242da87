"""Grade a completion against a mathematical answer: extract, compare, report.

`grade_number` is for tasks whose answers are numbers (GSM8K): exact rational comparison, no algebra, no
process. `grade_expression` is for answers of any shape (MATH-500).
"""

from __future__ import annotations

import time

from flexeval.grading.algebra_workers import ComparisonFailed, MathWorkers, shared_workers
from flexeval.grading.answers import extract_answer
from flexeval.grading.equivalence import equivalent
from flexeval.grading.quantities import number_in
from flexeval.records import Grade

TOTAL_SECONDS = 20.0
"""For one answer, over all its parts."""


def grade_number(completion: str, target: str) -> Grade:
    """The verdict on a completion whose answer is one number.

    The answer is the last complete box, else the answer tag, else an unclosed box, else the last number.

    Args:
        completion: what the model wrote, prompt excluded.
        target: the reference number.
    """
    extraction = extract_answer(completion, numeric=True)
    if extraction is None:
        return Grade(correct=False)
    value, wanted = number_in(extraction.text), number_in(target)
    error = None
    if wanted is None:
        error = "the target does not state one number"
    elif value is None:
        error = "the answer does not state one number"
    return Grade(
        correct=error is None and value == wanted, extracted=extraction.text, rule=extraction.rule, error=error
    )


def grade_expression(completion: str, target: str, workers: MathWorkers | None = None) -> Grade:
    """The verdict on a completion whose answer may be any expression.

    Args:
        completion: what the model wrote, prompt excluded.
        target: the reference answer, in LaTeX.
        workers: processes for algebra; None takes the shared ones.
    """
    extraction = extract_answer(completion)
    if extraction is None:
        return Grade(correct=False)
    correct, error = same_answer(extraction.text, target, workers)
    return Grade(correct=correct, extracted=extraction.text, rule=extraction.rule, error=error)


def same_answer(a: str, b: str, workers: MathWorkers | None = None) -> tuple[bool, str | None]:
    """(whether two answers are the same, why that could not be found out). Symmetric; never raises for any text."""
    deadline = time.monotonic() + TOTAL_SECONDS

    def symbolic(one: str, other: str) -> bool:
        if time.monotonic() > deadline:
            raise ComparisonFailed(f"no result within {TOTAL_SECONDS:g} seconds")
        return (workers or shared_workers()).same(one, other)

    try:
        return equivalent(a, b, symbolic), None
    except ComparisonFailed as failure:
        return False, str(failure)
