"""A run as frames. Imports no torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa

from flexeval.errors import InputError, InputTypeError, did_you_mean
from flexeval.fields import require_path, require_whole
from flexeval.grading.answers import answer_started
from flexeval.models.attention import Attention
from flexeval.models.lineage import Lineage
from flexeval.models.names import model_name
from flexeval.records import CORRECT, RunConfig, Sample, SamplingEffort
from flexeval.runs import frames
from flexeval.runs.blocks import BLOCK_COLUMNS, attention_of_record, with_blocks
from flexeval.runs.environment import distinct
from flexeval.runs.joining import begun_shards, joined, lacking
from flexeval.runs.layout import (
    CONFIG,
    SAMPLE_FIELDS,
    TOKENS,
    SampleKey,
    StoredProblem,
    total_effort,
)
from flexeval.runs.parts import Parts, in_parts
from flexeval.runs.reader import Contents, read_contents, read_header
from flexeval.runs.revisions import read_revisions
from flexeval.runs.tokens import SCHEMA as TOKEN_SCHEMA
from flexeval.runs.tokens import Listed, StoredRows, TokenShard
from flexeval.runs.words import SCHEMA as WORD_SCHEMA
from flexeval.runs.words import stored_words


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Run:
    """What a run folder held when it was read. Everything but the token rows is in memory."""

    folder: Path
    config: RunConfig
    """Canonical; `num_samples` and `limit` are those of this view of the folder."""
    record: Mapping[str, Any]
    """What else config.json says: model (its fingerprint), attention_rule, environment, task_source, isolation,
    prompt_template, first_prompt, lineage, imported."""
    problems: pd.DataFrame
    """One row a problem, in the task's order: problem_id, question, target, prompt_length, prompt_hash, data_hash. The
    index is the place among all problems of the run: of shards, only those that are there are listed."""
    samples: pd.DataFrame
    """One row a finished sample, sorted by problem and sample: problem_id, sample_index, text, extracted, rule,
    correct, error, nfe, length, capped, verdicts. `length` counts the tokens of the text; a text that is missing is
    None; `capped` is `Trajectory.capped`; `verdicts` maps the names of the task's own verdicts to truth values."""
    effort: SamplingEffort
    """Totals of the whole folder; a view of part of it has the same."""
    environments: Sequence[Mapping[str, Any]] = ()
    """What its samples were drawn with, distinct ones, oldest first; also of the whole folder."""
    shards: Sequence[Path] = ()
    """The files of the token rows."""
    revised: Sequence[Path] = ()
    """The files of what was taken back; none under orders that do not revise."""
    key: str = ""
    """Of the folder's checksums; empty where there are none (format 1)."""
    counted: str = CORRECT
    """The verdict by which a sample counts as solving its problem; see `counting`."""
    lacking: str = ""
    """Of a run that is read from shards: which of them are missing or unfinished, in words; else empty."""
    undivided: int = 0
    """Problems of the whole run, where it lies there as shards."""
    mark: str = ""
    """Appended to the model's name where other models have the same name; empty otherwise."""

    @property
    def lineage(self) -> Lineage | None:
        """How flexeval trained the model; None when it did not. Raises InputError for an invalid record."""
        values = self.record.get("lineage")
        return Lineage.from_dict(values, where=str(self.folder / CONFIG)) if values else None

    @property
    def model(self) -> str:
        """The model's name in tables and figures: its lineage's label, or else how it was asked for, with the name of
        its adapter; then its mark, and its cache if that is approximate.
        """
        named = model_name(self.config.model, self.config.adapter)
        return (self.lineage.label if self.lineage else named) + self.mark + self.config.sampling.approximate

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """Checksums of the model; empty in format 1. See `flexeval.models.fingerprint`."""
        found: Mapping[str, Any] = self.record.get("model", {})
        return found

    @property
    def attention(self) -> Attention:
        """The rule by which the model attends, as far as the record says it."""
        return attention_of_record(self.record, self.config)

    @property
    def imported(self) -> bool:
        """Whether another program drew the samples. Then there are no token rows, and every nfe and length is 0."""
        return "imported" in self.record

    @property
    def complete(self) -> bool:
        """Every sample that the configuration asks for is there; of a shard's folder, every sample of its problems."""
        return not self.lacking and len(self.samples) == len(self.problems) * self.config.num_samples

    @property
    def seed(self) -> int | str:
        """Of its samples; "0+1" where runs with seeds 0 and 1 are pooled."""
        return self.config.sampling.seed

    def tally(self) -> dict[str, int]:
        """Verdict -> the number of samples that it is true of: `correct`, then those of the task's own.

        A verdict that some sample lacks, since it was graded before the task gave it, is not there.
        """
        given: list[Mapping[str, bool]] = list(self.samples.get("verdicts", ()))
        own = sorted(set.intersection(*map(set, given))) if given else []
        return {CORRECT: int(self.samples["correct"].sum())} | {name: sum(row[name] for row in given) for name in own}

    def counting(self, verdict: str) -> Self:
        """The same run, with this verdict as the one that counts, in all statistics, figures and claims.

        Raises:
            InputError: not a verdict of every sample.
        """
        if not isinstance(verdict, str):
            raise InputTypeError(f"a verdict is a name, such as 'correct', not a {type(verdict).__name__}")
        if verdict not in (known := self.tally()):
            raise InputError(
                f"{did_you_mean(f'verdict in run folder {self.folder}', verdict, known)} "
                f"`flexeval grade {self.folder}` adds those that its task gives by now."
            )
        return dataclasses.replace(self, counted=verdict)

    def outcomes(self) -> pd.DataFrame:
        """`samples`, with the verdict that counts as the column `correct`: what statistics are given."""
        if self.counted == CORRECT:
            return self.samples
        return self.samples.assign(correct=[row[self.counted] for row in self.samples["verdicts"]])

    def counts(self) -> pd.DataFrame:
        """One row a problem, in the task's order: problem_id, n samples, c that count (either may be 0)."""
        by_problem = self.outcomes().groupby("problem_id")["correct"].agg(n="size", c="sum")
        counts = by_problem.reindex(self.problems["problem_id"], fill_value=0).astype("int64")
        return counts.rename_axis("problem_id").reset_index()

    def endings(self) -> pd.DataFrame:
        """How each sample ended, from what is stored of it: one row a sample, in the order of `samples`.

        Returns:
            problem_id, sample_index, answer_started (see `flexeval.grading.answers.answer_started`), budget_exhausted:
            no end token in the whole canvas, so that the text may have been cut off. The last column is left out where
            the samples were imported, since their lengths are not known.
        """
        read = zip(self.samples["text"], self.samples["extracted"], self.samples["rule"], strict=True)
        endings = self.samples[["problem_id", "sample_index"]].assign(
            answer_started=[answer_started(text or "", extracted, rule) for text, extracted, rule in read]
        )
        full = self.samples["length"] >= self.config.sampling.gen_length
        return endings if self.imported else endings.assign(budget_exhausted=full)

    def tokens(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """One row a committed position, sorted by problem, sample and position; read from disk at each call.

        Args:
            columns: which of the columns of `flexeval.runs.tokens.SCHEMA`; None for all. `Sample.to_frame` says what
                they hold. Also `flexeval.runs.blocks.BLOCK_COLUMNS`: where in its block a token stands.

        Raises:
            InputError: an unknown column, one that is named twice, or none at all; rows that are not as they were
                written, or none, because another program drew the samples.
        """
        (rows,) = self._parts(self._some(columns), part_rows=math.inf)
        return rows

    def token_parts(self, columns: Sequence[str]) -> Iterable[pd.DataFrame]:
        """The rows of `tokens`, in parts that fit in memory one at a time; read from disk whenever they are gone
        through, and errors raised then.

        A part has all rows of its problems; parts come in any order. `flexeval.stats` takes them for one frame.
        """
        return self._parts(self._some(columns))

    def word_parts(self, columns: Sequence[str] = ()) -> Iterable[pd.DataFrame]:
        """The words of the texts, one row an occurrence, in parts as `token_parts`; found once, then kept on disk
        (`flexeval.runs.words`).

        Args:
            columns: as of `tokens`, at each word's first token.

        Returns:
            Frames with problem_id, word, connector (see `flexeval.stats.words.find_words`), and the columns.
        """
        stored = [name for name in self._columns(columns) if name != "problem_id"]
        return self._parts(["problem_id", "word", "connector", *stored], words=True)

    def _columns(self, columns: Sequence[str] | None) -> list[str]:
        """Columns of the token table, known ones. Raises InputError also where there is no table."""
        if self.imported:
            raise InputError(
                f"the samples of {self.model} in order {self.config.order} were imported, and have no token rows; "
                "leave them out, or draw them with `flexeval passk`"
            )
        if columns is None:
            return list(TOKEN_SCHEMA.names)
        if isinstance(columns, str) or not isinstance(columns, Iterable):
            raise InputTypeError(f"columns must be a list of names, such as ['entropy'], not {columns!r}")
        names = list(columns)
        known = [*TOKEN_SCHEMA.names, *BLOCK_COLUMNS]
        for name in names:
            if name not in known:
                raise did_you_mean("column of the token table", str(name), known)
        if len(set(names)) < len(names):
            raise InputError(f"columns {names!r} name a column twice; name it once")
        return names

    def _some(self, columns: Sequence[str] | None) -> list[str]:
        """As `_columns`, and at least one: rows without a column could not be counted."""
        if names := self._columns(columns):
            return names
        raise InputError("columns is empty; name at least one column, or leave it out for all")

    def _parts(self, columns: Sequence[str], *, words: bool = False, part_rows: float | None = None) -> Parts:
        """Token rows, or words, which have two columns more."""
        listed, where = Listed.of(self.samples, list(self.problems["problem_id"])), self.folder / TOKENS

        def read(columns: Sequence[str]) -> Iterator[pd.DataFrame]:
            read_too = ("problem_id", "position") if {*BLOCK_COLUMNS} & {*columns} else ()
            named = [name for name in dict.fromkeys([*columns, *read_too]) if name not in BLOCK_COLUMNS]
            stored = [name for name in named if name in TOKEN_SCHEMA.names and name != "problem_id"]
            own = [WORD_SCHEMA.field(name) for name in ("word", "connector")] if words else []
            if not stored and not own:
                stored = ["sample_index"]  # a table without columns forgets how many rows it has
            empty = pa.schema([*map(TOKEN_SCHEMA.field, stored), *own])
            shards = (self._stored_words if words else self._stored_tokens)(listed, stored)
            parts = in_parts(shards, listed, named, empty=empty, where=where, part_rows=part_rows)
            return (self._with_blocks(part)[list(columns)] for part in parts) if read_too else parts

        source = (self.folder, tuple(self.shards), self.config, listed.number_S.tobytes(), words, part_rows)
        return Parts(source=source, columns=columns, read=read)

    def _with_blocks(self, rows: pd.DataFrame) -> pd.DataFrame:
        return with_blocks(rows, self.problems["prompt_length"].tolist(), self.config.sampling, self.attention)

    def _stored_tokens(self, listed: Listed, columns: Sequence[str]) -> Iterator[StoredRows]:
        """The token rows of some samples, shard by shard."""
        return (self._shard(path, listed).rows(columns) for path in self.shards)

    def _stored_words(self, listed: Listed, columns: Sequence[str]) -> Iterator[StoredRows]:
        """Their words, shard by shard."""
        return stored_words(self.folder, self.shards, lambda path: self._shard(path, listed), columns, key=self.key)

    def _shard(self, path: Path, listed: Listed) -> TokenShard:
        where = self.folder / TOKENS
        return TokenShard(path, listed, sampling=self.config.sampling, key=self.key, where=where)

    def revisions(self) -> pd.DataFrame:
        """One row a token that was taken back, sorted by problem, sample and time; read from disk at each call.

        Returns:
            The columns of `flexeval.runs.revisions.SCHEMA`. No rows under an order that does not revise.

        Raises:
            InputError: rows that are not as they were written, or an imported run, of which that is not known.
        """
        if self.imported:
            raise InputError(
                f"the samples of {self.model} in order {self.config.order} were imported, and what they took back is "
                "not known; leave them out, or draw them with `flexeval passk`"
            )
        problem_ids, where = list(self.problems["problem_id"]), self.folder / TOKENS
        sampling = self.config.sampling
        return read_revisions(self.revised, self.samples, problem_ids, sampling=sampling, key=self.key, where=where)

    def to_frame(self) -> pd.DataFrame:
        """One row a sample, each with the settings of the run, so that frames of several runs can be joined.

        Returns:
            The columns `flexeval.runs.store.SETTINGS`; those of `samples`; and one for each of the task's own verdicts
            in place of `verdicts`.
        """
        return frames.sample_rows(self)

    def sample(self, problem: str | int = 0, sample_index: int = 0) -> Sample:
        """A sample with the record of how it was decoded, as `flexeval.sample` gives it.

        Args:
            problem: its id, or its place among the problems of the run, from 0.
            sample_index: which of its samples.

        Raises:
            InputError: no such problem or sample, or as `tokens`.
        """
        ids = list(self.problems["problem_id"])
        if isinstance(problem, int):
            if not 0 <= problem < len(ids):
                raise InputError(f"problem {problem}: the run has {len(ids)} problems; give 0 to {len(ids) - 1}")
            problem = ids[problem]
        elif problem not in ids:
            raise did_you_mean("problem", problem, ids, listed=f"{len(ids)} ids such as {ids[0]!r}, or 0, 1, ...")
        of_problem = self.samples[self.samples["problem_id"] == problem]
        row = of_problem[of_problem["sample_index"] == sample_index]
        if row.empty:
            raise InputError(f"sample {sample_index} of problem {problem!r}: the run has {len(of_problem)} of them")
        alone = dataclasses.replace(self, samples=row.reset_index(drop=True))
        return frames.stored_sample(self, row.iloc[0], alone.tokens(), alone.revisions())

    def __repr__(self) -> str:
        return frames.run_text(self)

    def _repr_html_(self) -> str:
        return frames.run_html(self)

    def part(self, *, num_samples: int, limit: int | None) -> Run:
        """The view that a smaller run would have given: the first samples of the first problems.

        Args:
            num_samples: of each problem.
            limit: problems of the task, as in `RunConfig`. Where shards are missing, fewer are there; see `first`.

        Raises:
            InputError: numbers that no run may have.
        """
        config = dataclasses.replace(self.config, num_samples=num_samples, limit=limit)
        problems = self.problems if limit is None else self.problems[self.problems.index < limit]
        wanted = self.samples["problem_id"].isin(problems["problem_id"]) & (self.samples["sample_index"] < num_samples)
        samples = self.samples[wanted].reset_index(drop=True)
        expected = self.undivided if limit is None else min(limit, self.undivided)
        whole = len(problems) == expected and len(samples) == expected * num_samples
        return dataclasses.replace(
            self,
            config=config,
            problems=problems,
            samples=samples,
            lacking="" if whole else self.lacking,
        )

    def first(self, problems: int, *, num_samples: int | None = None) -> Run:
        """The view on the first so many of the problems that are there, and of their samples.

        Args:
            problems: how many; at least 1, and at most as many as there are.
            num_samples: of each problem; None for all.

        Raises:
            InputError: other numbers.
        """
        problems = require_whole(problems, what="problems", least=1, most=len(self.problems))
        limit = int(self.problems.index[problems - 1]) + 1
        return self.part(num_samples=self.config.num_samples if num_samples is None else num_samples, limit=limit)


def read_run(folder: str | Path) -> Run:
    """Read a run folder, finished or not; one that holds shards of a run as one run.

    Raises:
        InputError: not a run folder, or one that is damaged: the file, and the line; shards of different runs.
    """
    folder = require_path(folder, what="a run folder")
    shards = begun_shards(folder)
    if not shards:
        return run_of(folder, read_contents(folder))
    parts = {path: read_contents(path) for path in shards}
    whole = joined(parts, folder=folder)
    covered = {place for contents in parts.values() for place in _places(contents)}
    run = run_of(folder, whole)
    return dataclasses.replace(
        run,
        problems=run.problems[run.problems.index.isin(covered)],
        shards=[shard for path, contents in parts.items() for shard in contents.shards(path)],
        revised=[shard for path, contents in parts.items() for shard in contents.revised(path)],
        lacking=lacking(parts, whole),
        undivided=len(whole.problems),
    )


def read_config(folder: str | Path) -> RunConfig:
    """The configuration of a run folder. Raises InputError where there is no run, or its config.json is damaged."""
    folder = require_path(folder, what="a run folder")
    return read_header(next(iter(begun_shards(folder)), folder)).config


def run_of(folder: Path, contents: Contents) -> Run:
    """What is known of a folder, as a run."""
    return Run(
        folder=folder,
        config=contents.header.config,
        record=contents.header.record,
        problems=_problem_frame(contents.problems).iloc[_places(contents)],
        samples=_sample_frame(contents.samples, contents.problems),
        effort=total_effort(contents.journal),
        environments=distinct([flush.environment for flush in contents.journal]),
        shards=contents.shards(folder),
        revised=contents.revised(folder),
        key=contents.header.key,
    )


def _problem_frame(problems: Sequence[StoredProblem]) -> pd.DataFrame:
    columns = [field.name for field in dataclasses.fields(StoredProblem)]
    frame = pd.DataFrame([dataclasses.asdict(problem) for problem in problems], columns=columns)
    return frame.rename(columns={"id": "problem_id"})


def _places(contents: Contents) -> list[int]:
    """Where the problems that a folder is for stand among all problems of the run."""
    return list(contents.header.shard.of(range(len(contents.problems))))


def _sample_frame(rows: Mapping[SampleKey, Mapping[str, Any]], problems: Sequence[StoredProblem]) -> pd.DataFrame:
    place = {problem.id: place for place, problem in enumerate(problems)}
    in_order = sorted(rows, key=lambda key: (place[key[0]], key[1]))
    # As objects first, so that a missing text is None in every column, also in one that has no text at all.
    frame = pd.DataFrame([rows[key] for key in in_order], columns=list(SAMPLE_FIELDS), dtype=object)
    frame["capped"] = pd.Series([rows[key].get("capped", False) for key in in_order], dtype="bool")
    frame["verdicts"] = pd.Series([rows[key].get("verdicts", {}) for key in in_order], dtype=object)
    return frame.astype({"sample_index": "int64", "correct": "bool", "nfe": "int64", "length": "int64"})
