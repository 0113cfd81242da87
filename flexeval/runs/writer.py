"""The only way to write a run folder: one process at a time, and whole whenever it is killed.

The order of writes is what makes a kill harmless. A shard of token rows is in place before the lines of its samples,
and these before the line of the journal (sampling.jsonl) that counts them: then they exist, all together.
`summary.json` goes before anything is added and comes last. So all that a kill can leave is a temporary file, half a
line, lines or a shard that the journal does not count, or problems that config.json does not, and opening the folder
again removes these.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flexeval.errors import InputError
from flexeval.records import Grade, RunConfig, SamplingEffort
from flexeval.runs.checksums import first_checksum, keep_checked_lines
from flexeval.runs.config import larger_extent, require_same_model, require_same_run, run_key
from flexeval.runs.contents import Contents, read_contents, require_checked, summary_bytes
from flexeval.runs.files import append_bytes, drop_temporaries, locked, replace_file
from flexeval.runs.grading import graded
from flexeval.runs.layout import (
    CONFIG,
    EFFORT,
    FORMAT,
    LOCK,
    PROBLEMS,
    SAMPLES,
    SUMMARY,
    TOKENS,
    GradedSample,
    Header,
    StoredProblem,
    Stretch,
    check_samples,
    grade_fields,
    header_bytes,
    problem_bytes,
    read_header,
    sample_bytes,
    sample_row,
    stretch_bytes,
)
from flexeval.runs.tokens import Pair, require_shards, write_shard


class RunWriter:
    """A run folder that this process has locked and repaired. Made by `open_run` and `reopen_run`."""

    def __init__(
        self,
        folder: Path,
        header: Header,
        problems: Sequence[StoredProblem],
        environment: Mapping[str, Any],
        contents: Contents | None,
    ) -> None:
        """
        Args:
            folder: locked.
            header: what config.json is to say.
            problems: of the run.
            environment: what is added is drawn with.
            contents: what the folder holds; None for a new run.
        """
        self.folder = folder
        self.config = header.config
        """Of the folder, which may hold more than was asked for."""
        self.problems = tuple(problems)
        self._key = header.key
        self._environment = environment
        self._done = set(contents.samples) if contents else set()
        self._shards = len(contents.stretches) if contents else 0
        self._checksums = {
            name: contents.lines[name].checksum if contents else first_checksum(header.key, name)
            for name in (SAMPLES, EFFORT)
        }

    def __contains__(self, pair: Pair) -> bool:
        return pair in self._done

    def missing(self, *, num_samples: int, limit: int | None) -> Iterator[Pair]:
        """The samples that are not there yet, problem by problem; found one at a time, for there may be millions."""
        wanted = ((p.id, index) for p in self.problems[:limit] for index in range(num_samples))
        return (pair for pair in wanted if pair not in self._done)

    def count_missing(self, *, num_samples: int, limit: int | None) -> int:
        """How many samples are not there yet."""
        wanted = {problem.id for problem in self.problems[:limit]}
        there = sum(problem_id in wanted and index < num_samples for problem_id, index in self._done)
        return len(wanted) * num_samples - there

    def append(self, samples: Sequence[GradedSample], effort: SamplingEffort) -> None:
        """Add finished samples and what they took.

        Raises:
            InputError: a verdict that is none, from the grader of a task that somebody added.
            OSError: something could not be written; what was begun is undone, and the folder can be continued.
            ValueError: a sample that is there already.
        """
        pairs = [(sample.trajectory.problem_id, sample.trajectory.sample_index) for sample in samples]
        if repeated := self._done.intersection(pairs):
            raise ValueError(f"samples are there already: {sorted(repeated)[:3]}")
        rows = [sample_row(sample) for sample in samples]
        check_samples(rows, where="samples that are to be stored", remedy="correct the grader of the task")

        tokens, trajectories, pieces = (
            self.folder / TOKENS,
            [s.trajectory for s in samples],
            [s.pieces for s in samples],
        )
        shard = write_shard(tokens, self._shards, trajectories, pieces, key=self._key)
        stretch = Stretch(effort=effort, shard=shard.name, environment=self._environment)
        lines, of_samples = sample_bytes(rows, self._checksums[SAMPLES])
        line, of_effort = stretch_bytes(stretch, self._checksums[EFFORT])
        try:
            size = append_bytes(self.folder / SAMPLES, lines)
            try:
                append_bytes(self.folder / EFFORT, line)
            except OSError:
                os.truncate(self.folder / SAMPLES, size)
                raise
        except OSError:
            shard.unlink()
            raise
        self._checksums = {SAMPLES: of_samples, EFFORT: of_effort}
        self._shards += 1
        self._done.update(pairs)

    def regrade(self, grade: Callable[[str, str], Grade]) -> None:
        """Put new verdicts on all finished samples, in one step.

        Args:
            grade: problem id and text -> verdict; called from several threads.

        Raises:
            InputError: as `append`.
            OSError: they could not be written; the old verdicts stay.
        """
        rows = read_contents(self.folder).samples.values()
        verdicts = graded(rows, lambda row: grade(row["problem_id"], row["text"]))
        regraded = [{**row, **grade_fields(verdict)} for row, verdict in verdicts]
        check_samples(regraded, where="verdicts that are to be stored", remedy="correct the grader of the task")
        data, self._checksums[SAMPLES] = sample_bytes(regraded, first_checksum(self._key, SAMPLES))
        (self.folder / SUMMARY).unlink(missing_ok=True)
        replace_file(self.folder / SAMPLES, data)

    def finish(self) -> None:
        """Write summary.json if nothing is missing."""
        if not self.count_missing(num_samples=self.config.num_samples, limit=None):
            replace_file(self.folder / SUMMARY, summary_bytes(read_contents(self.folder)))


@contextlib.contextmanager
def open_run(
    folder: Path, config: RunConfig, problems: Sequence[StoredProblem], record: Mapping[str, Any]
) -> Iterator[RunWriter]:
    """Lock a folder for a run: create it, or continue it where its run is the same.

    Args:
        folder: new, empty, or a run folder. Parents are created.
        config: canonical. `num_samples` and `limit` may be larger or smaller than the folder's; a folder only grows.
        problems: all that `config.limit` admits, in the task's order.
        record: what config.json is to say beside the configuration; "environment" has a "dtype", and "model" is a
            fingerprint.

    Raises:
        InputError: another configuration, another model under the same name, other problems, another dtype, a folder of
            something else, a folder in use, or damage that no kill of ours leaves behind.
        OSError: the folder cannot be written.
    """
    _claim(folder)
    with _locked(folder):
        drop_temporaries(folder)
        if (folder / CONFIG).exists():
            contents = _repaired(folder, config)
            stored = contents.header
            require_same_model(stored.record, record["model"], folder=f"run folder {folder}")
            _require_same_dtype(stored.record, record, folder)
            _require_same_problems(contents.problems, problems, config.limit, folder)
            problems = max(contents.problems, problems, key=len)
            header = dataclasses.replace(stored, config=larger_extent(stored.config, config), problems=len(problems))
        else:
            contents = None
            header = Header(
                format=FORMAT, config=config, record=record, key=run_key(config, record), problems=len(problems)
            )
            (folder / TOKENS).mkdir(exist_ok=True)
            for name in (SAMPLES, EFFORT):
                replace_file(folder / name, b"")
        writer = RunWriter(folder, header, problems, record["environment"], contents)
        if writer.count_missing(num_samples=config.num_samples, limit=None):
            (folder / SUMMARY).unlink(missing_ok=True)
        # The configuration comes last: it is what makes this a run folder.
        replace_file(folder / PROBLEMS, problem_bytes(problems, header.key))
        replace_file(folder / CONFIG, header_bytes(header))
        yield writer


@contextlib.contextmanager
def reopen_run(folder: Path) -> Iterator[RunWriter]:
    """Lock a folder that holds a run, whatever its configuration.

    Raises:
        InputError: not a run folder, a folder in use, or damage that no kill of ours leaves behind.
    """
    require_checked(read_header(folder), folder=folder)
    with _locked(folder):
        drop_temporaries(folder)
        contents = _repaired(folder)
        yield RunWriter(folder, contents.header, contents.problems, contents.header.record["environment"], contents)


def _locked(folder: Path) -> contextlib.AbstractContextManager[None]:
    return locked(folder / LOCK, busy=f"run folder {folder}")


def _claim(folder: Path) -> None:
    """Create the folder, and refuse one that holds anything but a run or the beginning of one."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder to write the run to")
    folder.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(folder / CONFIG):
        return
    begun = {LOCK, TOKENS, PROBLEMS, SAMPLES, EFFORT, *(path.name for path in folder.glob("*.json*.tmp"))}
    for path in sorted(folder.iterdir()):
        if path.name not in begun:
            raise InputError(f"{folder} is not a run folder, but holds {path.name!r}; use another or an empty --out")
    # What is begun has neither samples nor token rows.
    tokens = folder / TOKENS
    stored = [path for path in (folder / SAMPLES, folder / EFFORT) if path.exists() and path.stat().st_size]
    stored += list(tokens.iterdir()) if tokens.is_dir() else [tokens][: tokens.exists()]
    if stored:
        raise InputError(
            f"{folder} holds a run that has lost its {CONFIG} ({stored[0].name!r} is there); restore it, or use "
            "another or an empty --out"
        )


