"""The files of a run folder and the records that they hold: reading and checking each by itself, and what to write.

It neither creates nor repairs a folder. That the files fit together is checked in `flexeval.runs.contents`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flexeval.errors import InputError
from flexeval.models.lineage import Lineage
from flexeval.records import Grade, Problem, RunConfig, SamplingEffort, Trajectory
from flexeval.runs import schema
from flexeval.runs.checksums import (
    CHECKSUM,
    RESTORE,
    Lines,
    first_checksum,
    line_bytes,
    object_bytes,
    read_checked_lines,
    read_checked_object,
)
from flexeval.runs.config import config_from_dict, config_to_dict
from flexeval.runs.files import read_lines
from flexeval.runs.tokens import Pair

CONFIG = "config.json"
PROBLEMS = "problems.jsonl"
SAMPLES = "samples.jsonl"
EFFORT = "sampling.jsonl"
TOKENS = "tokens"
SUMMARY = "summary.json"
LOCK = ".lock"
FORMAT, UNCHECKED_FORMAT = 2, 1
"""Of the whole folder; grows when a reader of the old one would misread the new one. Format 1 has no checksums: it is
still read, and nothing is added to it."""


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
    data_hash: str = ""
    """Of what the task says of it, with what its grader reads (tests, say); empty in format 1."""


@dataclass(frozen=True, kw_only=True)
class GradedSample:
    """A finished sample, ready to be stored."""

    trajectory: Trajectory
    text: str
    pieces: Sequence[str]
    """The text that each of the `gen_length` tokens adds."""
    grade: Grade


@dataclass(frozen=True, kw_only=True)
class Header:
    """What config.json holds."""

    format: int
    config: RunConfig
    record: Mapping[str, Any]
    """Environment, source of the data, isolation, prompts, lineage."""
    key: str
    """Of the checksums, so that files of another run do not pass; see `run_key`. Empty in format 1."""
    problems: int | None
    """How many lines of problems.jsonl count; a kill may leave more. None in format 1."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """What was stored in one go: a line of sampling.jsonl."""

    effort: SamplingEffort
    shard: str
    """The file of the token rows."""
    environment: Mapping[str, Any]
    """What the samples were drawn with."""


def stored_problem(problem: Problem, prompt_ids: Sequence[int]) -> StoredProblem:
    """What is kept of a problem and its encoded prompt."""
    digest = hashlib.sha256(",".join(map(str, prompt_ids)).encode()).hexdigest()[:16]
    return StoredProblem(
        id=problem.id,
        question=problem.question,
        target=problem.target,
        prompt_length=len(prompt_ids),
        prompt_hash=digest,
        data_hash=data_hash(problem),
    )


def data_hash(problem: Problem) -> str:
    """A hash of question, target and metadata. Of metadata that JSON cannot hold, only the type counts."""
    said = [problem.question, problem.target, dict(problem.metadata)]
    text = json.dumps(said, skipkeys=True, default=lambda value: type(value).__name__)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# ----- config.json -----


def read_header(folder: Path) -> Header:
    """The configuration, and what else config.json records.

    Raises:
        InputError: the folder holds no run, a damaged one, or one of a later format.
    """
    path = folder / CONFIG
    if not os.path.exists(path):
        raise InputError(f"no run in {folder}: it has no {CONFIG}; give a folder that `flexeval passk` wrote")
    values = read_checked_object(path)
    number = values.get("format")
    if number not in (FORMAT, UNCHECKED_FORMAT) or isinstance(number, bool):
        raise InputError(
            f"{path}: format {number!r}, but this flexeval reads formats {UNCHECKED_FORMAT} and {FORMAT}; "
            f"use the version that made it, or give a folder that `flexeval passk` wrote"
        )
    schema.check(schema.CONFIG_FILE, values, where=str(path))
    has_checks = {name: name in values for name in ("id", "problems", CHECKSUM)}
    for name, present in has_checks.items():
        if present != (number == FORMAT):
            raise InputError(
                f"{path}: format {number}, but field {name!r} {'is there' if present else 'is missing'}; {RESTORE}"
            )
    if values.get("lineage"):
        Lineage.from_dict(values["lineage"], where=str(path))
    return Header(
        format=number,
        config=config_from_dict(values.get("config", {}), where=str(path)),
        record={key: value for key, value in values.items() if key not in ("format", "config", *has_checks)},
        key=values.get("id", ""),
        problems=values.get("problems"),
    )


def header_bytes(header: Header) -> bytes:
    """The inverse of `read_header`, in the present format."""
    about = {"format": FORMAT, "id": header.key, "problems": header.problems}
    values = {**about, "config": config_to_dict(header.config), **header.record}
    schema.check(
        schema.CONFIG_FILE, values, where="the record of the run", remedy="correct the model or task that says so"
    )
    return object_bytes(values)


# ----- problems.jsonl -----


def read_problems(folder: Path, header: Header) -> tuple[list[StoredProblem], Lines]:
    """The problems of the run, in the task's order. Raises InputError for a line that is none, with its number."""
    path = folder / PROBLEMS
    lines = _lines(path, header, count=header.problems)
    schema.check_rows(schema.PROBLEMS, lines.rows, where=path)
    problems = [StoredProblem(**row) for row in lines.rows]
    if not problems:
        raise InputError(f"{path}: holds no problem; {RESTORE}")
    if len({problem.id for problem in problems}) < len(problems):
        raise InputError(f"{path}: holds a problem twice; {RESTORE}")
    return problems, lines


