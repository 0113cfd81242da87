"""`word-problems`: grade-school problems in plain English, generated from a seed; the bundled model's task.

The fields of `WordProblems` set the difficulty. Test and training problems are disjoint by construction: a hash of a
problem's numbers (start and changes, in order) puts an eighth of all number combinations on the test side, and the
training data never uses those, in any wording.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from flexeval.errors import InputError
from flexeval.grading.equations import find_equations
from flexeval.grading.soundness import fault_in_steps
from flexeval.records import Grade, Problem, Prompt
from flexeval.tasks.drawing import Draw, Split, check_at_least, check_split, first_different
from flexeval.tasks.word_problems.skeleton import Limits, Skeleton
from flexeval.tasks.word_problems.solution import solution_text
from flexeval.tasks.word_problems.story import Story, draw_story, question_text

MOST_DIGITS = 1000
"""A longer number is no answer; Python reads none above 4,300 digits."""
_ANSWER = re.compile(
    r"answer\s+is\b[^\w\n.−-]{0,4}(?P<answer>(?P<sign>[-−]?)(?P<whole>[1-9]\d{0,2}(?:,\d{3})+(?!,?\d)|\d+)"
    r"(?P<more>(?:[.,:]\d|\w|\\[a-z]| *%| *[-−–+*×·•÷/^!] *[\d(]| +\d+/\d"
    r"| +(?:plus|minus|times|over|x|dozen|hundred|thousand|million|billion|percent|(?:divided|multiplied) by)\b"
    r"| *\\(?:times|cdot|div|d?frac)\b)[\w.,/^%()]*(?<![.,]))?)",
    re.IGNORECASE | re.ASCII,
)
"""A number, and what makes it no whole one or another: decimals, a letter or a percent sign beside it, a fraction, a
word for a power of ten, a calculation that goes on. "12!" ends a sentence."""


@dataclass(frozen=True, kw_only=True)
class WordProblems:
    """A start, some gains and losses, one question."""

    name: ClassVar[str] = "word-problems"
    aliases: ClassVar[tuple[str, ...]] = ("word_problems",)
    summary: ClassVar[str] = "generated grade-school word problems, the bundled model's task"
    gen_length: ClassVar[int] = 48
    verdicts: ClassVar[tuple[str, ...]] = ("sound",)

    facts: int = 3
    """Changes (gains and losses) after the start."""
    max_start: int = 12
    """Largest number at the start; the smallest is 2."""
    max_change: int = 7
    """Largest single gain or loss; the smallest is 1."""
    max_total: int = 20
    """No total on any way to the answer exceeds this."""
    products: bool = True
    """Whether a third of the problems have one quantity in packs ("3 boxes of 4")."""
    split: Split = "test"
    """`test`, or `train` for problems of the kind that the bundled model was trained on."""
    size: int = 200
    """How many problems."""
    seed: int = 0
    """Of the problem set."""

    def __post_init__(self) -> None:
        check_at_least(1, facts=self.facts, max_change=self.max_change, size=self.size)
        check_at_least(4 if self.products else 2, max_start=self.max_start)
        if self.products and self.max_change < 4:
            raise InputError(
                f"max_change must be at least 4 with products, not {self.max_change}; or use products=false"
            )
        check_at_least(self.max_start, max_total=self.max_total)
        check_split(self.split)

    def problems(self) -> list[Problem]:
        """The first `size` different skeletons of this split that the seed draws."""
        return list(_problems(self))

    def prompt(self, problem: Problem) -> Prompt:
        """The question alone."""
        return Prompt(user=problem.question)

    def grade(self, problem: Problem, text: str) -> Grade:
        """Correct when the whole number after the last "answer is" equals the target. "6.5" and "6/1" are none.

        Sound when it is correct and is the result of the last equation, every equation is true, and every operand is a
        number of the problem or an earlier result. That every number of the problem is used, and in the way of the
        story, is not asked for: what cancels out may be left out, and 3 boxes of 4 may be 4 + 4 + 4. So a few solutions
        count whose true steps answer another question.
        """
        answers = list(_ANSWER.finditer(text))
        if not answers:
            return Grade(correct=False, verdicts={"sound": False})
        found = answers[-1]
        value = f"{found['sign']}{found['whole']}".replace("−", "-").replace(",", "")
        correct = found["more"] is None and len(value) <= MOST_DIGITS and int(value) == int(problem.target)
        given = [int(number) for number in re.findall(r"\d+", problem.metadata["skeleton"])]
        sound = (
            correct and fault_in_steps(text, given) is None and find_equations(text)[-1].result == int(problem.target)
        )
        return Grade(correct=correct, extracted=found["answer"], verdicts={"sound": sound})

    def draw(self, key: str) -> tuple[Problem, str]:
        """A problem of this split and one worked solution of it, decided by `key` (for training data)."""
        draw = Draw(key)
        skeleton = self._limits.draw(draw, self.split)
        story = draw_story(draw, skeleton)
        return _problem(draw, skeleton, story), solution_text(draw, skeleton, story)

    @property
    def _limits(self) -> Limits:
        return Limits(self.facts, self.max_start, self.max_change, self.max_total, self.products)


@cache
def _problems(task: WordProblems) -> tuple[Problem, ...]:
    def make(attempt: int) -> Problem:
        draw = Draw(f"word-problems/{task.split}/{task.seed}/{attempt}")
        skeleton = task._limits.draw(draw, task.split)
        return _problem(draw, skeleton, draw_story(draw, skeleton))

    return first_different(make, task.size, attempts=20 * task.size + 200)


def _problem(draw: Draw, skeleton: Skeleton, story: Story) -> Problem:
    return Problem(
        id=f"word-problems/{skeleton}",
        question=question_text(draw, skeleton, story),
        target=str(skeleton.answer),
        metadata={
            "start": skeleton.start.value,
            "changes": [change.signed for change in skeleton.changes],
            "skeleton": str(skeleton),
        },
    )
