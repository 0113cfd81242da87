"""The section that plays decodes, and its data: some samples of some problems, column by column, in whole numbers.

`viewer.js` reads the data:

    {nat, certain, tasks: [{name, problems: [{id, question, target}],
                            runs: [{label, gen_length, block_length, pieces, samples: [...]}]}]}

A sample has `problem` (a place in problems), `sample`, length, nfe, extracted, error, `verdicts` (name -> whether it is
true of the sample; `correct` and those of the task's own), and its positions from
0 to the last one that was committed: `piece` (a place in pieces), `step`, `entropy` and `eligible_entropy` (in
1/`nat` nats), `prob` (in 1/`certain`), with step -1 where a position was left a mask. `rank`, `passes`,
`frontier_step` and `frontier_entropy` are mostly empty and are written as [position, value, position, value, ...],
without the ranks and passes that are 0. A sample that took tokens back has `lives`, six numbers for each: position,
commit step, the step at which it was taken back, piece, entropy and probability at that commit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from flexeval.records import CORRECT
from flexeval.report.page import Section, asset, island
from flexeval.runs.store import Run, RunSet

NAT = 1000
CERTAIN = 10_000

_PLANS = ((24, 4), (24, 2), (12, 2), (12, 1), (6, 1), (3, 1), (1, 1))
"""Problems per task and samples per problem, from the most to the least."""
_READ = ["problem_id", "sample_index", "position", "piece", "commit_step", "entropy", "eligible_entropy", "prob"]
_READ += ["rank", "passes", "frontier_step", "frontier_entropy"]


@dataclass(frozen=True, kw_only=True)
class Decodes:
    """What the viewer carries."""

    island: Markup
    """The data, as an element of the page with the id "decode-data"."""
    scope: tuple[str, ...]
    """For each task, a sentence that says what is carried and what was left out."""


def decodes(runs: RunSet, *, budget: int) -> Decodes | None:
    """As much of the runs as fits, with the same problems and samples of every run of a task.

    Problems are evenly spaced in the task's order, among those that every run has a sample of; samples are the first
    ones. The token tables are read once, for the largest part that could fit.

    Args:
        runs: of any tasks.
        budget: bytes that the data may take.

    Returns:
        None when nothing fits, or there is no sample.
    """
    runs = RunSet(tuple(run for run in runs if not run.imported))
    tasks = list(dict.fromkeys(run.config.task for run in runs if len(run.samples)))
    wanted = [_Task.read(task, runs.where(task=task)) for task in tasks]
    for problems, samples in _PLANS if wanted else ():
        value = {"nat": NAT, "certain": CERTAIN, "tasks": [task.data(problems, samples) for task in wanted]}
        element = island("decode-data", value)
        if len(element) <= budget:
            return Decodes(island=element, scope=tuple(task.scope(problems, samples) for task in wanted))
    return None


_ABOUT = (
    "How an answer came about: each token where it was committed, step by step, under one order or two on the same "
    "problem. Equal sample numbers drew from the same random numbers. Bypassed tokens have a dotted underline: at some "
    "step they were the frontier, and another position was committed. Under an order that revises, a token that was "
    "taken back shows as long as it stood, and its place is outlined at the step that took it back."
)


def decodes_section(played: Decodes | None, *, imported: bool = False) -> Section:
    """The viewer, and what part of the runs it carries; `imported`: another program drew all samples."""
    if played is None:
        why = (
            "how other programs drew their texts is not known"
            if imported
            else "no run has a sample that fits on the page"
        )
        nothing = f"There is no decode to show: {why}."
        return Section(name="decodes", title="Decode viewer", parts=[nothing])
    return Section(name="decodes", title="Decode viewer", about=_ABOUT, parts=[*played.scope, asset("viewer.html")])


@dataclass(frozen=True, kw_only=True)
class _Task:
    """The part of a task that the first plan carries."""

    name: str
    runs: Sequence[Run]
    """With the samples of that plan."""
    labels: Sequence[str]
    tokens: Sequence[pd.DataFrame]
    """Of each run."""
    revisions: Sequence[pd.DataFrame]
    """Of each run."""
    problems: pd.DataFrame
    """All of the task: question and target, by problem_id."""
    chosen: Sequence[str]
    """The problems of that plan, evenly spaced."""
    num_samples: int
    """The most that a run asks for."""

    @classmethod
    def read(cls, name: str, runs: RunSet) -> _Task:
        problems, samples = _PLANS[0]
        chosen = _spread(_sampled_problems(runs), problems)
        parts = [dataclasses.replace(run, samples=_carried(run.samples, chosen, samples)) for run in runs]
        return cls(
            name=name,
            runs=parts,
            labels=runs.labels(),
            tokens=[part.tokens(_READ) for part in parts],
            revisions=[part.revisions() for part in parts],
            problems=pd.concat([run.problems for run in runs]).drop_duplicates("problem_id").set_index("problem_id"),
            chosen=chosen,
            num_samples=max(run.config.num_samples for run in runs),
        )

    def data(self, problems: int, samples: int) -> dict[str, Any]:
        """What the viewer is given under a plan."""
        chosen, asked = _spread(self.chosen, problems), self.problems
        return {
            "name": self.name,
            "problems": [
                {"id": one, "question": asked["question"][one], "target": asked["target"][one]} for one in chosen
            ],
            "runs": [
                _run(run, label, tokens, revisions, chosen, samples)
                for run, label, tokens, revisions in zip(
                    self.runs, self.labels, self.tokens, self.revisions, strict=True
                )
            ],
        }

    def scope(self, problems: int, samples: int) -> str:
        """What a plan carries and leaves out."""
        return (
            f"{self.name}: {len(_spread(self.chosen, problems))} of {len(self.problems)} problems, evenly spaced, and "
            f"the first {min(samples, self.num_samples)} of {self.num_samples} samples of each; the others are in the "
            f"run folders."
        )


def _carried(rows: pd.DataFrame, problem_ids: Sequence[str], samples: int) -> pd.DataFrame:
    """The rows of the first samples of some problems."""
    return rows[rows["problem_id"].isin(problem_ids) & (rows["sample_index"] < samples)]


def _sampled_problems(runs: RunSet) -> list[str]:
    """The problems that every run has a sample of, or any run if there is none, in the task's order."""
    having = [set(run.samples["problem_id"]) for run in runs if len(run.samples)]
    wanted = set.intersection(*having) or set.union(*having)
    listed = dict.fromkeys(one for run in runs for one in run.problems["problem_id"])
    return [one for one in listed if one in wanted]


