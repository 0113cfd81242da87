"""Completions from another program: read them, find the problem of each, grade them, write the verdicts.

A file holds one JSON object a line: the completion (`completion`, or else `generation`) and what it answers, as
`question` or as `problem_id` of the task. A question that is not in the task needs its own `target`. Other fields are
ignored. Knows no run folders and no models.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from flexeval.errors import InputError, did_you_mean
from flexeval.grading.answers import before_end_token
from flexeval.records import Grade, Problem
from flexeval.runs.files import to_json
from flexeval.runs.grading import graded
from flexeval.runs.target import write_target
from flexeval.tasks import Task
from flexeval.tasks.data import Row, read_json_lines
from flexeval.tasks.task import GradesAnyTarget, HasPublishedGrader, grade_of, problems_of


@dataclass(frozen=True, kw_only=True)
class Completion:
    """One line of the file."""

    problem: Problem
    """The task's; for a question that is not in the task, made of the line's question and target."""
    text: str
    """What the model wrote, up to the first end token that was stored as text."""


@dataclass(frozen=True, kw_only=True)
class GradedCompletion:
    """A completion and its verdict."""

    completion: Completion
    grade: Grade


def read_completions(path: Path, task: Task) -> list[Completion]:
    """The completions of a file, in its order.

    Args:
        path: JSONL, with the suffix `.gz` if it is compressed.
        task: with its data.

    Raises:
        InputError: a file or line that cannot be read, a line that lacks a field, a line whose problem is unknown or
            ambiguous (each with the line's number), or a task whose data cannot be read.
    """
    _, rows = read_json_lines(path, title="completions")
    find = _ProblemFinder(task)
    return [Completion(text=before_end_token(_completion(row)), problem=find(row)) for row in rows]


def grade_completions(completions: Sequence[Completion], task: Task) -> list[GradedCompletion]:
    """The verdicts, in the order of the completions."""
    verdicts = graded(completions, lambda completion: grade_of(task, completion.problem, completion.text))
    return [GradedCompletion(completion=completion, grade=grade) for completion, grade in verdicts]


def grade_as_published(completions: Sequence[Completion], task: Task) -> list[Grade]:
    """The verdicts by the rules behind published numbers, in the order of the completions.

    Raises:
        InputError: a task without such rules.
    """
    if not isinstance(task, HasPublishedGrader):
        raise InputError(f"no published numbers of task {task.name!r} are known; leave out --grader paper")
    grader = task
    verdicts = graded(completions, lambda completion: grader.grade_as_published(completion.problem, completion.text))
    return [grade for _, grade in verdicts]


def completion_counts(completions: Sequence[GradedCompletion]) -> pd.DataFrame:
    """One row a problem, in the order of the file: problem_id, n completions, c correct ones."""
    rows = [(graded.completion.problem.id, graded.grade.correct) for graded in completions]
    frame = pd.DataFrame(rows, columns=["problem_id", "correct"])
    counts = frame.groupby("problem_id", sort=False)["correct"].agg(n="size", c="sum").astype("int64")
    return counts.reset_index()


def write_graded(path: Path, completions: Sequence[GradedCompletion], published: Sequence[Grade] | None = None) -> None:
    """Write one line a completion: question, target, extracted, rule, correct, error.

    Args:
        path: the file.
        completions: with their verdicts.
        published: the verdicts by the published rules; adds paper_extracted and paper_correct.

    Raises:
        OSError: it could not be written; an old file is untouched.
    """
    papers: Sequence[Grade | None] = [None] * len(completions) if published is None else published
    lines = [
        to_json(
            {
                "question": graded.completion.problem.question,
                "target": graded.completion.problem.target,
                "extracted": graded.grade.extracted,
                "rule": graded.grade.rule,
                "correct": graded.grade.correct,
                "error": graded.grade.error,
                **({} if paper is None else {"paper_extracted": paper.extracted, "paper_correct": paper.correct}),
            }
        )
        for graded, paper in zip(completions, papers, strict=True)
    ]
    write_target(path, "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace"))


class _ProblemFinder:
    """Line -> problem."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._by_id: dict[str, Problem] = {}
        self._by_question: dict[str, list[Problem]] = defaultdict(list)
        for problem in problems_of(task):
            # Ids are compared as upstream files write them, too ("HumanEval/0").
            self._by_id[problem.id.lower()] = problem
            self._by_question[_spaced(problem.question)].append(problem)
        self._foreign: dict[str, Problem] = {}

    def __call__(self, row: Row) -> Problem:
        question = _text(row, "question")
        same = self._by_question.get(_spaced(question), []) if question is not None else []
        if len(same) == 1:
            return same[0]
        problem_id = _text(row, "problem_id")
        if problem_id is not None and problem_id.lower() in self._by_id:
            return self._by_id[problem_id.lower()]
        if same:
            raise InputError(
                f"{row.place}: problems {same[0].id!r} and {same[1].id!r} ask this question; say which in 'problem_id'"
            )
        if question is not None:
            return self._own_problem(row, question)
        if problem_id is not None:
            listed = f"{len(self._by_id)} ids such as {next(iter(self._by_id.values())).id!r}"
            raise did_you_mean(f"problem_id in {row.place}", problem_id, self._by_id, listed=listed)
        raise InputError(f"{row.place} has no field 'question' (or 'problem_id'), which says what was answered")

    def _own_problem(self, row: Row, question: str) -> Problem:
        """A question that is not in the task, with the line's target."""
        not_ours = f"{row.place}: the question is none of task {self._task.name!r}"
        if not (isinstance(self._task, GradesAnyTarget) and self._task.target_suffices):
            raise InputError(f"{not_ours}, which grades by more than a target; give a question or 'problem_id' of it")
        target = row.values.get("target")
        if isinstance(target, bool) or not isinstance(target, str | int | float):
            raise InputError(f"{not_ours}, and the line has no field 'target' with a text or number; add one")
        key = _spaced(question)
        problem = self._foreign.setdefault(key, Problem(id=key, question=question, target=str(target)))
        if problem.target != str(target):
            raise InputError(
                f"{row.place}: the target is {str(target)!r}, but {problem.target!r} on an earlier line with the same "
                f"question; keep one of them"
            )
        return problem


def _completion(row: Row) -> str:
    for field in ("completion", "generation"):
        text = _text(row, field)
        if text is not None:
            return text
    raise InputError(f"{row.place} has no field 'completion' (or 'generation') with what the model wrote")


def _text(row: Row, field: str) -> str | None:
    """The text in a field, None where it is absent or null. Raises InputError for anything else."""
    value = row.values.get(field)
    if value is None:
        return None
    if isinstance(value, str):
        # JSON can hold half a surrogate pair, which no file in UTF-8 can.
        return value.encode(errors="replace").decode()
    raise InputError(f"{row.place}: field {field!r} should be a text, not a {type(value).__name__}")


def _spaced(question: str) -> str:
    """The question with every run of blanks as one space: programs differ in how they keep blanks."""
    return " ".join(question.split())