def _repaired(folder: Path, wanted: RunConfig | None = None) -> Contents:
    """What a folder holds, once what a kill left half-done is removed. Raises InputError for any other damage.

    Args:
        folder: locked.
        wanted: the run that it must be; None for any.
    """
    contents = read_contents(folder)
    if wanted is not None:
        require_same_run(contents.header.config, wanted, folder=folder)
    require_checked(contents.header, folder=folder)
    counted = contents.shards(folder)
    require_shards(counted, key=contents.header.key)
    for path in (folder / TOKENS).glob("part-*.parquet*"):
        if path not in counted and path.is_file():
            path.unlink()
    for name in (SAMPLES, EFFORT):
        keep_checked_lines(folder / name, contents.lines[name])
    return contents


def _require_same_dtype(stored: Mapping[str, Any], record: Mapping[str, Any], folder: Path) -> None:
    theirs, ours = (about.get("environment", {}).get("dtype") for about in (stored, record))
    if theirs != ours:
        raise InputError(
            f"run folder {folder} was made with dtype {theirs}, not {ours}; use another --out, or dtype {theirs}"
        )


def _require_same_problems(
    stored: Sequence[StoredProblem], problems: Sequence[StoredProblem], limit: int | None, folder: Path
) -> None:
    made_from = f"run folder {folder} was made from other data"
    instead = "use another --out, or the data that it was made from"
    if len(problems) < min(len(stored), limit or len(stored)):
        raise InputError(f"{made_from}: {len(stored)} problems then, {len(problems)} now; {instead}")
    for theirs, ours in zip(stored, problems, strict=False):
        for field in dataclasses.fields(StoredProblem):
            if getattr(theirs, field.name) != getattr(ours, field.name):
                name = field.name.replace("_", " ")
                raise InputError(f"{made_from}: problem {theirs.id!r} has another {name} now; {instead}")
