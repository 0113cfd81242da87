"""The only way to write a run folder: one process at a time, and whole whenever it is killed.

The order of writes is what makes a kill harmless. A shard of token rows is in place before the lines of its
samples; a sample exists once its line is whole; `summary.json` goes before anything is added and comes last.
So all that a kill can leave is a temporary file, half a line, or token rows without a line, and opening the
folder again removes these.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flexeval.errors import InputError
from flexeval.records import Grade, RunConfig, SamplingEffort
from flexeval.runs.config import larger_extent, require_same_model, require_same_run
from flexeval.runs.files import append_lines, drop_half_line, drop_temporaries, locked, replace_file, to_json
from flexeval.runs.grading import graded
from flexeval.runs.layout import (
    CONFIG,
    EFFORT,
    LOCK,
    PROBLEMS,
    SAMPLES,
    SUMMARY,
    TOKENS,
    GradedSample,
    StoredProblem,
    config_bytes,
    grade_fields,
    problem_bytes,
    read_config,
    read_effort,
    read_problems,
    read_samples,
    require_known,
    sample_row,
)
from flexeval.runs.tokens import Pair, drop_orphans, write_shard


class RunWriter:
    """A run folder that this process has locked and repaired. Made by `open_run` and `reopen_run`."""

    def __init__(self, folder: Path, config: RunConfig, problems: Sequence[StoredProblem], done: set[Pair]) -> None:
        self.folder = folder
        self.config = config
        """Of the folder, which may hold more than was asked for."""
        self.problems = tuple(problems)
        self._done = done

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
            OSError: something could not be written; what was begun is undone, and the folder can be continued.
            ValueError: a sample that is there already.
        """
        pairs = [(sample.trajectory.problem_id, sample.trajectory.sample_index) for sample in samples]
        if repeated := self._done.intersection(pairs):
            raise ValueError(f"samples are there already: {sorted(repeated)[:3]}")
        shard = write_shard(self.folder / TOKENS, [s.trajectory for s in samples], [s.pieces for s in samples])
        try:
            append_lines(self.folder / SAMPLES, [sample_row(sample) for sample in samples])
        except OSError:
            shard.unlink()
            raise
        self._done.update(pairs)
        append_lines(self.folder / EFFORT, [dataclasses.asdict(effort)])

    def regrade(self, grade: Callable[[str, str], Grade]) -> None:
        """Put new verdicts on all finished samples, in one step.

        Args:
            grade: problem id and text -> verdict; called from several threads.

        Raises:
            OSError: they could not be written; the old verdicts stay.
        """
        rows = read_samples(self.folder).values()
        verdicts = graded(rows, lambda row: grade(row["problem_id"], row["text"]))
        lines = [to_json({**row, **grade_fields(verdict)}) + "\n" for row, verdict in verdicts]
        (self.folder / SUMMARY).unlink(missing_ok=True)
        replace_file(self.folder / SAMPLES, "".join(lines).encode())

    def finish(self) -> None:
        """Write summary.json if nothing is missing."""
        if self.count_missing(num_samples=self.config.num_samples, limit=None):
            return
        rows = read_samples(self.folder).values()
        effort = read_effort(self.folder)
        summary = {
            "problems": len(self.problems),
            "samples": len(rows),
            "correct": sum(row["correct"] for row in rows),
            "errors": sum(row["error"] is not None for row in rows),
            "mean_nfe": sum(row["nfe"] for row in rows) / len(rows),
            "sampling": {**dataclasses.asdict(effort), "saved": effort.saved},
        }
        replace_file(self.folder / SUMMARY, (to_json(summary, indent=2) + "\n").encode())


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
            stored, stored_record = read_config(folder)
            require_same_run(stored, config, folder=folder)
            require_same_model(stored_record, record["model"], folder=f"run folder {folder}")
            _require_same_dtype(stored_record, record, folder)
            stored_problems = read_problems(folder)
            _require_same_problems(stored_problems, problems, config.limit, folder)
            done = _repair(folder, stored_problems)
            config, record = larger_extent(stored, config), stored_record
            problems = max(stored_problems, problems, key=len)
        else:
            done = set()
        writer = RunWriter(folder, config, problems, done)
        if writer.count_missing(num_samples=config.num_samples, limit=None):
            (folder / SUMMARY).unlink(missing_ok=True)
        # The configuration comes last: it is what makes this a run folder.
        (folder / TOKENS).mkdir(exist_ok=True)
        replace_file(folder / PROBLEMS, problem_bytes(problems))
        replace_file(folder / CONFIG, config_bytes(config, record))
        yield writer


@contextlib.contextmanager
def reopen_run(folder: Path) -> Iterator[RunWriter]:
    """Lock a folder that holds a run, whatever its configuration.

    Raises:
        InputError: not a run folder, a folder in use, or damage that no kill of ours leaves behind.
    """
    read_config(folder)
    with _locked(folder):
        drop_temporaries(folder)
        config, _ = read_config(folder)
        problems = read_problems(folder)
        yield RunWriter(folder, config, problems, _repair(folder, problems))


def _locked(folder: Path) -> contextlib.AbstractContextManager[None]:
    return locked(folder / LOCK, busy=f"run folder {folder}")


def _claim(folder: Path) -> None:
    """Create the folder, and refuse one that holds anything but a run or the beginning of one."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder to write the run to")
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / CONFIG).exists():
        return
    ours = {LOCK, TOKENS, PROBLEMS, *(path.name for path in folder.glob("*.json*.tmp"))}
    for path in sorted(folder.iterdir()):
        if path.name not in ours:
            raise InputError(f"{folder} is not a run folder, but holds {path.name!r}; use another or an empty --out")


def _repair(folder: Path, problems: Sequence[StoredProblem]) -> set[Pair]:
    """Remove what a kill left half-done; the samples that are there."""
    drop_temporaries(folder / TOKENS)
    drop_half_line(folder / SAMPLES)
    drop_half_line(folder / EFFORT)
    samples = read_samples(folder)
    done = set(samples)
    require_known(done, problems, folder=folder)
    with_tokens = drop_orphans(folder / TOKENS, done)
    # A sample that drew the mask token everywhere (`logits_mask_inf=False`) has no text, and no rows to lose.
    without_tokens = {pair for pair in done - with_tokens if samples[pair]["text"]}
    if without_tokens:
        raise InputError(
            f"run folder {folder} has lost the token rows of {len(without_tokens)} samples, the first "
            f"{min(without_tokens)}; restore {TOKENS}/, or use another --out"
        )
    return done


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
