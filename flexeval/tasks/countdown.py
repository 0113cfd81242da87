"""`countdown`: make a number out of three given ones with + - * /, each used exactly once.

Problems are drawn from a seed: two operations join three numbers to a whole number, which is the goal, so each problem
has a solution. A hash of numbers and goal puts an eighth of all problems on the test side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import ClassVar

from flexeval.grading.answers import extract_answer
from flexeval.grading.arithmetic import Expression, read_expression
from flexeval.grading.published import countdown_as_published
from flexeval.grading.soundness import fault_in_steps
from flexeval.records import Grade, Problem, Prompt
from flexeval.tasks.drawing import Draw, Split, check_at_least, check_split, first_different, split_of
from flexeval.tasks.prompts import BARE, PromptTemplate, find_template

EXPRESSION = PromptTemplate(
    system=(
        "You solve number puzzles. Try combinations one step at a time, then give the expression that works, such as "
        "\\boxed{(7 - 2) * 3}. Lay your answer out like this:\n"
        "<reasoning>\n"
        "what you try, in order\n"
        "</reasoning>\n"
        "<answer>\n"
        "\\boxed{the expression}\n"
        "</answer>"
    ),
    user="{question}",
    prefill="<reasoning>",
)


@dataclass(frozen=True, kw_only=True)
class Countdown:
    """The task `countdown`."""

    name: ClassVar[str] = "countdown"
    summary: ClassVar[str] = "generated: reach a number with three others and + - * /"
    gen_length: ClassVar[int] = 256
    verdicts: ClassVar[tuple[str, ...]] = ("sound",)
    templates: ClassVar[Mapping[str, PromptTemplate]] = {"default": EXPRESSION, "bare": BARE}

    split: Split = "test"
    """`test`, or `train` for training."""
    size: int = 256
    """How many problems."""
    seed: int = 0
    """Of the problem set."""
    max_number: int = 30
    """Largest given number; the smallest is 1."""
    max_goal: int = 100
    """Largest number to reach; the smallest is 1."""
    template: str = "default"
    """`default` (try step by step, boxed expression), `bare` (the question alone) or the path of a YAML file."""

    def __post_init__(self) -> None:
        check_at_least(1, size=self.size, max_number=self.max_number, max_goal=self.max_goal)
        check_split(self.split)

    def problems(self) -> list[Problem]:
        """The first `size` different problems of this split that the seed draws."""
        return list(_problems(self.split, self.size, self.seed, self.max_number, self.max_goal))

    @cached_property
    def prompt_template(self) -> PromptTemplate:
        """The wording around each question, read once. Raises InputError for an unknown or malformed template."""
        return find_template(self.template, self.templates, frozenset({"question"}))

    def prompt(self, problem: Problem) -> Prompt:
        """What the model is given."""
        return self.prompt_template.fill({"question": problem.question})

    def grade(self, problem: Problem, text: str) -> Grade:
        """Correct when the expression uses each given number exactly once and has the value asked for.

        The expression is the boxed or tagged answer, else the last line; an equation gives it on either side.

        Sound when it is correct, every equation of the text is true, and every operand is a given number, the goal (to
        work backwards) or an earlier result. What was tried and given up may use a number again; an answer without
        any equation is sound.
        """
        extraction = extract_answer(text)
        if extraction is not None:
            answer, rule = extraction.text, extraction.rule
        elif text.strip():
            answer, rule = text.strip().splitlines()[-1], "last-line"
        else:
            return Grade(correct=False, verdicts={"sound": False})
        read = [expression for side in answer.split("=") if (expression := read_expression(side)) is not None]
        correct = any(_solves(expression, problem) for expression in read)
        known = [*problem.metadata["numbers"], problem.metadata["goal"]]
        return Grade(
            correct=correct,
            verdicts={"sound": correct and fault_in_steps(text, known, needed=False) is None},
            extracted=answer,
            rule=rule,
            error=None if read else "the answer is not an arithmetic expression",
        )

    def grade_as_published(self, problem: Problem, text: str) -> Grade:
        """The verdict by the rules under which numbers were published."""
        return countdown_as_published(text, problem.metadata["numbers"], problem.metadata["goal"])


def _solves(expression: Expression, problem: Problem) -> bool:
    given = problem.metadata["numbers"]
    return sorted(expression.numbers) == sorted(given) and expression.value == problem.metadata["goal"]


@cache
def _problems(split: Split, size: int, seed: int, max_number: int, max_goal: int) -> tuple[Problem, ...]:
    def draw(attempt: int) -> Problem | None:
        problem = _draw(Draw(f"countdown/{seed}/{attempt}"), max_number, max_goal)
        return problem if problem is not None and split_of(problem.id) == split else None

    return first_different(draw, size, attempts=200 * size + 2000)


def _draw(draw: Draw, max_number: int, max_goal: int) -> Problem | None:
    """Three numbers and a goal that they reach, or None where the drawn operations do not lead to a whole goal."""
    numbers = [draw.between(1, max_number) for _ in range(3)]
    first, second = draw.pick("+-*/"), draw.pick("+-*/")
    a, b, c = numbers
    solution = f"({a} {first} {b}) {second} {c}" if draw.chance(0.5) else f"{c} {second} ({a} {first} {b})"
    expression = read_expression(solution)
    if expression is None or expression.value.denominator != 1 or not 1 <= expression.value <= max_goal:
        return None
    goal = int(expression.value)
    low, middle, high = sorted(numbers)
    return Problem(
        id=f"countdown/{low}-{middle}-{high}-{goal}",
        question=(
            f"Make {goal} out of the numbers {a}, {b} and {c}. Use each of them exactly once, with +, -, *, / and "
            "parentheses as you like."
        ),
        target=solution,
        metadata={"numbers": numbers, "goal": goal},
    )
