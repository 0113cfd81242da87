"""Run folders made by hand, for tests of the page: every number in them is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from flexeval.records import Grade, Revisions, RunConfig, SamplingConfig, SamplingEffort, Trajectory
from flexeval.runs.store import GradedSample, Run, RunSet, StoredProblem, open_run, read_runs

PIECES = ("Since", " she", " has", " 2", ",", " then", " 3", " more", ",", " that", " makes", " 5", " in", " all", ".")
ENVIRONMENT = {"flexeval": "0.1.0", "git_revision": None, "python": "3.11", "device": "cpu", "dtype": "float32"}
HOSTILE = (
    "</script><script>document.title = 'taken'</script>",
    "<img src=x onerror=\"document.title = 'taken'\">",
    "<!-- <script>",
    "]]> &amp; &lt;b&gt;",
    "line\u2028and\u2029paragraph",
    "\x00\x1b[31m\x7f",
    "\u202egnihtyna\u2066\u200f",
    "'\"`${1}\\",
    "\n",
    "",
)
"""Texts that a model might write to take over a page."""
TakenBack = tuple[int, int, int, str]
"""Position, commit step, the step at which it was masked again, and text of a token."""


def sample(
    problem: str,
    index: int,
    pieces: Sequence[str],
    steps: Sequence[int],
    *,
    size: int,
    taken_back: Sequence[TakenBack] = (),
    **grade,
) -> GradedSample:
    """A finished sample: its tokens, the step of each, and measurements that follow from both.

    One more position holds the end of the text, committed at the step after the last; what remains of `size` was
    never committed.
    """
    text = len(pieces)
    committed = min(text + 1, size)
    step_G = np.full(size, -1, np.int32)
    step_G[:text] = steps
    step_G[text:committed] = max(steps, default=-1) + 1
    known_G = step_G >= 0
    at_G = np.arange(size)
    rng = np.random.default_rng([text, index])

    def measured(values_G) -> np.ndarray:
        return np.where(known_G, values_G, np.nan).astype(np.float32)

    passes_G = np.array([int(known_G[i] and (step_G[i + 1 : committed] < step_G[i]).sum()) for i in range(size)])
    ever_frontier_G = known_G & (at_G % 2 == 0)
    return GradedSample(
        trajectory=Trajectory(
            problem_id=problem,
            sample_index=index,
            prompt_length=5,
            token_ids_G=at_G.astype(np.int32),
            length=text,
            commit_step_G=step_G,
            nfe=int(step_G.max()) + 1,
            entropy_G=measured(rng.random(size) * 3),
            prob_G=measured(rng.random(size)),
            rank_G=np.where(known_G, rng.integers(0, 3, size), -1).astype(np.int32),
            top_prob_G=measured(rng.random(size)),
            eligible_entropy_G=measured(np.where(at_G % 3 == 0, np.nan, rng.random(size))),
            frontier_step_G=np.where(ever_frontier_G, np.maximum(step_G - passes_G, 0), -1).astype(np.int32),
            frontier_entropy_G=np.where(ever_frontier_G, rng.random(size), np.nan).astype(np.float32),
            passes_G=passes_G.astype(np.int32),
            revisions=Revisions.of(
                [
                    (until, at, 90 + i, -1, step, 1.5, 0.25, 0, 2.0, 0.125, np.nan)
                    for i, (at, step, until, _) in enumerate(taken_back)
                ]
            ),
        ),
        text="".join(pieces),
        pieces=[*pieces, *[""] * (size - text)],
        grade=Grade(**{"correct": False, **grade}),
        old_pieces=[piece for _, _, _, piece in taken_back],
    )


def write_run(
    folder: Path,
    *,
    order: str = "ar",
    task: str = "word-problems",
    problems: int = 3,
    samples: int = 2,
    pieces: Sequence[str] = PIECES,
    holes: Sequence[int] = (),
    gen_length: int = 16,
    block: int = 8,
    question: str = "How many?",
    finished: int | None = None,
    grade: Mapping[str, object] | None = None,
    sound: Callable[[int, int], bool] | None = None,
    record: Mapping[str, object] | None = None,
    taken_back: Sequence[TakenBack] = (),
) -> Path:
    """A run folder. AR order commits from left to right, every other order the odd positions first.

    Positions in `holes` are never committed. `sound` says of problem and sample whether the verdict `sound` is
    true; with None there is no such verdict.
    """
    sampling = SamplingConfig(gen_length=gen_length, block_length=block, logits_mask_inf=not holes)
    config = RunConfig(task=task, order=order, sampling=sampling, num_samples=samples)
    places = range(len(pieces))
    turns = places if order == "ar" else [*places[1::2], *places[::2]]
    steps = [-1 if place in holes else list(turns).index(place) for place in places]
    stored = [
        StoredProblem(id=f"{task}/{i}", question=f"{question} {i}", target=str(i), prompt_length=5, prompt_hash="0")
        for i in range(problems)
    ]
    drawn = [
        sample(one.id, j, pieces, steps, size=gen_length, taken_back=taken_back,
               **(grade or {"correct": (i + j + len(order)) % 2 == 0, "extracted": str(i + j)}),
               **({"verdicts": {"sound": sound(i, j)}} if sound else {}))
        for i, one in enumerate(stored)
        for j in range(samples)
    ][:finished]  # fmt: skip
    about = {
        "environment": ENVIRONMENT,
        "isolation": None,
        "prompt_template": None,
        "first_prompt": {},
        **(record or {}),
    }
    with open_run(folder, config, stored, about) as writer:
        if drawn:
            writer.append(drawn, SamplingEffort(samples=len(drawn), seconds=1.0, evaluations=9, distinct=6))
        writer.finish()
    return folder


def run_set(*folders: Path) -> RunSet:
    """The runs of some folders."""
    return read_runs(list(folders))


def with_verdicts(runs: RunSet, **texts: str) -> RunSet:
    """The runs with other texts beside their samples, also such as no file can hold: a lone surrogate for one."""

    def replaced(run: Run) -> Run:
        columns = {name: pd.Series([text] * len(run.samples), dtype=object) for name, text in texts.items()}
        return dataclasses.replace(run, samples=run.samples.assign(**columns))

    return RunSet(tuple(map(replaced, runs)))
