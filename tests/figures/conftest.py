"""Runs made up in memory: their settings are real, their samples and tokens come from a random generator."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from flexeval.models.lineage import Lineage
from flexeval.orders import get_order
from flexeval.records import RunConfig, SamplingConfig, SamplingEffort
from flexeval.runs.store import Run, RunSet
from flexeval.runs.tokens import SCHEMA as TOKENS
from flexeval.runs.tokens import Listed, StoredRows, sample_numbers
from flexeval.runs.words import SCHEMA as WORDS
from flexeval.stats.words import find_words

LENGTH, PROBLEMS, SAMPLES = 12, 6, 8
SENTENCES = [["So", " we", " add", " 7", ".", " "], ["Then", " she", " packs", " 9", ".", " "]]
PROPOSES = {"confidence"}


@dataclass(frozen=True, kw_only=True, eq=False)
class MadeUpRun(Run):
    """A run whose token rows are in memory."""

    rows: pd.DataFrame

    def tokens(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        wanted = self.rows.merge(self.samples[["problem_id", "sample_index"]], on=["problem_id", "sample_index"])
        wanted["problem_id"] = pd.Categorical(wanted["problem_id"], categories=list(self.problems["problem_id"]))
        return wanted if columns is None else wanted[list(columns)]

    def revisions(self) -> pd.DataFrame:
        """Every third token stood there before, committed at the first step with more entropy."""
        rows = self.tokens()[["problem_id", "sample_index", "position", "entropy", "prob"]]
        gone = rows[rows["position"] % 3 == 0] if get_order(self.config.order).revises else rows.head(0)
        renamed = gone.rename(columns={"entropy": "commit_entropy", "prob": "commit_prob"})
        return renamed.assign(commit_entropy=renamed["commit_entropy"] + 0.25, commit_step=0, passes=0)

    def _stored_tokens(self, listed: Listed, columns: Sequence[str]) -> Iterator[StoredRows]:
        yield self._stored(self.tokens(), listed, map(TOKENS.field, columns))

    def _stored_words(self, listed: Listed, columns: Sequence[str]) -> Iterator[StoredRows]:
        fields = [*map(TOKENS.field, columns), *map(WORDS.field, ("word", "connector"))]
        yield self._stored(find_words(self.tokens()), listed, fields)

    def _stored(self, rows: pd.DataFrame, listed: Listed, fields: Iterable[pa.Field]) -> StoredRows:
        """As one shard that holds all samples."""
        number_R = sample_numbers(listed.places_of(rows["problem_id"]), rows["sample_index"])
        table = pa.table({field.name: pa.array(rows[field.name].tolist(), field.type) for field in fields})
        return StoredRows(table=table, number_R=number_R, seen_S=listed.number_S)


def made_up_run(
    order: str = "ar",
    *,
    missing: int = 0,
    samples: int = SAMPLES,
    lineage: Lineage | None = None,
    **settings: Any,
) -> MadeUpRun:
    """A run of `order`; `settings` are fields of RunConfig and SamplingConfig, `lineage` is of a trained model."""
    if lineage:
        settings = {"model": f"checkpoints/{lineage.label}", **settings}
    usual = {"model": "tiny", "task": "word-problems", "attention": None}
    of_run = {name: settings.pop(name, default) for name, default in usual.items()}
    sampling = SamplingConfig(**{"gen_length": LENGTH, "block_length": LENGTH, **settings})
    config = RunConfig(order=order, sampling=sampling, num_samples=samples, limit=PROBLEMS, **of_run)
    rng = np.random.default_rng(zlib.crc32(repr(config).encode()))
    problems = pd.DataFrame({"problem_id": [f"p{i}" for i in range(PROBLEMS)], "question": "?", "target": "1"})
    rows = [_sample_tokens(config, f"p{p}", s, rng) for p in range(PROBLEMS) for s in range(samples)]
    tokens = pd.concat(rows, ignore_index=True)
    nfe = tokens.groupby(["problem_id", "sample_index"], sort=False)["commit_step"].nunique().to_numpy()
    chance = np.linspace(0.1, 0.8, PROBLEMS).repeat(samples)
    listed = pd.DataFrame(
        {
            "problem_id": problems["problem_id"].repeat(samples).to_numpy(),
            "sample_index": np.tile(np.arange(samples), PROBLEMS),
            "text": "x",
            "correct": rng.random(len(chance)) < chance,
            "nfe": nfe,
            "length": LENGTH,
        }
    )
    return MadeUpRun(
        folder=Path("made-up"), shards=(Path("made-up"),), config=config, problems=problems, effort=SamplingEffort(),
        rows=tokens,
        record={"lineage": lineage.as_dict()} if lineage else {}, samples=listed.iloc[: len(listed) - missing],
    )  # fmt: skip


def _sample_tokens(config: RunConfig, problem: str, sample: int, rng: np.random.Generator) -> pd.DataFrame:
    """Commits from left to right, or in random order, of one position a step, or of as many as gamma says."""
    at_once = 1
    if config.order.startswith("eb"):
        at_once += int(float(config.order.partition("=")[2] or 0.1))
    elif config.order.startswith("parallel-"):
        at_once = int(config.order.partition("-")[2])
    turn = np.arange(LENGTH) if config.order == "ar" else rng.permutation(LENGTH)
    commit_step = np.empty(LENGTH, dtype=int)
    commit_step[turn] = np.arange(LENGTH) // at_once
    frontier_step = np.full(LENGTH, -1)
    for step in range(commit_step.max() + 1):
        frontier = int(np.flatnonzero(commit_step >= step)[0])
        if frontier_step[frontier] < 0:
            frontier_step[frontier] = step
    heat = config.sampling.temperature * (0.5 if config.order in PROPOSES else 1.0)
    entropy = heat * rng.gamma(2.0, 0.5, LENGTH)
    pieces = [*SENTENCES[rng.integers(2)], *SENTENCES[rng.integers(2)]]
    return pd.DataFrame(
        {
            "problem_id": problem,
            "sample_index": sample,
            "position": np.arange(LENGTH),
            "token_id": [zlib.crc32(piece.encode()) % 1000 for piece in pieces],
            "piece": pieces,
            "in_text": True,
            "commit_step": commit_step,
            "entropy": entropy,
            "prob": 0.5,
            "rank": rng.poisson(heat, LENGTH),
            "top_prob": 0.6,
            "eligible_entropy": entropy + 0.5,
            "frontier_step": frontier_step,
            "frontier_entropy": np.where(frontier_step >= 0, entropy + 0.3 * (commit_step > frontier_step), np.nan),
            "passes": np.where(frontier_step >= 0, commit_step - frontier_step, 0),
        }
    )


def trained_in(training: str, *, order: str = "ar", step: int = 20, base: str = "tiny", fast: bool = False) -> Lineage:
    """A training of 8 rollouts and 3 seconds a step."""
    return Lineage(
        base=base, training=training, rollout_order=order, fast=fast, step=step, samples=8 * step, seconds=3.0 * step
    )


@pytest.fixture
def trained() -> Callable[..., Lineage]:
    """See `trained_in`."""
    return trained_in


@pytest.fixture
def made_up() -> Callable[..., MadeUpRun]:
    """See `made_up_run`."""
    return made_up_run


@pytest.fixture(scope="session")
def enough() -> RunSet:
    """Runs that suffice for every figure."""
    orders = ("ar", "confidence", "top_prob")
    runs = [made_up_run(order) for order in orders]
    runs += [made_up_run(order, temperature=1.5) for order in orders]
    runs += [made_up_run("confidence", block_length=block) for block in (1, 4)]
    paced = ("eb:gamma=1.0", "eb:gamma=3.0", "parallel-2", "parallel-6")
    runs += [made_up_run(order, temperature=0.0, model=model) for order in paced for model in "ab"]
    runs += [made_up_run(order, temperature=1.5) for order in ("wino", "wino:tau_back=0.0")]
    trained = [trained_in("first", step=10), trained_in("first"), trained_in("second", order="random")]
    runs += [made_up_run(order, lineage=lineage) for lineage in trained for order in ("ar", "confidence")]
    return RunSet(tuple(dataclasses.replace(run, folder=Path(f"run-{i}")) for i, run in enumerate(runs)))
