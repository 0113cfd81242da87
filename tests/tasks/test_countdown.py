"""Countdown: generated problems can be solved, and exactly the solutions are accepted."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import permutations, product

import pytest

from flexeval.errors import InputError
from flexeval.records import Problem
from flexeval.tasks import Task, get_task
from flexeval.tasks.countdown import Countdown

PROBLEM = Problem(id="p", question="?", target="(7 - 2) * 3", metadata={"numbers": [2, 3, 7], "goal": 15})

OPERATIONS = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y if y else None,
}


def every_expression(numbers: list[int]) -> Iterator[tuple[str, Fraction | None]]:
    """All ways to join three numbers by two operations, with their values."""
    for (a, b, c), first, second in product(permutations(numbers), OPERATIONS, OPERATIONS):
        inner = OPERATIONS[first](Fraction(a), Fraction(b))
        yield f"({a} {first} {b}) {second} {c}", None if inner is None else OPERATIONS[second](inner, Fraction(c))
        yield f"{c} {second} ({a} {first} {b})", None if inner is None else OPERATIONS[second](Fraction(c), inner)


def test_exactly_the_solutions_are_accepted() -> None:
    """Against enumeration."""
    task = Countdown(size=20)
    for problem in task.problems():
        solutions = 0
        for text, value in every_expression(problem.metadata["numbers"]):
            correct = value == problem.metadata["goal"]
            assert task.grade(problem, f"\\boxed{{{text}}}").correct == correct
            solutions += correct
        assert solutions > 0
        assert task.grade(problem, problem.target).correct


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (r"... \boxed{(7 - 2) \times 3}", "boxed"),
        (r"\boxed{(7-2)*3 = 15}", "boxed"),
        (r"\boxed{15 = 3(7-2)} no: <answer>x</answer> \boxed{15 = 3*(7-2)}", "boxed"),
        ("<answer>3*7 - 3*2</answer> <answer>(7-2)*3</answer>", "answer-tag"),
        ("I try 7*3\nthen (7 - 2) * 3 = 15", None),
        ("first\n(7 - 2) * 3", "last-line"),
    ],
)
def test_where_the_expression_is_found(text: str, rule: str | None) -> None:
    grade = Countdown().grade(PROBLEM, text)
    assert grade.correct == (rule is not None)
    if rule is not None:
        assert grade.rule == rule


@pytest.mark.parametrize(
    "text",
    ["", "15", r"\boxed{15}", r"\boxed{3 * 5}", r"\boxed{7 + 2 + 3 + 3}", r"\boxed{(7 - 2) * 3 * 1}",
     r"\boxed{7 + 2 * 3}",
     r"\boxed{(7 - 2) * 3 - 0}", r"\boxed{__import__('os')}", r"\boxed{(72 - 27) / 3}"],
)  # fmt: skip
def test_what_breaks_the_rules_is_wrong(text: str) -> None:
    assert not Countdown().grade(PROBLEM, text).correct


def test_problems_are_stable_different_and_disjoint_between_the_splits() -> None:
    task = get_task("countdown:size=300")
    assert isinstance(task, Task)
    test = [problem.id for problem in task.problems()]
    train = [problem.id for problem in get_task("countdown:size=300,split=train").problems()]
    assert len(set(test)) == len(set(train)) == 300
    assert not set(test) & set(train)
    assert [problem.id for problem in get_task("countdown:size=20").problems()] == test[:20]
    assert test != [problem.id for problem in get_task("countdown:size=300,seed=1").problems()]
    for problem in task.problems():
        assert all(1 <= number <= 30 for number in problem.metadata["numbers"])
        assert 1 <= problem.metadata["goal"] <= 100


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(InputError, match="size must be at least 1"):
        get_task("countdown:size=0")
    with pytest.raises(InputError, match="split must be train or test"):
        Countdown(split="dev")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="allow only"):
        Countdown(size=20, max_number=2).problems()
