"""All that a run folder says, but for the token rows, with every file checked against the others.

sampling.jsonl is the journal: what a line of it names is stored, and nothing else is. Samples beyond its count, token
files that it does not name and problems beyond the count of config.json are what a kill left, and do not count.
summary.json is the seal of a complete run: written last, it repeats counts and checksums, which must be what is there.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flexeval.errors import InputError
from flexeval.runs.checksums import CHECKSUM, RESTORE, Lines, object_bytes, read_checked_object
from flexeval.runs.layout import (
    CONFIG,
    EFFORT,
    FORMAT,
    PROBLEMS,
    SAMPLES,
    SUMMARY,
    TOKENS,
    UNCHECKED_FORMAT,
    Header,
    StoredProblem,
    Stretch,
    read_header,
    read_problems,
    read_samples,
    read_stretches,
    total_effort,
)
from flexeval.runs.tokens import Pair, unchecked_shards


@dataclass(frozen=True, kw_only=True, eq=False)
class Contents:
    """What a run folder held when it was read."""

    header: Header
    problems: Sequence[StoredProblem]
    """In the task's order."""
    samples: Mapping[Pair, Mapping[str, Any]]
    """Lines of samples.jsonl by problem and sample, in the order in which they were written."""
    stretches: Sequence[Stretch]
    """Oldest first."""
    lines: Mapping[str, Lines]
    """Of problems.jsonl, samples.jsonl and sampling.jsonl, by name."""

    def shards(self, folder: Path) -> list[Path]:
        """The files of the token rows."""
        if self.header.format == UNCHECKED_FORMAT:
            return unchecked_shards(folder / TOKENS)
        return [folder / TOKENS / stretch.shard for stretch in self.stretches]


def read_contents(folder: Path) -> Contents:
    """Read and check a run folder, finished or not, also while another process writes it.

    Raises:
        InputError: not a run folder, or one that is damaged: the file, and the line.
    """
    while True:
        before = _state(folder)
        try:
            contents = _read(folder)
        except InputError:
            # What changes several files, growing and grading, changes one of these two, too.
            if _state(folder) == before:
                raise
        else:
            if _state(folder) == before:
                return contents


def require_checked(header: Header, *, folder: Path) -> None:
    """Raise InputError for a run of an earlier version, to which nothing may be added."""
    if header.format != FORMAT:
        raise InputError(
            f"run folder {folder} was made by an earlier version of flexeval, which stored no checksums: it can be "
            "read, but not continued, graded or added to; use another --out"
        )


def summary_of(contents: Contents) -> dict[str, Any]:
    """What summary.json says of a complete run."""
    rows, effort = contents.samples.values(), total_effort(contents.stretches)
    summary = {
        "problems": len(contents.problems),
        "samples": len(rows),
        "correct": sum(row["correct"] for row in rows),
        "errors": sum(row["error"] is not None for row in rows),
        "mean_nfe": sum(row["nfe"] for row in rows) / max(len(rows), 1),
        "sampling": {**dataclasses.asdict(effort), "saved": effort.saved},
    }
    if contents.header.format == FORMAT:
        summary["checksums"] = {name: f"{lines.checksum:08x}" for name, lines in contents.lines.items()}
    return summary


def summary_bytes(contents: Contents) -> bytes:
    """The bytes of summary.json."""
    return object_bytes(summary_of(contents))


def _state(folder: Path) -> list[bytes | None]:
    """The bytes of the files that say which run it is, and whether it is complete."""
    found: list[bytes | None] = []
    for name in (CONFIG, SUMMARY):
        try:
            found.append((folder / name).read_bytes())
        except OSError:
            found.append(None)
    return found


def _read(folder: Path) -> Contents:
    # Each file by itself; the journal first, which what it counts was written before.
    header = read_header(folder)
    if header.format == FORMAT and not (folder / TOKENS).is_dir():
        raise InputError(f"{folder / TOKENS} is missing, or no folder; restore it, or use another folder")
    stretches, of_stretches = read_stretches(folder, header)
    count = sum(stretch.effort.samples for stretch in stretches) if header.format == FORMAT else None
    samples, of_samples = read_samples(folder, header, count=count)
    problems, of_problems = read_problems(folder, header)
    contents = Contents(
        header=header,
        problems=problems,
        samples=samples,
        stretches=stretches,
        lines={PROBLEMS: of_problems, SAMPLES: of_samples, EFFORT: of_stretches},
    )

    # Against each other.
    _require_wanted(contents, folder)
    _require_sealed(contents, folder)
    return contents


def _require_wanted(contents: Contents, folder: Path) -> None:
    """Every sample is one of those that the configuration asks for, and fits its canvas."""
    ids = {problem.id for problem in contents.problems}
    config = contents.header.config
    if config.limit is not None and len(ids) > config.limit:
        raise InputError(f"{folder / PROBLEMS}: more problems than the limit of {CONFIG}; {RESTORE}")
    for (problem_id, index), row in contents.samples.items():
        if problem_id not in ids:
            raise InputError(f"{folder / SAMPLES}: problem {problem_id!r} is not in {PROBLEMS}; restore the files")
        if index >= config.num_samples or row["length"] > config.sampling.gen_length:
            raise InputError(
                f"{folder / SAMPLES}: sample {index} of problem {problem_id!r}, with {row['length']} tokens, is none "
                f"of a run of {config.num_samples} samples of at most {config.sampling.gen_length} tokens; {RESTORE}"
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
    if len(contents.samples) != len(contents.problems) * contents.header.config.num_samples:
        raise InputError(f"{path}: calls the run complete, but {CONFIG} asks for more samples; restore the folder")