def problem_bytes(problems: Sequence[StoredProblem], key: str) -> bytes:
    """The inverse of `read_problems`. Raises InputError for a problem that could not be read again."""
    rows = [dataclasses.asdict(problem) for problem in problems]
    schema.check_rows(schema.PROBLEMS, rows, where="the problems of the task", remedy="correct its data")
    data, _ = line_bytes(rows, first_checksum(key, PROBLEMS))
    return data


# ----- samples.jsonl -----


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


def read_samples(folder: Path, header: Header, *, count: int | None) -> tuple[dict[Pair, dict[str, Any]], Lines]:
    """The first lines of samples.jsonl by problem and sample, in the order in which they were written.

    Args:
        count: how many there must be; None in format 1, for all there are.

    Raises:
        InputError: a malformed line, too few of them, or a sample that is there twice.
    """
    path = folder / SAMPLES
    lines = _lines(path, header, count=count)
    check_samples(lines.rows, where=str(path))
    samples: dict[Pair, dict[str, Any]] = {}
    for number, row in enumerate(lines.rows, start=1):
        pair = (row["problem_id"], row["sample_index"])
        if pair in samples:
            where = f"{path}, line {number}"
            raise InputError(f"{where}: sample {pair[1]} of problem {pair[0]!r} is there twice; remove one line")
        samples[pair] = row
    return samples, lines


def check_samples(rows: Sequence[Mapping[str, Any]], *, where: str, remedy: str = RESTORE) -> None:
    """Raise InputError for a row that is no finished and graded sample."""
    schema.check_rows(schema.SAMPLES, rows, where=where, remedy=remedy)
    for number, row in enumerate(rows, start=1):
        if row["correct"] and row["error"] is not None:
            raise InputError(f"{where}, line {number}: correct, and with an error ({row['error'][:60]!r}); {remedy}")


def sample_bytes(rows: Iterable[Mapping[str, Any]], checksum: int) -> tuple[bytes, int]:
    """Lines of samples.jsonl that continue a checksum, and their own."""
    return line_bytes(rows, checksum)


# ----- sampling.jsonl -----


def read_stretches(folder: Path, header: Header) -> tuple[list[Stretch], Lines]:
    """The lines of sampling.jsonl, oldest first. Raises InputError for a malformed one, with its number."""
    path = folder / EFFORT
    lines = _lines(path, header, count=None)
    old = header.format == UNCHECKED_FORMAT
    schema.check_rows(schema.EFFORTS if old else schema.STRETCHES, lines.rows, where=path)
    stretches = []
    for row in lines.rows:
        shard, environment = row.pop("shard", ""), row.pop("environment", header.record["environment"])
        stretches.append(Stretch(effort=SamplingEffort(**row), shard=shard, environment=environment))
    return stretches, lines


def stretch_bytes(stretch: Stretch, checksum: int) -> tuple[bytes, int]:
    """A line of sampling.jsonl that continues a checksum, and its own."""
    row = {**dataclasses.asdict(stretch.effort), "shard": stretch.shard, "environment": dict(stretch.environment)}
    return line_bytes([row], checksum)


def total_effort(stretches: Iterable[Stretch]) -> SamplingEffort:
    """What all of them took."""
    names = [field.name for field in dataclasses.fields(SamplingEffort)]
    efforts = [stretch.effort for stretch in stretches]
    return SamplingEffort(**{name: sum(getattr(effort, name) for effort in efforts) for name in names})


def _lines(path: Path, header: Header, *, count: int | None) -> Lines:
    """The lines of a file, whatever the format."""
    if header.format == UNCHECKED_FORMAT:
        return Lines(rows=[row for _, row in read_lines(path)], checksum=0, size=0)
    return read_checked_lines(path, first_checksum(header.key, path.name), count=count)
