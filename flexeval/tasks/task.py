"""A task: problems, the prompt of each, and the verdict on a text; and what some tasks can say beyond that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from flexeval.records import Grade, Problem, Prompt

if TYPE_CHECKING:
    from flexeval.grading.sandbox import Isolation
    from flexeval.tasks.prompts import PromptTemplate


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
        """The verdict on one completion; never raises for any text. May be called from several threads."""
        ...


@runtime_checkable
class GradesAnyTarget(Protocol):
    """A task that can also grade questions that are not in its data."""

    target_suffices: ClassVar[bool]
    """Whether `grade` reads nothing of a problem but its target, which may be any text."""


@runtime_checkable
class HasTemplate(Protocol):
    """A task whose wording is its parameter `template`.

    Its class attribute `templates`, if it has one, maps the names of its own templates to them.
    """

    @property
    def prompt_template(self) -> PromptTemplate:
        """The wording around each question. Raises InputError for an unknown or malformed template."""
        ...


@runtime_checkable
class RunsPrograms(Protocol):
    """A task whose `grade` runs what the model wrote."""

    def isolation(self) -> Isolation:
        """What confines the programs on this machine. Raises InputError where nothing would."""
        ...
