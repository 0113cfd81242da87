"""Small runs on disk whose settings, prompts and records can be chosen."""

from __future__ import annotations

import zlib

import numpy as np

from flexeval.records import Grade, RunConfig, SamplingConfig, SamplingEffort, Trajectory
from flexeval.runs.identity import canonical_config
from flexeval.runs.store import GradedSample, StoredProblem, open_run, read_run


def written(
    folder,
    order="ar",
    *,
    problems=3,
    samples=2,
    prompt_hash="0",
    target="1",
    record=None,
    dtype="float32",
    device="cpu",
    **sampling,
):
    """A finished run; every sample has its own text and token rows."""
    settings = SamplingConfig(**{"gen_length": 8, **sampling})
    config = canonical_config(
        RunConfig(model="tiny", task="word-problems", order=order, num_samples=samples, sampling=settings)
    )
    stored = [
        StoredProblem(id=f"p{i}", question="?", target=target, prompt_length=3, prompt_hash=prompt_hash)
        for i in range(problems)
    ]
    made = {"environment": {"dtype": dtype, "device": device}, **(record or {})}
    rng = np.random.default_rng(zlib.crc32(repr(config).encode()))
    with open_run(folder, config, stored, made) as writer:
        drawn = [_sample(problem.id, i, settings.gen_length, rng) for problem in stored for i in range(samples)]
        writer.append(drawn, SamplingEffort(samples=len(drawn), seconds=1.0, evaluations=10, distinct=5))
        writer.finish()
    return read_run(folder)


def _sample(problem_id, index, length, rng):
    tokens_G = rng.integers(0, 50, size=length).astype(np.int32)
    pieces = [f" w{token}" for token in tokens_G]
    integers = ("rank_G", "frontier_step_G", "passes_G")
    floats = ("entropy_G", "prob_G", "top_prob_G", "eligible_entropy_G", "frontier_entropy_G")
    trajectory = Trajectory(
        problem_id=problem_id, sample_index=index, prompt_length=3, token_ids_G=tokens_G, length=length, nfe=length,
        commit_step_G=np.arange(length, dtype=np.int32),
        **{name: rng.random(length, dtype=np.float32) for name in floats},
        **{name: rng.integers(0, 5, size=length).astype(np.int32) for name in integers},
    )  # fmt: skip
    return GradedSample(
        trajectory=trajectory, text="".join(pieces), pieces=pieces, grade=Grade(correct=bool(rng.random() < 0.5))
    )
