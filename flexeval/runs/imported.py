"""A file of completions as a run folder: texts and verdicts of samples that another program drew.

There are no token rows, and what the samples cost is not known; see `Run.imported`. All else reads such a folder as it
reads others, and `flexeval grade` grades it again.
"""

from __future__ import annotations

import dataclasses
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flexeval.errors import InputError, printable
from flexeval.records import Problem, RunConfig
from flexeval.runs.checksums import End, first_checksum, line_bytes, object_bytes
from flexeval.runs.completions import Completion, GradedCompletion
from flexeval.runs.files import replace_file, replace_folder
from flexeval.runs.identity import canonical_config, run_key
from flexeval.runs.layout import (
    CONFIG,
    FORMAT,
    JOURNAL,
    PROBLEMS,
    SAMPLES,
    SUMMARY,
    TOKENS,
    Flush,
    Header,
    check_samples,
    stored_problem,
)
from flexeval.runs.reader import Contents, summary_of
from flexeval.runs.run import Run, run_of
from flexeval.runs.writer import grade_fields, header_bytes, own_verdicts, problem_bytes
from flexeval.tasks import Task
from flexeval.tasks.task import RunsPrograms


def check_new_folder(out: Path) -> None:
    """Raise InputError where a folder for an import holds something already, or is a file."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; name a folder to write the run to")
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} is not empty, and an import is not continued; use another or an empty --out")


def equally_many(completions: Sequence[Completion], num_samples: int | None = None) -> list[Completion]:
    """The same number of completions of each problem: the first ones, by their number where they have one, else as they
    stand in the file.

    Args:
        completions: at least one.
        num_samples: how many of each; None takes all, which must be equally many.

    Raises:
        InputError: a problem that has fewer, or a number that is missing among them.
    """
    counts: dict[str, int] = {}
    for completion in completions:
        counts[completion.problem.id] = counts.get(completion.problem.id, 0) + 1
    fewest, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if num_samples is None and counts[fewest] < counts[most]:
        raise InputError(
            f"the file has {counts[fewest]} completions of {fewest!r} and {counts[most]} of {most!r}, but a run has "
            f"equally many of each; use --num-samples {counts[fewest]} for the first {counts[fewest]} of each"
        )
    wanted = counts[fewest] if num_samples is None else num_samples
    if counts[fewest] < wanted:
        raise InputError(f"the file has {counts[fewest]} completions of {fewest!r}, not {wanted}; use a smaller number")
    taken, seen = [], dict.fromkeys(counts, 0)
    for completion in sorted(completions, key=lambda one: one.sample_index or 0):
        place = seen[completion.problem.id]
        if place < wanted:
            if completion.sample_index not in (None, place):
                raise InputError(
                    f"the file has no sample_index {place} of {completion.problem.id!r}; number those of each "
                    "problem from 0 without gaps, or leave sample_index out"
                )
            taken.append(completion)
        seen[completion.problem.id] += 1
    return taken


def import_run(
    config: RunConfig,
    completions: Sequence[GradedCompletion],
    problems: Sequence[Problem],
    *,
    out: str | Path,
    task: Task,
    origin: Mapping[str, Any],
) -> Run:
    """Store graded completions as a run, all or nothing.

    Args:
        config: what the samples are of: model, order, settings. Aliases are resolved.
        completions: `config.num_samples` of each problem.
        problems: of the completions, in the task's order.
        out: a folder that does not exist, or is empty.
        task: of `config.task`.
        origin: of the completions, JSON values: the file's name and checksum.

    Raises:
        InputError: settings that are refused, or a folder that holds something.
        OSError: the folder cannot be written; nothing is left behind.
    """
    config, out = canonical_config(config), Path(out)
    check_new_folder(out)
    # What the other program ran on, and how it worded its prompts, is not known.
    record: dict[str, Any] = {
        "imported": {name: printable(value, keep="") for name, value in origin.items()},
        "environment": {"device": "unknown", "dtype": "unknown"},
        "isolation": task.isolation().as_dict() if isinstance(task, RunsPrograms) else None,
        "prompt_template": {},
        "first_prompt": {},
    }
    header = Header(format=FORMAT, config=config, record=record, key=run_key(config, record), problems=len(problems))
    rows = _sample_rows(completions, problems)
    check_samples(rows, where="samples that are to be stored", remedy="correct the grader of the task")
    flush = Flush(
        samples=len(rows), seconds=0.0, evaluations=0, distinct=0, shard=None, environment=record["environment"]
    )
    stored = [dataclasses.replace(stored_problem(problem, ()), prompt_hash="") for problem in problems]

    # The files, and what each ends with.
    data: dict[str, bytes] = {CONFIG: header_bytes(header)}
    ends: dict[str, End] = {}
    data[PROBLEMS], ends[PROBLEMS] = problem_bytes(stored, header.key)
    for name, lines in ((SAMPLES, rows), (JOURNAL, [dataclasses.asdict(flush)])):
        data[name], checksum = line_bytes(lines, first_checksum(header.key, name))
        ends[name] = End(checksum=checksum, size=len(data[name]))
    samples = {(row["problem_id"], row["sample_index"]): row for row in rows}
    contents = Contents(header=header, problems=stored, samples=samples, journal=[flush], ends=ends)
    data[SUMMARY] = object_bytes(summary_of(contents))
    _write(out, data)
    return run_of(out, contents)


def _sample_rows(completions: Sequence[GradedCompletion], problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """The lines of samples.jsonl, problem by problem."""
    texts: dict[str, list[GradedCompletion]] = {problem.id: [] for problem in problems}
    for graded in completions:
        texts[graded.completion.problem.id].append(graded)
    return [
        {
            "problem_id": problem_id,
            "sample_index": index,
            "text": graded.completion.text,
            **grade_fields(graded.grade),
            "nfe": 0,
            "length": 0,
            **own_verdicts(graded.grade),
        }
        for problem_id, own in texts.items()
        for index, graded in enumerate(own)
    ]


def _write(out: Path, data: Mapping[str, bytes]) -> None:
    """Write the folder under a temporary name and move it into place."""
    partial = out.absolute().with_name(f".flexeval-{secrets.token_hex(8)}.tmp")
    try:
        (partial / TOKENS).mkdir(parents=True)
        for name, content in data.items():
            replace_file(partial / name, content)
        replace_folder(partial, out.absolute())
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
