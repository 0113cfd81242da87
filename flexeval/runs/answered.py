"""Which problem a row of a file of completions answers, by its question, by an id, or by a target of its own.

A question counts before an id, and a number alone names no problem where the row asks something else.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flexeval.errors import InputError, did_you_mean, encodable
from flexeval.records import Problem
from flexeval.tasks import Task
from flexeval.tasks.task import GradesAnyTarget

QUESTIONS = ("question", "problem", "prompt", "text", "instruction", "query")
"""Fields that may hold what was asked."""
IDS = ("problem_id", "task_id", "unique_id", "question_id", "id", "idx", "index")
"""Fields that may name the problem."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One row, whatever the form of its file."""

    place: str
    texts: tuple[str, ...]
    asked: Mapping[str, Any]
    """Fields that say what was asked."""
    target: Any
    """The row's own right answer; None where it has none."""
    number: Any
    """Its `sample_index`; None where it has none."""


class ProblemFinder:
    """Answer -> the problem that it answers."""

    def __init__(self, task: Task, problems: Sequence[Problem]) -> None:
        """
        Args:
            task: whose problems are answered.
            problems: of its data; none where every row brings its own target.
        """
        self._task = task
        self._by_id: dict[str, Problem] = {}
        self._by_question: dict[str, list[Problem]] = defaultdict(list)
        for problem in problems:
            # Ids are compared as upstream files write them, too ("HumanEval/0").
            self._by_id[problem.id.lower()] = problem
            self._by_question[_spaced(problem.question)].append(problem)
        # A number names a problem where all ids are one prefix and a number.
        prefixes = {name.rpartition("/")[0] for name in self._by_id}
        self._prefix = prefixes.pop() if len(prefixes) == 1 else None
        self._foreign: dict[str, Problem] = {}

    def __call__(self, answer: Answer) -> Problem:
        """The problem. Raises InputError, with the row's place, where it is unknown, or could be several."""
        question, same = self._asked(answer)
        if len(same) == 1:
            return same[0]
        problem_id, named = self._named(answer, question)
        if named is not None:
            return named
        if same:
            raise InputError(
                f"{answer.place}: problems {same[0].id!r} and {same[1].id!r} ask this question; say which in "
                "'problem_id'"
            )
        if question is not None and (answer.target is not None or problem_id is None or problem_id.isdecimal()):
            return self._own_problem(answer, question)
        if problem_id is not None:
            listed = f"{len(self._by_id)} ids such as {next(iter(self._by_id.values())).id!r}"
            raise did_you_mean(f"problem_id in {answer.place}", problem_id, self._by_id, listed=listed)
        raise InputError(f"{answer.place} has no field 'question' (or 'problem_id'), which says what was answered")

    def _asked(self, answer: Answer) -> tuple[str | None, list[Problem]]:
        """(the question, the task's problems that ask it); the first field that holds one of the task's, else any."""
        for name in QUESTIONS:
            question = first_text(answer, (name,))
            if question is not None and (same := self._by_question.get(_spaced(question))):
                return question, same
        return first_text(answer, QUESTIONS), []

    def _named(self, answer: Answer, question: str | None) -> tuple[str | None, Problem | None]:
        """(the first id that the row states, the problem that one of its ids names).

        A number alone may count the rows of any file, so it names no problem in a row whose question is another.
        """
        stated = None
        for name in IDS:
            value = answer.asked.get(name)
            if value is None or isinstance(value, bool) or not isinstance(value, str | int):
                continue
            wanted = str(value).lower().removesuffix(".json")
            stated = stated if stated is not None else str(value)
            task_name = self._task.name.lower()
            forms = [wanted, f"{task_name}/{wanted}"]
            if wanted.isdecimal() and self._prefix is not None:
                forms.append(f"{self._prefix}/{int(wanted)}")
            named = next((self._by_id[form] for form in forms if form in self._by_id), None)
            if named is None or (wanted.isdecimal() and question is not None and not _asks(question, named)):
                continue
            return stated, named
        return stated, None

    def _own_problem(self, answer: Answer, question: str) -> Problem:
        """A question that is not in the task, with the row's target."""
        not_ours = f"{answer.place}: the question is none of task {self._task.name!r}"
        if not (isinstance(self._task, GradesAnyTarget) and self._task.target_suffices):
            raise InputError(f"{not_ours}, which grades by more than a target; give a question or 'problem_id' of it")
        target = answer.target
        if isinstance(target, list) and len(target) == 1:
            [target] = target
        if isinstance(target, bool) or not isinstance(target, str | int | float):
            raise InputError(f"{not_ours}, and the line has no field 'target' with a text or number; add one")
        key = _spaced(question)
        stated = stated_target(target)
        if not stated or (isinstance(target, float) and not math.isfinite(target)):
            raise InputError(f"{answer.place}: the target {target!r} is no answer; give one, or leave the line out")
        problem = self._foreign.setdefault(key, Problem(id=key, question=question, target=stated))
        if problem.target != stated:
            raise InputError(
                f"{answer.place}: the target is {stated!r}, but {problem.target!r} on an earlier line with the same "
                f"question; keep one of them"
            )
        return problem


def _asks(prompt: str, problem: Problem) -> bool:
    """Whether a prompt, which may have examples or a template around it, asks a problem's question."""
    return _spaced(problem.question) in _spaced(prompt)


def _spaced(question: str) -> str:
    """The question with every run of blanks as one space: programs differ in how they keep blanks."""
    return " ".join(question.split())


def first_text(answer: Answer, names: Sequence[str]) -> str | None:
    """The first of some fields that holds something. Raises InputError where that is no text."""
    for name in names:
        value = answer.asked.get(name)
        if isinstance(value, str):
            return encodable(value)
        if value is not None and name == "question":
            raise InputError(f"{answer.place}: field {name!r} should be a text, not a {type(value).__name__}")
    return None


def stated_target(target: object) -> str:
    """A target as text; the solutions of GSM8K end in its mark and the number."""
    return str(target).rpartition("####")[2].strip()
