"""Runs whose truth is known: correctness, and token rows where a claim reads them, are planted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from flexeval.records import Grade, RunConfig, SamplingConfig, SamplingEffort, Trajectory
from flexeval.runs.identity import canonical_config
from flexeval.runs.store import GradedSample, Run, StoredProblem, open_run, read_run

GEN_LENGTH = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class PacedRun(Run):
    """A run in memory whose token rows say no more than how many positions were committed."""

    def token_parts(self, columns):
        return [self.samples[["problem_id"]].loc[self.samples.index.repeat(GEN_LENGTH)]]


def config(order="ar", *, model="tiny", task="word-problems", temperature=0.6, block=32, samples=16, **sampling):
    return canonical_config(
        RunConfig(
            model=model,
            task=task,
            order=order,
            num_samples=samples,
            sampling=SamplingConfig(
                **{"gen_length": GEN_LENGTH, "block_length": block, "temperature": temperature, **sampling}
            ),
        )
    )


def run_of(correct_PS, order="ar", *, lineage=None, pace=None, **settings):
    """A run in memory: problem i, sample j is correct where the array says so.

    Args:
        lineage: of its model, if it was trained.
        pace: positions committed at a step; None for a run without token rows.
    """
    correct_PS = np.asarray(correct_PS, dtype=bool)
    problems, samples = correct_PS.shape
    ids = [f"p{i}" for i in range(problems)]
    kind = PacedRun if pace else Run
    return kind(
        folder=Path("planted"),
        config=config(order, samples=samples, **settings),
        record={"lineage": lineage.as_dict()} if lineage else {},
        problems=pd.DataFrame({"problem_id": ids, "prompt_length": 3}),
        samples=pd.DataFrame(
            {
                "problem_id": np.repeat(ids, samples),
                "sample_index": np.tile(np.arange(samples), problems),
                "correct": correct_PS.ravel(),
                "nfe": GEN_LENGTH // (pace or 1),
                "length": 0,
            }
        ),
        effort=SamplingEffort(),
    )


def solved(problems_solved, *, problems=100, samples=16):
    """Correctness of a run that solves exactly these problems, each with every sample."""
    correct_PS = np.zeros((problems, samples), dtype=bool)
    correct_PS[list(problems_solved)] = True
    return correct_PS


def write_run(folder, order, texts, *, problems=24, samples=4, measured, **settings):
    """A run on disk, with token rows.

    Args:
        texts: pieces of a text; sample j has the j-th, around and around.
        measured: (rng, pieces) -> the arrays of a trajectory that are not at their default, by name.
    """
    of_run = config(order, samples=samples, **settings)
    rng = np.random.default_rng(0)
    stored = [
        StoredProblem(id=f"p{i}", question="?", target="1", prompt_length=3, prompt_hash="0") for i in range(problems)
    ]
    record = {"environment": {"device": "cpu", "dtype": "float32"}, "first_prompt": {}}
    with open_run(folder, of_run, stored, record) as writer:
        drawn = [
            _sample(problem.id, index, texts[index % len(texts)], rng, measured)
            for problem in stored
            for index in range(samples)
        ]
        writer.append(drawn, SamplingEffort(samples=len(drawn), seconds=1.0, evaluations=10, distinct=5))
        writer.finish()
    return read_run(folder)


def _sample(problem_id, index, pieces, rng, measured):
    return GradedSample(
        trajectory=_trajectory(problem_id, index, len(pieces), measured(rng, pieces)),
        text="".join(pieces),
        pieces=[*pieces, *([""] * (GEN_LENGTH - len(pieces)))],
        grade=Grade(correct=bool(rng.random() < 0.5)),
    )


def _trajectory(problem_id, sample_index, length, measured):
    def filled(default, dtype, name):
        values_G = np.full(GEN_LENGTH, default, dtype=dtype)
        if name in measured:
            values_G[:length] = measured[name]
        return values_G

    floats = ("entropy_G", "prob_G", "top_prob_G", "eligible_entropy_G", "frontier_entropy_G")
    integers = ("rank_G", "frontier_step_G", "passes_G")
    place_G = np.arange(GEN_LENGTH)
    return Trajectory(
        problem_id=problem_id,
        sample_index=sample_index,
        prompt_length=3,
        token_ids_G=place_G.astype(np.int32),
        length=length,
        nfe=length,
        commit_step_G=np.where(place_G < length, place_G, -1).astype(np.int32),
        **{name: filled(0.5, np.float32, name) for name in floats},
        **{name: filled(0, np.int32, name) for name in integers},
    )
