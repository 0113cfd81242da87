"""Runs -> the data of the decode viewer: some samples of some problems, column by column, in whole numbers.

    {nat, certain, tasks: [{name, problems: [{id, question, target}],
                            runs: [{label, gen_length, block_length, pieces, samples: [...]}]}]}

A sample has `problem` (a place in problems), `sample`, length, nfe, correct, extracted, error, and its positions from
0 to the last one that was committed: `piece` (a place in pieces), `step`, `entropy` and `eligible_entropy` (in
1/`nat` nats), `prob` (in 1/`certain`), with step -1 where a position was left a mask. `rank`, `passes`,
`frontier_step` and `frontier_entropy` are mostly empty and are written as [position, value, position, value, ...],
without the ranks and passes that are 0. It does not know the page.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flexeval.report.markup import Markup, island
from flexeval.runs.store import Run, RunSet

NAT = 1000
CERTAIN = 10_000

_PLANS = ((24, 4), (24, 2), (12, 2), (12, 1), (6, 1), (3, 1), (1, 1))
"""Problems a task and samples a problem, from what is wanted to the least that is of use."""


@dataclass(frozen=True, kw_only=True)
class Decodes:
    """What the viewer carries."""

    island: Markup
    """The data, as an element of the page with the id "decode-data"."""
    scope: tuple[str, ...]
    """For each task, a sentence that says what is carried and what was left out."""


def decodes(runs: RunSet, *, budget: int) -> Decodes | None:
    """The most of the runs that fits, by the same rule for every run of a task, so that runs can be set side by side.

    Problems are taken evenly spaced from the task's order, among those that every run has a sample of; samples are
    the first ones.

    Args:
        runs: of any tasks.
        budget: bytes that the data may take.

    Returns:
        None when nothing fits, or there is no sample.
    """
    tasks = list(dict.fromkeys(run.config.task for run in runs if len(run.samples)))
    groups = [(task, runs.where(task=task)) for task in tasks]
    for problems, samples in _PLANS if groups else ():
        carried = [_task(task, group, problems, samples) for task, group in groups]
        value = {"nat": NAT, "certain": CERTAIN, "tasks": [data for data, _ in carried]}
        element = island("decode-data", value)
        if len(element) <= budget:
            return Decodes(island=element, scope=tuple(scope for _, scope in carried))
    return None


def _task(task: str, runs: RunSet, problems: int, samples: int) -> tuple[dict[str, Any], str]:
    chosen = _spread(_sampled_problems(runs), problems)
    asked = pd.concat([run.problems for run in runs]).drop_duplicates("problem_id").set_index("problem_id")
    listed = [{"id": one, "question": asked["question"][one], "target": asked["target"][one]} for one in chosen]
    encoded = [_run(run, label, chosen, samples) for run, label in zip(runs, runs.labels(), strict=True)]
    most = max(run.config.num_samples for run in runs)
    scope = (
        f"{task}: {len(chosen)} of {len(asked)} problems, evenly spaced, and the first {min(samples, most)} of {most} "
        f"samples of each; the others are in the run folders."
    )
    return {"name": task, "problems": listed, "runs": encoded}, scope


def _sampled_problems(runs: RunSet) -> list[str]:
    """The problems that every run has a sample of, or any run if there is none, in the task's order."""
    having = [set(run.samples["problem_id"]) for run in runs if len(run.samples)]
    wanted = set.intersection(*having) or set.union(*having)
    listed = dict.fromkeys(one for run in runs for one in run.problems["problem_id"])
    return [one for one in listed if one in wanted]


def _spread(ids: Sequence[str], count: int) -> list[str]:
    places = np.linspace(0, len(ids) - 1, min(count, len(ids))).round().astype(int)
    return [ids[place] for place in places]


def _run(run: Run, label: str, problem_ids: Sequence[str], samples: int) -> dict[str, Any]:
    kept = run.samples["problem_id"].isin(problem_ids) & (run.samples["sample_index"] < samples)
    part = dataclasses.replace(run, samples=run.samples[kept])
    rows = part.tokens()
    by_sample = dict(list(rows.groupby(["problem_id", "sample_index"], observed=True)))
    pieces, place = list(rows["piece"].cat.categories), {one: i for i, one in enumerate(problem_ids)}
    return {
        "label": label,
        "gen_length": run.config.sampling.gen_length,
        "block_length": run.config.sampling.block,
        "pieces": pieces,
        "samples": [
            {
                "problem": place[sample["problem_id"]],
                "sample": sample["sample_index"],
                **{name: sample[name] for name in ("length", "nfe", "correct", "extracted", "error")},
                **_positions(by_sample[sample["problem_id"], sample["sample_index"]]),
            }
            for sample in part.samples.to_dict("records")
        ],
    }


def _positions(rows: pd.DataFrame) -> dict[str, list[int | None]]:
    """The columns of one sample; see the module."""
    at_R = rows["position"].to_numpy()
    size = int(at_R[-1]) + 1

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
