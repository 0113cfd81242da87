"""The only way to write a run folder: one process at a time, and whole whenever it is killed.

The order of writes is what makes a kill harmless. A shard of token rows is in place before the lines of its samples,
and these before the line of the journal (sampling.jsonl) that counts them: then they exist, all together.
`summary.json` is removed before anything is added, and written last. So all that a kill can leave is a temporary file,
half a line, lines or a shard that the journal does not count, or problems that config.json does not count. Opening the
folder again removes these.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flexeval.errors import InputError
from flexeval.records import Grade, RunConfig, SamplingEffort
from flexeval.runs.checksums import End, first_checksum, line_bytes, object_bytes
from flexeval.runs.files import RESTORE, append_bytes, cut_lines, drop_temporaries, locked, replace_file
from flexeval.runs.identity import (
    CODES,
    config_to_dict,
    larger_extent,
    require_same_code,
    require_same_model,
    require_same_problems,
    require_same_run,
    run_key,
)
from flexeval.runs.joining import begun_shards, is_begun
from flexeval.runs.layout import (
    CONFIG,
    DERIVED,
    FORMAT,
    JOURNAL,
    LOCK,
    PROBLEMS,
    SAMPLES,
    SUMMARY,
    TOKENS,
    ConfigFile,
    Flush,
    GradedSample,
    Header,
    SampleKey,
    StoredProblem,
    check,
    check_samples,
    checked_rows,
)
from flexeval.runs.reader import Contents, header_of, read_contents, read_header, read_problems, summary_of
from flexeval.runs.revisions import write_revisions
from flexeval.runs.shards import WHOLE, Shard, shard_named, shards_below
from flexeval.runs.tokens import require_shards, write_shard


class RunWriter:
    """A run folder that this process has locked and repaired. Made by `open_run` and `reopen_run`."""

    def __init__(self, folder: Path, contents: Contents, environment: Mapping[str, Any]) -> None:
        """
        Args:
            folder: locked.
            contents: what the folder holds; what is added to the folder is added here, too.
            environment: what is added is drawn with.
        """
        self.folder = folder
        self.contents = contents
        self._environment = environment

    def missing(self, *, num_samples: int, limit: int | None, longest_first: bool = False) -> Iterator[SampleKey]:
        """The samples that are not there yet, problem by problem; found one at a time, for there may be millions.

        Args:
            num_samples: wanted of each problem.
            limit: wanted problems, the first ones; None for all.
            longest_first: begin with the problems that have the longest prompts, which take longest; else in the
                task's order.
        """
        problems = self.contents.wanted(limit)
        if longest_first:
            problems = sorted(problems, key=lambda problem: -problem.prompt_length)
        wanted = ((p.id, index) for p in problems for index in range(num_samples))
        return (key for key in wanted if key not in self.contents.samples)

    def count_missing(self, *, num_samples: int, limit: int | None) -> int:
        """How many samples are not there yet."""
        stored = self.contents.count(num_samples=num_samples, limit=limit)
        return len(self.contents.wanted(limit)) * num_samples - stored

    def append(
        self,
        samples: Sequence[GradedSample],
        effort: SamplingEffort,
        environment: Mapping[str, Any] | None = None,
        *,
        forecast: float | None = None,
    ) -> None:
        """Add finished samples.

        Args:
            samples: at least one.
            effort: what they took.
            environment: what they were drawn with; None for what the folder was opened with.
            forecast: seconds that all that was missing was expected to take.

        Raises:
            InputError: a verdict with a wrong field, from the grader of a task that somebody added.
            OSError: something could not be written; what was begun is undone, and the folder can be continued.
            ValueError: a sample that is there already.
        """
        rows = {(s.trajectory.problem_id, s.trajectory.sample_index): _sample_row(s) for s in samples}
        if repeated := self.contents.samples.keys() & rows.keys():
            raise ValueError(f"samples are there already: {sorted(repeated)[:3]}")
        check_samples(
            list(rows.values()), where="samples that are to be stored", remedy="correct the grader of the task"
        )

        # Token rows, then samples, then the journal.
        journal, ends = self.contents.journal, self.contents.ends
        drawn_with = dict(self._environment if environment is None else environment)
        key = self.contents.header.key
        shard = write_shard(self.folder / TOKENS, len(journal), samples, key=key)
        shards = [shard]
        revised = None
        if any(len(sample.trajectory.revisions) for sample in samples):
            try:
                shards.append(write_revisions(self.folder / TOKENS, len(journal), samples, key=key))
            except OSError:
                shard.unlink()
                raise
            revised = shards[-1].name
        flush = Flush(
            **dataclasses.asdict(effort),
            shard=shard.name,
            environment=drawn_with,
            revised=revised,
            forecast=forecast,
        )
        new_lines = {
            SAMPLES: line_bytes(rows.values(), ends[SAMPLES].checksum),
            JOURNAL: line_bytes([flush.as_dict()], ends[JOURNAL].checksum),
        }
        try:
            size = append_bytes(self.folder / SAMPLES, new_lines[SAMPLES][0])
            try:
                append_bytes(self.folder / JOURNAL, new_lines[JOURNAL][0])
            except OSError:
                os.truncate(self.folder / SAMPLES, size)
                raise
        except OSError:
            for path in shards:
                path.unlink()
            raise
        self.contents.samples.update(rows)
        journal.append(flush)
        for name, (data, checksum) in new_lines.items():
            ends[name] = End(checksum=checksum, size=ends[name].size + len(data))

    def replace_grades(self, grades: Sequence[Grade], *, task_code: str | None = None) -> None:
        """Put new verdicts on all samples, in one step.

        Args:
            grades: in the order of `contents.samples`.
            task_code: of the code that gave them, where it is not flexeval's.

        Raises:
            InputError: as `append`.
            OSError: they could not be written; the old verdicts stay.
        """
        samples = self.contents.samples
        others = ({name: value for name, value in row.items() if name != "verdicts"} for row in samples.values())
        rows = [
            {**row, **grade_fields(grade), **own_verdicts(grade)} for row, grade in zip(others, grades, strict=True)
        ]
        check_samples(rows, where="verdicts that are to be stored", remedy="correct the grader of the task")
        self._replace_samples(dict(zip(samples, rows, strict=True)))
        header = self.contents.header
        if task_code not in (None, header.record.get("task_code")):
            header = dataclasses.replace(header, record={**header.record, "task_code": task_code})
            replace_file(self.folder / CONFIG, header_bytes(header))
            self.contents = dataclasses.replace(self.contents, header=header)

    def finish(self) -> None:
        """If nothing is missing, put the samples in the order of the problems and write summary.json.

        So samples.jsonl of a complete run is the same to the byte, whoever drew the samples and when.
        """
        if self.count_missing(num_samples=self.contents.header.config.num_samples, limit=None):
            return
        if list(self.contents.samples) != (keys := sorted_keys(self.contents)):
            self._replace_samples({key: self.contents.samples[key] for key in keys})
        replace_file(self.folder / SUMMARY, object_bytes(summary_of(self.contents)))

    def _replace_samples(self, rows: dict[SampleKey, dict[str, Any]]) -> None:
        """Put other lines of the same samples in their place, in one step. Raises OSError, the old ones untouched."""
        data, checksum = line_bytes(rows.values(), first_checksum(self.contents.header.key, SAMPLES))
        replace_file(self.folder / SAMPLES, data, outdated=self.folder / SUMMARY)
        self.contents.samples.clear()
        self.contents.samples.update(rows)
        self.contents.ends[SAMPLES] = End(checksum=checksum, size=len(data))


def sorted_keys(contents: Contents) -> list[SampleKey]:
    """The samples of a folder in the order of the problems, and of a problem by number."""
    place = {problem.id: place for place, problem in enumerate(contents.problems)}
    return sorted(contents.samples, key=lambda key: (place[key[0]], key[1]))


@contextlib.contextmanager
def open_run(
    folder: Path,
    config: RunConfig,
    problems: Sequence[StoredProblem],
    record: Mapping[str, Any],
    *,
    shard: Shard = WHOLE,
) -> Iterator[RunWriter]:
    """Lock a folder for a run: create it, or continue it where its run is the same.

    Args:
        folder: new, empty, or a run folder. Parents are created.
        config: canonical. `num_samples` and `limit` may be larger or smaller than the folder's; a folder only grows.
        problems: all that `config.limit` admits, in the task's order.
        record: what config.json is to say beside the configuration; "environment" has a "dtype", and "model" is a
            fingerprint.
        shard: which of the problems the folder is for; one of `Shard.folder`.

    Raises:
        InputError: another configuration, another model under the same name, other problems, other code of order or
            task, another dtype, a folder of something else, a folder in use, or damage that no kill of ours leaves
            behind.
        OSError: the folder cannot be written.
    """
    require_place(folder, shard)
    if not (folder / CONFIG).exists():
        config = _as_beside(folder, config, problems, record, shard)
    folder.mkdir(parents=True, exist_ok=True)
    with lock_run(folder):
        stored = _repaired(folder, config) if (folder / CONFIG).exists() else None
        if stored is not None:
            header = stored.header
            if header.shard != shard:
                raise InputError(f"run folder {folder} is shard {header.shard} of a run, not {shard}; {RESTORE}")
            dtype = record["environment"]["dtype"]
            require_same_model(header.record, record["model"], dtype=dtype, folder=f"run folder {folder}")
            require_same_problems(stored.problems, problems, config.limit, folder=folder)
            require_same_code(header.record, record, folder=f"run folder {folder}")
            problems = max(stored.problems, problems, key=len)
            about = {**header.record, **{name: record[name] for name in CODES if name in record}}
            header = dataclasses.replace(
                header, config=larger_extent(header.config, config), record=about, problems=len(problems)
            )
        else:
            key = run_key(config, record)
            header = Header(format=FORMAT, config=config, record=record, key=key, problems=len(problems), shard=shard)
            (folder / TOKENS).mkdir(exist_ok=True)
            for name in (SAMPLES, JOURNAL):
                replace_file(folder / name, b"")
        problem_lines, problems_end = problem_bytes(problems, header.key)
        config_json = header_bytes(header)
        contents = Contents(
            # As a reader will find it.
            header=header_of(json.loads(config_json), where=str(folder / CONFIG)),
            problems=problems,
            samples=stored.samples if stored else {},
            journal=stored.journal if stored else [],
            ends={
                PROBLEMS: problems_end,
                **{
                    name: stored.ends[name] if stored else End(checksum=first_checksum(header.key, name), size=0)
                    for name in (SAMPLES, JOURNAL)
                },
            },
        )
        writer = RunWriter(folder, contents, record["environment"])
        if writer.count_missing(num_samples=config.num_samples, limit=None):
            (folder / SUMMARY).unlink(missing_ok=True)
        # The configuration comes last: it is what makes this a run folder.
        replace_file(folder / PROBLEMS, problem_lines)
        replace_file(folder / CONFIG, config_json)
        yield writer


def _as_beside(
    folder: Path, config: RunConfig, problems: Sequence[StoredProblem], record: Mapping[str, Any], shard: Shard
) -> RunConfig:
    """The configuration of a new shard, which names the model's folder as the run's other shards do, though it may have
    been moved since. Raises InputError where it would be no shard of their run.
    """
    for other in [] if shard == WHOLE else begun_shards(folder.parent):
        try:
            header = read_header(other)
            listed, _ = read_problems(other, header)
        except InputError:
            continue  # whoever reads that shard says why it cannot be read
        named, dtype = f"run folder {other}", record["environment"]["dtype"]
        require_same_run(header.config, config, folder=other)
        require_same_model(header.record, record["model"], dtype=dtype, folder=named)
        require_same_problems(listed, problems, config.limit, folder=other)
        require_same_code(header.record, record, folder=named)
        config = dataclasses.replace(config, model=header.config.model, adapter=header.config.adapter)
    return config


@contextlib.contextmanager
def reopen_run(folder: Path) -> Iterator[RunWriter]:
    """Lock a folder that holds a run, whatever its configuration.

    Raises:
        InputError: not a run folder, a folder in use, or damage that no kill of ours leaves behind.
    """
    require_checksums(read_header(folder).key, folder=folder)
    with lock_run(folder):
        contents = _repaired(folder)
        yield RunWriter(folder, contents, contents.header.record["environment"])


@contextlib.contextmanager
def lock_run(folder: Path) -> Iterator[None]:
    """Keep other writers out of a run folder, and remove temporary files that a kill left.

    Raises:
        InputError: another process holds the lock.
    """
    with locked(folder / LOCK, busy=f"run folder {folder}"):
        drop_temporaries(folder)
        yield


def require_checksums(key: str, *, folder: Path) -> None:
    """Raise InputError for a run of an earlier version, to which nothing may be added; its `key` is empty."""
    if not key:
        raise InputError(
            f"run folder {folder} was made by an earlier version of flexeval, which stored no checksums: it can be "
            "read, but not continued, graded or added to; use another --out"
        )


# ----- what the files hold -----


def header_bytes(header: Header) -> bytes:
    """config.json, in the present format. Raises InputError for a record that could not be read again."""
    about: dict[str, Any] = {"format": FORMAT, "id": header.key, "problems": header.problems}
    if header.shard != WHOLE:
        about["shard"] = dataclasses.asdict(header.shard)
    values = {**about, "config": config_to_dict(header.config), **header.record}
    check(ConfigFile, values, where="the record of the run", remedy="correct the model or task that says so")
    return object_bytes(values)


def problem_bytes(problems: Sequence[StoredProblem], key: str) -> tuple[bytes, End]:
    """problems.jsonl, and its end. Raises InputError for a problem that could not be read again."""
    rows = [dataclasses.asdict(problem) for problem in problems]
    checked_rows(StoredProblem, rows, where="the problems of the task", remedy="correct its data")
    data, checksum = line_bytes(rows, first_checksum(key, PROBLEMS))
    return data, End(checksum=checksum, size=len(data))


def _sample_row(sample: GradedSample) -> dict[str, Any]:
    """The line of samples.jsonl."""
    trajectory = sample.trajectory
    return {
        "problem_id": trajectory.problem_id,
        "sample_index": trajectory.sample_index,
        "text": sample.text,
        **grade_fields(sample.grade),
        "nfe": trajectory.nfe,
        "length": trajectory.length,
        **({"capped": True} if trajectory.capped else {}),
        **own_verdicts(sample.grade),
    }


def grade_fields(grade: Grade) -> dict[str, Any]:
    """The part of a line that `flexeval grade` replaces, with `own_verdicts`."""
    return {"extracted": grade.extracted, "rule": grade.rule, "correct": grade.correct, "error": grade.error}


def own_verdicts(grade: Grade) -> dict[str, Any]:
    """The task's own verdicts, at the end of a line."""
    return {"verdicts": dict(sorted(grade.verdicts.items()))} if grade.verdicts else {}


