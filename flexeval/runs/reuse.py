"""Is what a folder holds what sampling again would give? Then neither model nor sampler is needed. Imports no torch."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from flexeval.models.files import local_source
from flexeval.records import RunConfig
from flexeval.runs.config import run_prompt
from flexeval.runs.layout import data_hash
from flexeval.runs.reader import Run, read_finished_run
from flexeval.tasks import Task
from flexeval.tasks.task import problems_of


def reusable_run(folder: Path, config: RunConfig, task: Task, *, dtype: str = "auto") -> Run | None:
    """The stored run, if it holds all that is wanted, of this model, in this type and from this data.

    Args:
        folder: where the run would be; it need not exist.
        config: which run, and how much of it.
        task: the task of `config.task`, with the data of today.
        dtype: of the weights, by name; "auto" takes any.

    Raises:
        InputError: the folder holds a run of another configuration, or cannot be read.
    """
    run = read_finished_run(folder, config)
    if run is None or dtype not in ("auto", run.record["environment"]["dtype"]) or not _of_model(run, config.model):
        return None
    problems = problems_of(task)[: config.limit]
    now = [(problem.id, data_hash(problem)) for problem in problems]
    stored = run.problems[["problem_id", "data_hash"]].itertuples(index=False, name=None)
    same_prompt = dataclasses.asdict(run_prompt(config, task, problems[0])) == run.record.get("first_prompt")
    return run if same_prompt and list(stored) == now else None


def _of_model(run: Run, model: str) -> bool:
    """Whether the files of a model are still those that the run was made with."""
    made_with = run.record.get("model", {}).get("files")
    source = local_source(model) if made_with else None
    return source is not None and source.files == made_with
