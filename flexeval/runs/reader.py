"""Everything that a run folder says, but for the token rows: each file is checked by itself and against the others.

sampling.jsonl is the journal: what its lines name is stored, and nothing else is. Samples beyond its count, token
files that it does not name and problems beyond the count of config.json are what a kill left, and do not count.
summary.json is the seal of a complete run: it is written last and repeats counts and checksums, which must be right.

Reads a folder at any time, also while another process writes it, and changes nothing.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flexeval.errors import InputError
from flexeval.models.lineage import Lineage
from flexeval.records import RunConfig
from flexeval.runs.checksums import CHECKSUM, End, first_checksum, read_checked_lines, read_checked_object
from flexeval.runs.files import RESTORE, parse_object, read_file, read_lines
from flexeval.runs.identity import config_from_dict
from flexeval.runs.layout import (
    CONFIG,
    FORMAT,
    JOURNAL,
    PROBLEMS,
    SAMPLES,
    SUMMARY,
    TOKENS,
    UNCHECKED_FORMAT,
    ConfigFile,
    EffortLine,
    Flush,
    Header,
    SampleKey,
    StoredProblem,
    check,
    check_samples,
    checked_rows,
    total_effort,
)
from flexeval.runs.shards import WHOLE, Shard


@dataclass(frozen=True, kw_only=True, eq=False)
class Contents:
    """What a run folder holds. Its writer adds to it what it adds to the folder."""

    header: Header
    problems: Sequence[StoredProblem]
    """In the task's order."""
    samples: dict[SampleKey, dict[str, Any]]
    """Lines of samples.jsonl, in the order in which they were written."""
    journal: list[Flush]
    """Oldest first."""
    ends: dict[str, End]
    """Of problems.jsonl, samples.jsonl and sampling.jsonl, by name."""

    def wanted(self, limit: int | None = None) -> Sequence[StoredProblem]:
        """The problems that the folder is for: all, or the share of a shard; of the first ones with a limit."""
        return self.header.shard.of(self.problems[:limit])

    def count(self, *, num_samples: int, limit: int | None) -> int:
        """How many samples are there of the first so many of each of the first problems."""
        wanted = {problem.id for problem in self.wanted(limit)}
        return sum(problem_id in wanted and index < num_samples for problem_id, index in self.samples)

    def shards(self, folder: Path) -> list[Path]:
        """The files of the token rows, oldest first."""
        if self.header.format == UNCHECKED_FORMAT:
            return sorted((folder / TOKENS).glob("part-*.parquet"))
        return [folder / TOKENS / flush.shard for flush in self.journal if flush.shard is not None]

    def revised(self, folder: Path) -> list[Path]:
        """The files of what was taken back, oldest first."""
        return [folder / TOKENS / flush.revised for flush in self.journal if flush.revised is not None]


def read_contents(folder: Path) -> Contents:
    """Read and check a run folder, finished or not, also while another process writes it.

    Raises:
        InputError: not a run folder, or one that is damaged: the file, and the line.
    """
    while True:
        before = _version(folder)
        try:
            contents = _read(folder)
        except InputError:
            # What changes several files, growing and grading, changes one of these, too.
            if _version(folder) == before:
                raise
        else:
            if _version(folder) == before:
                return contents


def read_header(folder: Path) -> Header:
    """The configuration, and what else config.json records.

    Raises:
        InputError: the folder holds no run, a damaged one, or one of a later format.
    """
    path = folder / CONFIG
    if not os.path.exists(path):
        raise InputError(f"no run in {folder}: it has no {CONFIG}; give a folder that `flexeval passk` wrote")
    # Of a later format, the checksum may be of another kind.
    _check_format(parse_object(read_file(path), where=str(path)), where=str(path))
    return header_of(read_checked_object(path), where=str(path))


