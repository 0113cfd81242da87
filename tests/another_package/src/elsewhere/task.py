"""`parity`: whether a number is even."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flexeval import Grade, Problem, Prompt


@dataclass(frozen=True)
class Parity:
    """Asks of each of the first numbers whether it is even."""

    name: ClassVar[str] = "parity"
    gen_length: ClassVar[int] = 8
    size: int = 10
    """How many numbers."""

    def problems(self) -> list[Problem]:
        """One a number."""
        return [
            Problem(id=f"parity/{n}", question=f"Is {n} even?", target="no" if n % 2 else "yes")
            for n in range(self.size)
        ]

    def prompt(self, problem: Problem) -> Prompt:
        """The question alone."""
        return Prompt(user=problem.question)

    def grade(self, problem: Problem, text: str) -> Grade:
        """Correct when the text says the right one of the two words."""
        return Grade(correct=problem.target in text.lower().split(), extracted=text)