def _spread(ids: Sequence[str], count: int) -> list[str]:
    places = np.linspace(0, len(ids) - 1, min(count, len(ids))).round().astype(int)
    return [ids[place] for place in places]


def _run(
    run: Run, label: str, tokens: pd.DataFrame, revisions: pd.DataFrame, problem_ids: Sequence[str], samples: int
) -> dict[str, Any]:
    rows = _carried(tokens, problem_ids, samples)
    rows = rows.assign(piece=rows["piece"].cat.remove_unused_categories())
    by_sample = dict(list(rows.groupby(["problem_id", "sample_index"], observed=True)))
    # A sample that committed nothing has no rows.
    nothing = rows.iloc[:0]
    taken_back = _carried(revisions, problem_ids, samples)
    lives = dict(list(taken_back.groupby(["problem_id", "sample_index"], observed=True)))
    pieces = list(dict.fromkeys([*rows["piece"].cat.categories, *taken_back["old_piece"]]))
    place_of_piece = {piece: i for i, piece in enumerate(pieces)}
    place = {one: i for i, one in enumerate(problem_ids)}
    return {
        "label": label,
        "gen_length": run.config.sampling.gen_length,
        "block_length": run.config.sampling.block,
        "pieces": pieces,
        "samples": [
            {
                "problem": place[sample["problem_id"]],
                "sample": sample["sample_index"],
                **{name: sample[name] for name in ("length", "nfe", "extracted", "error")},
                "verdicts": {CORRECT: sample["correct"], **sample.get("verdicts", {})},
                **_positions(by_sample.get((sample["problem_id"], sample["sample_index"]), nothing)),
                **_lives(lives.get((sample["problem_id"], sample["sample_index"])), place_of_piece),
            }
            for sample in _carried(run.samples, problem_ids, samples).to_dict("records")
        ],
    }


def _lives(rows: pd.DataFrame | None, place_of_piece: Mapping[str, int]) -> dict[str, list[int]]:
    """What a sample took back; see the module."""
    if rows is None:
        return {}
    columns = [
        rows["position"],
        rows["commit_step"],
        rows["step"],
        rows["old_piece"].astype(object).map(place_of_piece),
        (rows["commit_entropy"] * NAT).round(),
        (rows["commit_prob"] * CERTAIN).round(),
    ]
    return {"lives": np.column_stack([column.to_numpy(dtype=np.int64) for column in columns]).ravel().tolist()}


def _positions(rows: pd.DataFrame) -> dict[str, list[int | None]]:
    """The columns of one sample; see the module."""
    at_R = rows["position"].to_numpy()
    size = int(at_R.max(initial=-1)) + 1

    def dense(values_R: NDArray[Any], missing: int) -> NDArray[np.int64]:
        values_G = np.full(size, missing, dtype=np.int64)
        values_G[at_R] = values_R
        return values_G

    def fractions(column: str, unit: int) -> list[int | None]:
        values_R = rows[column].to_numpy(dtype=np.float64)
        known_R = np.isfinite(values_R)
        whole_G = dense(np.rint(np.where(known_R, values_R, 0.0) * unit).astype(np.int64), 0)
        known_G = dense(known_R, 0)
        return [value if known else None for value, known in zip(whole_G.tolist(), known_G.tolist(), strict=True)]

    def pairs(column: str, kept: Callable[[NDArray[Any]], NDArray[np.bool_]], unit: int = 1) -> list[int | None]:
        values_R = rows[column].to_numpy()
        kept_R = kept(values_R)
        whole_N = np.rint(values_R[kept_R].astype(np.float64) * unit).astype(np.int64)
        return np.column_stack([at_R[kept_R], whole_N]).ravel().tolist()

    return {
        "piece": dense(rows["piece"].cat.codes.to_numpy(), -1).tolist(),
        "step": dense(rows["commit_step"].to_numpy(), -1).tolist(),
        "entropy": fractions("entropy", NAT),
        "eligible_entropy": fractions("eligible_entropy", NAT),
        "prob": fractions("prob", CERTAIN),
        "rank": pairs("rank", lambda values_R: values_R > 0),
        "passes": pairs("passes", lambda values_R: values_R > 0),
        "frontier_step": pairs("frontier_step", lambda values_R: values_R >= 0),
        "frontier_entropy": pairs("frontier_entropy", np.isfinite, NAT),
    }
