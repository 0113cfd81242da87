"""The files of a run folder and the records that they hold, line by line. It neither creates nor repairs a folder."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flexeval.errors import InputError
from flexeval.records import Grade, Problem, RunConfig, SamplingEffort, Trajectory
from flexeval.runs.config import config_from_dict, config_to_dict
from flexeval.runs.files import read_lines, read_object, to_json
from flexeval.runs.tokens import Pair

CONFIG = "config.json"
PROBLEMS = "problems.jsonl"
SAMPLES = "samples.jsonl"
EFFORT = "sampling.jsonl"
TOKENS = "tokens"
SUMMARY = "summary.json"
LOCK = ".lock"
FORMAT = 1
"""Of the whole folder; grows when a reader of the old one would misread the new one."""


@dataclass(frozen=True, kw_only=True)
class StoredProblem:
    """A problem as the run saw it: enough to read the run without its task, and to notice that the data changed."""

    id: str
    question: str
    target: str
    prompt_length: int
    """Tokens."""
    prompt_hash: str
    """Of the token ids: wording, chat template and tokenizer in one."""


@dataclass(frozen=True, kw_only=True)
class GradedSample:
    """A finished sample, ready to be stored."""

    trajectory: Trajectory
    text: str
    pieces: Sequence[str]
    """The text that each of the `gen_length` tokens adds."""
    grade: Grade


def stored_problem(problem: Problem, prompt_ids: Sequence[int]) -> StoredProblem:
    """What is kept of a problem and its encoded prompt."""
    digest = hashlib.sha256(",".join(map(str, prompt_ids)).encode()).hexdigest()[:16]
    return StoredProblem(
        id=problem.id,
        question=problem.question,
        target=problem.target,
        prompt_length=len(prompt_ids),
        prompt_hash=digest,
    )


def sample_row(sample: GradedSample) -> dict[str, Any]:
    """The line of samples.jsonl."""
    trajectory = sample.trajectory
    return {
        "problem_id": trajectory.problem_id,
        "sample_index": trajectory.sample_index,
        "text": sample.text,
        **grade_fields(sample.grade),
        "nfe": trajectory.nfe,
        "length": trajectory.length,
    }


def grade_fields(grade: Grade) -> dict[str, Any]:
    """The part of a line that `flexeval grade` replaces."""
    return {"extracted": grade.extracted, "rule": grade.rule, "correct": grade.correct, "error": grade.error}


SAMPLE_FIELDS = ("problem_id", "sample_index", "text", "extracted", "rule", "correct", "error", "nfe", "length")


def read_config(folder: Path) -> tuple[RunConfig, dict[str, Any]]:
    """The configuration, and what else config.json records (environment, source of the data, isolation, prompts).

    Raises:
        InputError: the folder holds no run, or a run of another format.
    """
    path = folder / CONFIG
    if not path.exists():
        raise InputError(f"no run in {folder}: it has no {CONFIG}; give a folder that `flexeval passk` wrote")
    record = read_object(path)
    if record.get("format") != FORMAT:
        raise InputError(
            f"{path}: format {record.get('format')!r}, but this flexeval reads format {FORMAT}; "
            f"use the version that made it: {record.get('environment', {}).get('flexeval', 'unknown')}"
        )
    config = config_from_dict(record.get("config", {}), where=str(path))
    return config, {key: value for key, value in record.items() if key not in ("format", "config")}


def config_bytes(config: RunConfig, record: Mapping[str, Any]) -> bytes:
    """The inverse of `read_config`."""
    return (to_json({"format": FORMAT, "config": config_to_dict(config), **record}, indent=2) + "\n").encode()


def read_problems(folder: Path) -> list[StoredProblem]:
    """The problems of the run, in the task's order. Raises InputError for a line that is none, with its number."""
    known = {field.name for field in dataclasses.fields(StoredProblem)}
    problems = []
    for number, row in read_lines(folder / PROBLEMS):
        _require_fields(row, known, where=f"{folder / PROBLEMS}, line {number}")
        problems.append(StoredProblem(**row))
    return problems


def problem_bytes(problems: Sequence[StoredProblem]) -> bytes:
    """The inverse of `read_problems`."""
    return "".join(to_json(dataclasses.asdict(problem)) + "\n" for problem in problems).encode()


def read_samples(folder: Path) -> dict[Pair, dict[str, Any]]:
    """The lines of samples.jsonl by problem and sample, in the order in which they were written.

    Raises:
        InputError: a malformed line, or a sample that is there twice, with the line's number.
    """
    samples: dict[Pair, dict[str, Any]] = {}
    for number, row in read_lines(folder / SAMPLES):
        where = f"{folder / SAMPLES}, line {number}"
        _require_fields(row, set(SAMPLE_FIELDS), where=where)
        pair = (row["problem_id"], row["sample_index"])
        if pair in samples:
            raise InputError(f"{where}: sample {pair[1]} of problem {pair[0]!r} is there twice; remove one line")
        samples[pair] = row
    return samples


def require_known(samples: Iterable[Pair], problems: Sequence[StoredProblem], *, folder: Path) -> None:
    """Check that every sample is of a problem of the run. Raises InputError."""
    ids = {problem.id for problem in problems}
    for problem_id, _ in samples:
        if problem_id not in ids:
            raise InputError(f"{folder / SAMPLES}: problem {problem_id!r} is not in {PROBLEMS}; restore the files")


def read_effort(folder: Path) -> SamplingEffort:
    """The totals of the effort log. Raises InputError for a malformed line, with its number."""
    fields = [field.name for field in dataclasses.fields(SamplingEffort)]
    total = dict.fromkeys(fields, 0)
    for number, row in read_lines(folder / EFFORT):
        _require_fields(row, set(fields), where=f"{folder / EFFORT}, line {number}")
        total = {name: total[name] + row[name] for name in fields}
    return SamplingEffort(**total)


def _require_fields(row: Mapping[str, Any], known: set[str], *, where: str) -> None:
    if wrong := sorted(known ^ row.keys()):
        state = "is missing" if wrong[0] in known else "is not known"
        raise InputError(f"{where}: field {wrong[0]!r} {state}; restore the file, or use another folder")
