"""Verdicts by several threads: on a stream of texts, and again on the texts of a run. Needs no model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from flexeval.errors import InputError
from flexeval.grading.processors import processors
from flexeval.records import Grade, Problem
from flexeval.runs.code import code_hash
from flexeval.runs.identity import require_same_task
from flexeval.runs.layout import data_hash
from flexeval.runs.run import Run, run_of
from flexeval.runs.writer import reopen_run
from flexeval.tasks import Task
from flexeval.tasks.task import HasPublishedGrader, grade_of, problems_of

T = TypeVar("T")

WAITING = 256
"""Items whose verdict may be outstanding before the stream has to wait."""


def graded(items: Iterable[T], grade: Callable[[T], Grade], *, threads: int | None = None) -> Iterator[tuple[T, Grade]]:
    """Each item with its verdict, in the order of the items, which does not depend on the number of threads.

    Threads suffice, since what takes long in a grader happens in processes of its own (algebra, programs). The
    next items are drawn while the verdicts on earlier ones are found.

    Args:
        items: may be endless, and slow.
        grade: item -> verdict; called from several threads.
        threads: at a time; None stands for one per processor that this process may use.

    Raises:
        Exception: whatever `items` raises, after the verdicts on the items before it; whatever `grade` raises, in
            place of the verdict.
    """
    waiting: deque[tuple[T, Future[Grade]]] = deque()
    pool = ThreadPoolExecutor(threads or processors())
    source, end = iter(items), None
    try:
        while end is None:
            try:
                item = next(source)
            except BaseException as error:
                # Also an interrupt: what was drawn before it is still handed out.
                end = error
            else:
                waiting.append((item, pool.submit(grade, item)))
            while waiting and (end is not None or waiting[0][1].done() or len(waiting) > WAITING):
                item, verdict = waiting.popleft()
                yield item, verdict.result()
        if not isinstance(end, StopIteration):
            raise end
    finally:
        pool.shutdown(cancel_futures=True)


Verdicts = Callable[[Sequence[tuple[Problem, str]]], Sequence[Grade]]
"""Texts, each with its problem -> the verdicts on them, in their order."""


def here(task: Task, *, published: bool = False, progress: Callable[[int, int], None] | None = None) -> Verdicts:
    """Verdicts by this process.

    Args:
        task: that grades.
        published: by the rules of published numbers; the task knows them.
        progress: called with the texts done and the texts in all.
    """

    def verdict(item: tuple[Problem, str]) -> Grade:
        if published:
            assert isinstance(task, HasPublishedGrader)
            return task.grade_as_published(*item)
        return grade_of(task, *item)

    def verdicts(texts: Sequence[tuple[Problem, str]]) -> Sequence[Grade]:
        report = progress or (lambda _done, _all: None)
        report(0, len(texts))
        grades: list[Grade] = []
        for _, grade in graded(texts, verdict):
            grades.append(grade)
            report(len(grades), len(texts))
        return grades

    return verdicts


def regrade(folder: str | Path, task: Task, verdicts: Verdicts | None = None) -> tuple[Run, Run]:
    """Grade every text of a run again and write the verdicts, all in one step.

    Args:
        folder: a run folder, finished or not.
        task: the task that the run was made with.
        verdicts: who grades; None for this process.

    Returns:
        The run before and after.

    Raises:
        InputError: not a run folder, a folder in use, another task, or other problems than the run's.
        OSError: the verdicts could not be written; the old ones stay.
    """
    folder = Path(folder)
    with reopen_run(folder) as writer:
        contents = writer.contents
        require_same_task(contents.header.config, task, folder=folder)
        problems = {problem.id: problem for problem in problems_of(task)}
        for stored in contents.problems:
            problem = problems.get(stored.id)
            if problem is None or data_hash(problem) != stored.data_hash:
                raise InputError(
                    f"run folder {folder} was made from other data: problem {stored.id!r} is not in task "
                    f"{contents.header.config.task!r} as it was; grade it with the data that it was made from"
                )

        before = run_of(folder, contents)
        texts = [(problems[row["problem_id"]], row["text"]) for row in contents.samples.values()]
        writer.replace_grades((verdicts or here(task))(texts), task_code=code_hash(type(task)))
        writer.finish()
        return before, run_of(folder, writer.contents)
