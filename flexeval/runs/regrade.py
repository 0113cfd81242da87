"""New verdicts on the texts of a finished or unfinished run, without a model."""

from __future__ import annotations

from pathlib import Path

from flexeval.errors import InputError
from flexeval.records import Grade
from flexeval.runs.layout import data_hash
from flexeval.runs.reader import Run, read_run
from flexeval.runs.writer import reopen_run
from flexeval.tasks import Task, task_spec
from flexeval.tasks.task import grade_of, problems_of


def regrade(folder: Path, task: Task) -> Run:
    """Grade every text of a run again and write the verdicts, all in one step.

    Args:
        folder: a run folder.
        task: the task that the run was made with.

    Raises:
        InputError: not a run folder, a folder in use, another task, or other problems than the run's.
        OSError: the verdicts could not be written; the old ones stay.
    """
    with reopen_run(folder) as writer:
        if task_spec(task) != writer.config.task:
            raise InputError(f"run folder {folder} is of task {writer.config.task!r}, not {task_spec(task)!r}")
        problems = {problem.id: problem for problem in problems_of(task)}
        for stored in writer.problems:
            problem = problems.get(stored.id)
            if problem is None or data_hash(problem) != stored.data_hash:
                raise InputError(
                    f"run folder {folder} was made from other data: problem {stored.id!r} is not in task "
                    f"{writer.config.task!r} as it was; grade it with the data that it was made from"
                )

        def grade(problem_id: str, text: str) -> Grade:
            return grade_of(task, problems[problem_id], text)

        writer.regrade(grade)
        writer.finish()
    return read_run(folder)
