"""`forks`: make a goal out of a few numbers, one step a sentence; the task of the second bundled model.

    Make 29 from 5, 6, 6, 5.        We pass 29. Notice that 6 * 5 = 30. But that leaves 30 - 6 = 24. So 24 + 5 = 29.

Every number is used once, with + - *, and each step goes on from the result before. Most first steps lead nowhere, and
the word that opens a sentence says which sign the step has, so that an early word decides what can still be reached.
Test and training puzzles are disjoint by construction: a hash of goal and sorted numbers puts an eighth of all puzzles
on the test side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from flexeval.errors import InputError
from flexeval.grading.soundness import fault_in_chain
from flexeval.records import Grade, Problem, Prompt
from flexeval.tasks.drawing import Draw, Split, check_at_least, check_split, first_different
from flexeval.tasks.forks.chain_text import read_chain, says_an_end
from flexeval.tasks.forks.puzzle import LARGEST, Chain, Puzzle, chains
from flexeval.tasks.forks.wording import question_text, solution_text

ATTEMPTS = 5000
"""Draws after which settings count as impossible."""


@dataclass(frozen=True, kw_only=True)
class Forks:
    """Make a goal out of three or four numbers."""

    name: ClassVar[str] = "forks"
    summary: ClassVar[str] = "generated: reach a number step by step; a sentence's first word decides what can follow"
    gen_length: ClassVar[int] = 32
    verdicts: ClassVar[tuple[str, ...]] = ("sound",)

    min_numbers: int = 3
    """Fewest given numbers, at least 2."""
    max_numbers: int = 4
    """Most given numbers, at most 5; every count is as likely. The bundled model knows three and four."""
    max_number: int = 9
    """Largest given number; the smallest is 1."""
    min_goal: int = 10
    """Smallest goal."""
    max_goal: int = 60
    """Largest goal, at most 60."""
    split: Split = "test"
    """`test`, or `train` for puzzles of the kind that the bundled model was trained on."""
    size: int = 200
    """How many puzzles."""
    seed: int = 0
    """Of the puzzle set."""

    def __post_init__(self) -> None:
        if not 2 <= self.min_numbers <= self.max_numbers <= 5:
            raise InputError(
                f"counts of numbers must lie in 2..5, the smallest first, "
                f"not min_numbers={self.min_numbers}, max_numbers={self.max_numbers}"
            )
        if not 1 <= self.max_number <= 20:
            raise InputError(f"max_number must lie in 1..20, not {self.max_number}")
        if not 1 <= self.min_goal <= self.max_goal <= LARGEST:
            raise InputError(
                f"goals must lie in 1..{LARGEST}, the smallest first, "
                f"not min_goal={self.min_goal}, max_goal={self.max_goal}"
            )
        check_at_least(1, size=self.size)
        check_split(self.split)

    def problems(self) -> list[Problem]:
        """The first `size` different puzzles of this split that the seed draws."""
        return list(_problems(self))

    def prompt(self, problem: Problem) -> Prompt:
        """The question alone."""
        return Prompt(user=problem.question)

    def grade(self, problem: Problem, text: str) -> Grade:
        """Correct when the steps are an expression in the given numbers, each used once, that has the goal's value.

        Each step has to go on from the result that is written before it, and the last result has to be the goal; the
        other results may be wrong. Sound when it is correct, every equation is true, goes on from the result before and
        takes a given number that is left, and none is left at the end.

        The rule is `last-step` once the step that uses the last of the numbers has begun or the goal is said as a
        result, though the chain be broken, and `steps-so-far` before that.
        """
        goal: int = problem.metadata["goal"]
        numbers: list[int] = problem.metadata["numbers"]
        expression = read_chain(text)
        ended = says_an_end(text, len(numbers) - 1, goal)
        if expression is None:
            return Grade(correct=False, rule="last-step" if ended else None, verdicts={"sound": False})
        used_once = sorted(expression.numbers) == sorted(numbers)
        correct = used_once and expression.value == expression.said == goal
        sound = correct and fault_in_chain(text, numbers) is None
        said = "" if expression.value == expression.said else f", not {expression.said}"
        extracted = f"{expression.text} = {expression.value}{said}"
        rule = "last-step" if ended else "steps-so-far"
        return Grade(correct=correct, extracted=extracted, rule=rule, verdicts={"sound": sound})

    def draw(self, key: str) -> tuple[Problem, str]:
        """A puzzle of this split and one of its solutions, all equally likely, decided by `key` (for training data)."""
        draw = Draw(key)
        puzzle = self._draw_puzzle(draw)
        return _problem(puzzle), solution_text(draw.pick(puzzle.solutions))

    def draw_chain(self, draw: Draw) -> Chain:
        """The solution alone."""
        return draw.pick(self._draw_puzzle(draw).solutions)

    def _draw_puzzle(self, draw: Draw) -> Puzzle:
        """A uniform count, uniform numbers, then a uniform goal among those that they reach."""
        count = draw.between(self.min_numbers, self.max_numbers)
        for _ in range(ATTEMPTS):
            numbers = tuple(draw.between(1, self.max_number) for _ in range(count))
            reached = chains(tuple(sorted(numbers)))
            goals = [goal for goal in sorted(reached) if self.min_goal <= goal <= self.max_goal]
            if goals and (puzzle := Puzzle(numbers, draw.pick(goals))).split == self.split:
                return puzzle
        raise InputError(
            f"no {self.split} puzzle has {count} numbers, max_number={self.max_number}, "
            f"min_goal={self.min_goal} and max_goal={self.max_goal}; use wider limits"
        )


@cache
def _problems(task: Forks) -> tuple[Problem, ...]:
    def draw(attempt: int) -> Problem:
        return _problem(task._draw_puzzle(Draw(f"forks/{task.split}/{task.seed}/{attempt}")))

    return first_different(draw, task.size, attempts=20 * task.size + 200)


def _problem(puzzle: Puzzle) -> Problem:
    return Problem(
        id=f"forks/{puzzle}",
        question=question_text(puzzle),
        target=str(puzzle.goal),
        metadata={
            "numbers": list(puzzle.numbers),
            "goal": puzzle.goal,
            "solutions": len(puzzle.solutions),
            "first_signs": sorted({chain[0].sign for chain in puzzle.solutions}),
        },
    )
