"""A task: problems, a prompt for each, and the verdict on a text. Some tasks can do more; each more is a protocol."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from flexeval.errors import InputError, InputTypeError, PluginError, is_printable, shortened
from flexeval.records import CORRECT, MOST_POSITIONS, Grade, Problem, Prompt
from flexeval.registry import NAME

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
        """The verdict on one completion. Never raises, whatever the text; may be called from several threads."""
        ...


@runtime_checkable
class GradesAnyTarget(Protocol):
    """A task that says whether it can grade questions that are not in its data."""

    target_suffices: ClassVar[bool]
    """Whether `grade` reads nothing of a problem but its target, which may be any text."""


@runtime_checkable
class GivesVerdicts(Protocol):
    """A task whose grades say more than `correct`; `--verdict NAME` then counts the samples of which that is true.

    flexeval's own tasks with solutions that can be judged step by step give `sound`: correct, and every step holds by
    rule (`flexeval.grading.soundness`), so that a right answer by a false step does not count.
    """

    verdicts: ClassVar[tuple[str, ...]]
    """The names in `Grade.verdicts`, each of which every grade has."""


@runtime_checkable
class HasPublishedGrader(Protocol):
    """A task that can also grade by the rules of published numbers; see `flexeval.grading.published`."""

    def grade_as_published(self, problem: Problem, text: str) -> Grade:
        """The verdict by those rules. Never raises, whatever the text; may be called from several threads."""
        ...


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


def check_task_class(kind: object) -> None:
    """Raise PluginError, which says what to write, unless this is a usable task class."""
    if not isinstance(kind, type) or not dataclasses.is_dataclass(kind):
        raise PluginError(f"{kind!r} is not a task class; write a frozen dataclass as in flexeval.tasks.Task")
    title = f"task {kind.__qualname__}"
    name = getattr(kind, "name", None)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise PluginError(
            f'{title} has {"no name" if name is None else f"the name {name!r}"}; write `name: ClassVar[str] = "mine"`'
        )
    for method in ("problems", "prompt", "grade"):
        if not callable(getattr(kind, method, None)):
            raise PluginError(f"task {name!r} has no method {method}(); see flexeval.tasks.Task")
    verdicts: object = getattr(kind, "verdicts", ())
    if (
        not isinstance(verdicts, tuple)
        or not all(isinstance(each, str) and NAME.fullmatch(each) and each != CORRECT for each in verdicts)
        or len(set(verdicts)) < len(verdicts)
    ):
        raise PluginError(
            f"task {name!r} has the verdicts {verdicts!r}; write different names other than {CORRECT!r}, as in "
            '`verdicts: ClassVar[tuple[str, ...]] = ("sound",)`'
        )


def check_task(task: object) -> Task:
    """The task itself. Raises PluginError, which says what to write, if it cannot be used.

    A name gets an InputTypeError, which says how to make a task of it.
    """
    if isinstance(task, str):
        raise InputTypeError(f"a task is an object, not its name; write flexeval.get_task({shortened(repr(task), 60)})")
    if isinstance(task, type):
        raise PluginError(f"{task.__qualname__} is a class; give a task of it, as in {task.__qualname__}()")
    check_task_class(type(task))
    length = getattr(task, "gen_length", None)
    if not isinstance(length, int) or isinstance(length, bool) or not 1 <= length <= MOST_POSITIONS:
        said = "has no gen_length" if length is None else f"has the gen_length {length!r}"
        raise PluginError(
            f"task {task.name!r} {said}; write `gen_length: ClassVar[int] = 256`, "  # type: ignore[attr-defined]
            "as many positions as its answers need"
        )
    return typing.cast(Task, task)


def problems_of(task: Task) -> Sequence[Problem]:
    """All problems of a task, each with an id of its own.

    Raises:
        InputError: the data cannot be read, there are no problems, two problems have one id, or one cannot be printed.
        PluginError: `problems()` returns something other than a list of problems.
    """
    problems: object = task.problems()
    if isinstance(problems, str) or not isinstance(problems, Sequence):
        raise PluginError(
            f"problems() of task {task.name!r} must return a list of flexeval.Problem, not a {type(problems).__name__}"
        )
    if not problems:
        raise InputError(f"task {task.name!r} has no problems; check its data")
    seen: set[str] = set()
    for problem in problems:
        if not isinstance(problem, Problem):
            raise PluginError(
                f"problems() of task {task.name!r} must return a list of flexeval.Problem; it holds a "
                f"{type(problem).__name__}"
            )
        if problem.id in seen:
            raise InputError(f"task {task.name!r} has two problems with the id {problem.id!r}; make ids unique")
        if not is_printable(problem.id):
            raise InputError(
                f"task {task.name!r} has a problem with the id {shortened(repr(problem.id), 60)}; ids are printed and "
                "should hold printable characters only"
            )
        seen.add(problem.id)
    return problems


def prompt_of(task: Task, problem: Problem) -> Prompt:
    """What the model is given. Raises PluginError if the task returns anything else."""
    prompt = task.prompt(problem)
    if not isinstance(prompt, Prompt):
        raise PluginError(
            f"prompt() of task {task.name!r} must return a flexeval.Prompt, not a {type(prompt).__name__}; "
            "write Prompt(user=...)"
        )
    return prompt


def grade_of(task: Task, problem: Problem, text: str) -> Grade:
    """The verdict on one completion. Raises PluginError if the task returns anything else."""
    grade = task.grade(problem, text)
    if not isinstance(grade, Grade):
        raise PluginError(
            f"grade() of task {task.name!r} must return a flexeval.Grade, not a {type(grade).__name__}; "
            "write Grade(correct=...)"
        )
    declared = verdicts_of(task)[1:]
    if set(grade.verdicts) != set(declared):
        raise PluginError(
            f"grade() of task {task.name!r} gave the verdicts ({', '.join(sorted(grade.verdicts))}), not "
            f"({', '.join(declared)}); give every grade those that the class attribute `verdicts` lists"
        )
    return grade


def verdicts_of(task: Task) -> tuple[str, ...]:
    """The verdicts that a sample of the task may be counted by: `correct`, then those of the task's own."""
    return (CORRECT, *(task.verdicts if isinstance(task, GivesVerdicts) else ()))