# ----- opening -----


def require_place(folder: Path, shard: Shard) -> None:
    """Raise InputError for a folder that holds anything but a run or the beginning of one, and for a whole run beside
    its shards; changes nothing.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder to write the run to")
    _require_undivided(folder) if shard == WHOLE else _require_divided(folder.parent, shard)
    if not folder.exists() or os.path.lexists(folder / CONFIG):
        return
    begun = {LOCK, TOKENS, PROBLEMS, SAMPLES, JOURNAL, *(path.name for path in folder.glob("*.json*.tmp"))}
    for path in sorted(folder.iterdir()):
        if path.name in begun or path.name.startswith(DERIVED):
            continue
        if not (path.is_dir() and shard_named(path) and not is_begun(path)):
            raise InputError(f"{folder} is not a run folder, but holds {path.name!r}; use another or an empty --out")
    # What is begun has neither samples nor token rows.
    tokens = folder / TOKENS
    stored = [path for path in (folder / SAMPLES, folder / JOURNAL) if path.exists() and path.stat().st_size]
    stored += list(tokens.iterdir()) if tokens.is_dir() else [tokens][: tokens.exists()]
    if stored:
        raise InputError(
            f"{folder} holds a run that has lost its {CONFIG} ({stored[0].name!r} is there); restore it, or use "
            "another or an empty --out"
        )


def _require_undivided(folder: Path) -> None:
    """Raise InputError where shards lie in the folder of a run."""
    if not (folder / CONFIG).exists() and (found := _begun(folder)):
        raise InputError(
            f"{folder} holds shards of the run ({', '.join(map(str, found))}); continue them with --shard, or make one "
            f"run of them with `flexeval merge {folder}`"
        )


def _begun(run: Path) -> list[Shard]:
    """The shards below a run that have something; one that was killed as it began is an empty folder."""
    return [shard for shard, folder in shards_below(run).items() if is_begun(folder)]


def _require_divided(run: Path, shard: Shard) -> None:
    """Raise InputError where the whole run lies in its folder, or a shard that has problems of this one."""
    if (run / CONFIG).exists():
        raise InputError(f"run folder {run} is of the whole run; continue it without --shard, or use another --out")
    for other in _begun(run):
        if other != shard and other.overlaps(shard):
            raise InputError(
                f"{run} holds shard {other}, which has problems of shard {shard}; divide the run into {other.count} "
                "shards again, or use another --out"
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
    require_checksums(contents.header.key, folder=folder)
    counted = [*contents.shards(folder), *contents.revised(folder)]
    require_shards(counted, key=contents.header.key)
    for kind in ("part", "revised"):
        for path in (folder / TOKENS).glob(f"{kind}-*.parquet*"):
            if path not in counted and path.is_file():
                path.unlink()
    for name in (SAMPLES, JOURNAL):
        cut_lines(folder / name, contents.ends[name].size)
    return contents
