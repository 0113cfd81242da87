"""A task: problems, the prompt of each, and the verdict on a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

from flexeval.records import Grade, Problem, Prompt


@runtime_checkable
class Task(Protocol):
    """One benchmark. Implementations are frozen dataclasses whose fields are the task's parameters.

    A task knows nothing of models and orders. `grade` sees the completion only, never the prompt.
    """

    name: ClassVar[str]
    """The registered name."""
    gen_length: ClassVar[int]
    """Generated positions that its answers need, unless the user says otherwise."""

    def problems(self) -> Sequence[Problem]:
        """All problems, always in the same order. Raises InputError when the data cannot be read."""
        ...

    def prompt(self, problem: Problem) -> Prompt:
        """What the model is given."""
        ...

    def grade(self, problem: Problem, text: str) -> Grade:
        """The verdict on one completion; never raises for any text."""
        ...