def _check_format(values: Mapping[str, Any], *, where: str) -> None:
    number = values.get("format")
    if number not in (FORMAT, UNCHECKED_FORMAT) or isinstance(number, bool):
        raise InputError(
            f"{where}: format {number!r}, but this flexeval reads formats {UNCHECKED_FORMAT} and {FORMAT}; "
            f"use the version that made it, or give a folder that `flexeval passk` wrote"
        )


def header_of(values: Mapping[str, Any], *, where: str) -> Header:
    """The values of a config.json, checked. Raises InputError, which calls the file `where`."""
    _check_format(values, where=where)
    number = values["format"]
    check(ConfigFile, values, where=where)
    has_checks = {name: name in values for name in ("id", "problems", CHECKSUM)}
    for name, present in has_checks.items():
        if present != (number == FORMAT):
            raise InputError(
                f"{where}: format {number}, but field {name!r} {'is there' if present else 'is missing'}; {RESTORE}"
            )
    if values.get("lineage"):
        Lineage.from_dict(values["lineage"], where=where)
    try:
        shard = Shard(**values["shard"]) if "shard" in values else WHOLE
    except InputError as error:
        raise InputError(f"{where}: {error}; {RESTORE}") from None
    return Header(
        format=number,
        config=config_from_dict(values.get("config", {}), where=where),
        shard=shard,
        record={key: value for key, value in values.items() if key not in ("format", "config", "shard", *has_checks)},
        key=values.get("id", ""),
        problems=values.get("problems"),
    )


def read_journal(folder: Path, header: Header) -> tuple[list[Flush], End]:
    """The lines of sampling.jsonl, oldest first. Raises InputError for a malformed one, with its number."""
    path = folder / JOURNAL
    rows, end = _lines(path, header, count=None)
    if header.format == FORMAT:
        return checked_rows(Flush, rows, where=str(path)), end
    efforts = checked_rows(EffortLine, rows, where=str(path))
    drawn_with = header.record["environment"]
    return [Flush(**dataclasses.asdict(effort), shard="", environment=drawn_with) for effort in efforts], end


def summary_of(contents: Contents) -> dict[str, Any]:
    """What summary.json says of a complete run."""
    rows, effort = contents.samples.values(), total_effort(contents.journal)
    verdicts = Counter(name for row in rows for name, holds in row.get("verdicts", {}).items() if holds)
    summary = {
        "problems": len(contents.wanted()),
        "samples": len(rows),
        "correct": sum(row["correct"] for row in rows),
        "errors": sum(row["error"] is not None for row in rows),
        "mean_nfe": sum(row["nfe"] for row in rows) / max(len(rows), 1),
        "sampling": {**dataclasses.asdict(effort), "saved": effort.saved},
    }
    if verdicts:
        summary["verdicts"] = dict(sorted(verdicts.items()))
    if contents.header.format == FORMAT:
        summary["checksums"] = {name: f"{end.checksum:08x}" for name, end in contents.ends.items()}
    return summary


def _version(folder: Path) -> list[bytes | int | None]:
    """What changes when a folder changes in any other way than by growing.

    The bytes of the files that say which run it is, and whether it is complete; and the number that the file system
    gives to samples.jsonl, which is replaced when its lines are put in order.
    """
    found: list[bytes | int | None] = []
    for name in (CONFIG, SUMMARY):
        try:
            found.append(read_file(folder / name))
        except InputError:
            found.append(None)
    try:
        found.append((folder / SAMPLES).stat().st_ino)
    except OSError:
        found.append(None)
    return found


def _read(folder: Path) -> Contents:
    # Each file by itself; the journal first, because what it counts was written before it.
    header = read_header(folder)
    if header.format == FORMAT and not (folder / TOKENS).is_dir():
        raise InputError(f"{folder / TOKENS} is missing, or no folder; restore it, or use another folder")
    journal, journal_end = read_journal(folder, header)
    count = sum(flush.samples for flush in journal) if header.format == FORMAT else None
    samples, samples_end = _read_samples(folder, header, count=count)
    problems, problems_end = read_problems(folder, header)
    contents = Contents(
        header=header,
        problems=problems,
        samples=samples,
        journal=journal,
        ends={PROBLEMS: problems_end, SAMPLES: samples_end, JOURNAL: journal_end},
    )

    # Against each other.
    _require_wanted(contents, folder)
    _require_sealed(contents, folder)
    return contents


