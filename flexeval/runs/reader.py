"""Run folder -> frames. Reads a run at any time, also while another process writes it; changes nothing."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from flexeval.models.lineage import Lineage
from flexeval.records import RunConfig, SamplingEffort
from flexeval.runs.config import canonical_config, require_same_run
from flexeval.runs.contents import read_contents
from flexeval.runs.environment import distinct
from flexeval.runs.layout import CONFIG, SAMPLE_FIELDS, TOKENS, StoredProblem, total_effort
from flexeval.runs.tokens import Pair, read_tokens


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """What a run folder held when it was read."""

    folder: Path
    config: RunConfig
    """Canonical; `num_samples` and `limit` are those of this view of the folder."""
    record: Mapping[str, Any]
    """What else config.json says: model (its fingerprint), environment, task_source, isolation, prompt_template,
    first_prompt, lineage."""
    problems: pd.DataFrame
    """One row a problem, in the task's order: problem_id, question, target, prompt_length, prompt_hash, data_hash."""
    samples: pd.DataFrame
    """One row a finished sample, sorted by problem and sample: problem_id, sample_index, text, extracted, rule,
    correct, error, nfe, length. `length` counts the tokens of the text; a text that is missing is None."""
    effort: SamplingEffort
    """Totals of the whole folder; a view of part of it has the same."""
    environments: Sequence[Mapping[str, Any]] = ()
    """What its samples were drawn with, each different one once, oldest first; of the whole folder, too."""
    shards: Sequence[Path] = ()
    """The files of the token rows."""
    key: str = ""
    """Of the folder's checksums; empty where there are none (format 1)."""
    mark: str = ""
    """What tells the model from others of the same name, if there are any."""

    @property
    def lineage(self) -> Lineage | None:
        """How flexeval trained the model; None when it did not. Raises InputError for a record that is none."""
        values = self.record.get("lineage")
        return Lineage.from_dict(values, where=str(self.folder / CONFIG)) if values else None

    @property
    def model(self) -> str:
        """What tables and figures call the model: its lineage's label, or else how it was asked for; then its mark."""
        return (self.lineage.label if self.lineage else self.config.model) + self.mark

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """Checksums of the model; empty in format 1. See `flexeval.models.fingerprint`."""
        found: Mapping[str, Any] = self.record.get("model", {})
        return found

    @property
    def complete(self) -> bool:
        """Every sample that the configuration asks for is there."""
        return len(self.samples) == len(self.problems) * self.config.num_samples

    def counts(self) -> pd.DataFrame:
        """One row a problem, in the task's order: problem_id, n samples, c correct ones (either may be 0)."""
        by_problem = self.samples.groupby("problem_id")["correct"].agg(n="size", c="sum")
        counts = by_problem.reindex(self.problems["problem_id"], fill_value=0).astype("int64")
        return counts.rename_axis("problem_id").reset_index()

    def tokens(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """One row a committed position, sorted by problem, sample and position; read from disk at each call.

        Args:
            columns: which of the columns of `flexeval.runs.tokens.SCHEMA`; None for all.

        Raises:
            InputError: an unknown column, or rows that are not as they were written.
        """
        problem_ids = list(self.problems["problem_id"])
        sampling, where = self.config.sampling, self.folder / TOKENS
        return read_tokens(
            self.shards, self.samples, problem_ids, columns, sampling=sampling, key=self.key, where=where
        )

    def part(self, *, num_samples: int, limit: int | None) -> Run:
        """The view that a smaller run would have given: the first samples of the first problems."""
        problems = self.problems.iloc[:limit]
        wanted = self.samples["problem_id"].isin(problems["problem_id"]) & (self.samples["sample_index"] < num_samples)
        return dataclasses.replace(
            self,
            config=dataclasses.replace(self.config, num_samples=num_samples, limit=limit),
            problems=problems,
            samples=self.samples[wanted].reset_index(drop=True),
        )


def read_run(folder: Path) -> Run:
    """Read a run folder, finished or not.

    Raises:
        InputError: not a run folder, or one that is damaged: the file, and the line.
    """
    contents = read_contents(folder)
    return Run(
        folder=folder,
        config=contents.header.config,
        record=contents.header.record,
        problems=_problem_frame(contents.problems),
        samples=_sample_frame(contents.samples, contents.problems),
        effort=total_effort(contents.stretches),
        environments=distinct([stretch.environment for stretch in contents.stretches]),
        shards=contents.shards(folder),
        key=contents.header.key,
    )


def read_finished_run(folder: Path, config: RunConfig) -> Run | None:
    """The part of a folder that a configuration asks for, when nothing of it is missing; None when sampling is needed.

    Raises:
        InputError: the folder holds a run of another configuration, or cannot be read.
    """
    if not os.path.lexists(folder / CONFIG):
        return None
    config = canonical_config(config)
    run = read_run(folder)
    require_same_run(run.config, config, folder=folder)
    holds_all_problems = run.config.limit is None or (config.limit is not None and config.limit <= run.config.limit)
    part = run.part(num_samples=config.num_samples, limit=config.limit)
    return part if holds_all_problems and part.complete else None


def _problem_frame(problems: Sequence[StoredProblem]) -> pd.DataFrame:
    columns = [field.name for field in dataclasses.fields(StoredProblem)]
    frame = pd.DataFrame([dataclasses.asdict(problem) for problem in problems], columns=columns)
    return frame.rename(columns={"id": "problem_id"})


def _sample_frame(rows: Mapping[Pair, Mapping[str, Any]], problems: Sequence[StoredProblem]) -> pd.DataFrame:
    place = {problem.id: place for place, problem in enumerate(problems)}
    in_order = sorted(rows, key=lambda pair: (place[pair[0]], pair[1]))
    # As objects first, so that a missing text is None in every column, also in one that has no text at all.
    frame = pd.DataFrame([rows[pair] for pair in in_order], columns=list(SAMPLE_FIELDS), dtype=object)
    return frame.astype({"sample_index": "int64", "correct": "bool", "nfe": "int64", "length": "int64"})