def read_problems(folder: Path, header: Header) -> tuple[list[StoredProblem], End]:
    """The problems of the run, in the task's order."""
    path = folder / PROBLEMS
    rows, end = _lines(path, header, count=header.problems)
    problems = checked_rows(StoredProblem, rows, where=str(path))
    if not problems:
        raise InputError(f"{path}: holds no problem; {RESTORE}")
    if len({problem.id for problem in problems}) < len(problems):
        raise InputError(f"{path}: holds a problem twice; {RESTORE}")
    return problems, end


def _read_samples(folder: Path, header: Header, *, count: int | None) -> tuple[dict[SampleKey, dict[str, Any]], End]:
    """The first lines of samples.jsonl; `count` of them, or all in format 1."""
    path = folder / SAMPLES
    rows, end = _lines(path, header, count=count)
    check_samples(rows, where=str(path))
    samples: dict[SampleKey, dict[str, Any]] = {}
    for number, row in enumerate(rows, start=1):
        key = (row["problem_id"], row["sample_index"])
        if key in samples:
            where = f"{path}, line {number}"
            raise InputError(f"{where}: sample {key[1]} of problem {key[0]!r} is there twice; remove one line")
        samples[key] = row
    return samples, end


def _lines(path: Path, header: Header, *, count: int | None) -> tuple[list[dict[str, Any]], End]:
    """The lines of a file, whatever the format."""
    if header.format == UNCHECKED_FORMAT:
        return [row for _, row in read_lines(path)], End(checksum=0, size=0)
    return read_checked_lines(path, first_checksum(header.key, path.name), count=count)


def _require_wanted(contents: Contents, folder: Path) -> None:
    """Every sample is one of those that the configuration asks for, and fits its canvas."""
    ids = {problem.id for problem in contents.wanted()}
    config: RunConfig = contents.header.config
    if config.limit is not None and len(contents.problems) > config.limit:
        raise InputError(f"{folder / PROBLEMS}: more problems than the limit of {CONFIG}; {RESTORE}")
    for (problem_id, index), row in contents.samples.items():
        if problem_id not in ids:
            where = PROBLEMS if contents.header.shard == WHOLE else f"{PROBLEMS}, or of another shard"
            raise InputError(f"{folder / SAMPLES}: problem {problem_id!r} is not in {where}; restore the files")
        if index >= config.num_samples or row["length"] > config.sampling.gen_length:
            raise InputError(
                f"{folder / SAMPLES}: sample {index} of problem {problem_id!r}, with {row['length']} tokens, does not "
                f"belong to a run of {config.num_samples} samples of at most {config.sampling.gen_length} tokens; "
                f"{RESTORE}"
            )


def _require_sealed(contents: Contents, folder: Path) -> None:
    """What summary.json says, if there is one, is what is there."""
    path = folder / SUMMARY
    if not os.path.lexists(path):
        return
    stored, found = read_checked_object(path), summary_of(contents)
    if stored.pop(CHECKSUM, None) is None and contents.header.format == FORMAT:
        raise InputError(f"{path}: has lost its checksum; {RESTORE}")
    for name, value in found.items():
        if name not in stored or stored[name] != value:
            raise InputError(
                f"{path}: says {name} {stored.get(name)!r}, but the run has {value!r}: something was lost or changed; "
                "restore the folder, or use another"
            )
    if len(contents.samples) != len(contents.wanted()) * contents.header.config.num_samples:
        raise InputError(f"{path}: calls the run complete, but {CONFIG} asks for more samples; restore the folder")
