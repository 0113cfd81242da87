"""A task, a predictor and a sampler whose outputs are known functions of their inputs, for tests of runs."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np

from flexeval.models.attention import FULL
from flexeval.models.fingerprint import Fingerprint
from flexeval.records import Grade, Problem, Prompt, RunConfig, SamplingConfig, Trajectory
from flexeval.runs.runner import run
from flexeval.tasks import TASKS

MASK = 0
CONFIG = RunConfig(
    task="runs-fake", order="ar", sampling=SamplingConfig(gen_length=8, block_length=4), num_samples=3, limit=4
)


@dataclass(frozen=True)
class FakeTask:
    """Problem i asks for a text that holds the digit i."""

    name: ClassVar[str] = "runs-fake"
    gen_length: ClassVar[int] = 8
    size: int = 6
    wording: str = "find"

    def problems(self):
        return [Problem(id=f"p{i}", question=f"{self.wording} {i}", target=str(i)) for i in range(self.size)]

    def prompt(self, problem):
        return Prompt(user=problem.question)

    def grade(self, problem, text):
        correct = problem.target in text
        return Grade(correct=correct, extracted=text[:1] or None, rule="first character")

    def source(self):
        return {"generator": "fake", "size": self.size}


TASKS.register("runs-fake", FakeTask)


class FakePredictor:
    """Token t stands for the character of code 47 + t; 1 is the end of the sequence."""

    name = "fake"
    vocab_size, max_length, mask_id = 2**20, 2**20, 2**20 - 1
    device = "cpu"

    def __init__(self, dtype="torch.float32", weights="one", vocabulary="digits", attention=FULL):
        self.dtype, self.attention = dtype, attention
        # As of any model, the checksum of the weights depends on their type.
        self.fingerprint = Fingerprint(weights=f"{weights}, {dtype}", network="fake", vocabulary=vocabulary)

    def encode(self, prompt):
        return [ord(character) for character in prompt.user]

    def decode(self, token_ids):
        return "".join(self.pieces(token_ids))

    def pieces(self, token_ids):
        return [chr(47 + token) if token > 1 else "" for token in token_ids]


def trajectory(problem_id, sample_index, gen_length=8):
    """The sample that the fake sampler draws: text, then an end, then positions that were never committed."""
    key = hashlib.sha256(f"{problem_id}/{sample_index}".encode()).digest()
    rng = np.random.default_rng(list(key))
    length = int(rng.integers(0, gen_length + 1))
    committed = min(length + 1, gen_length)
    tokens_G = np.full(gen_length, MASK, dtype=np.int32)
    tokens_G[:length] = rng.integers(2, 12, size=length)
    tokens_G[length:committed] = 1

    def integers(high):
        values_G = np.full(gen_length, -1, dtype=np.int32)
        values_G[:committed] = rng.integers(0, high, size=committed)
        return values_G

    def floats():
        values_G = np.full(gen_length, np.nan, dtype=np.float32)
        values_G[:committed] = rng.random(committed)
        return values_G

    return Trajectory(
        problem_id=problem_id,
        sample_index=sample_index,
        prompt_length=6,
        token_ids_G=tokens_G,
        length=length,
        commit_step_G=integers(gen_length),
        nfe=committed,
        entropy_G=floats(),
        prob_G=floats(),
        rank_G=integers(5),
        top_prob_G=floats(),
        eligible_entropy_G=floats(),
        frontier_step_G=integers(gen_length),
        frontier_entropy_G=floats(),
        passes_G=integers(3),
    )


class FakeSampler:
    """Yields three samples at a time, the last first, as a batch might."""

    def __init__(self, predictor, order, config, *, batch_size=None):
        self.config = config
        self.batch_size, self.workers = batch_size, 1
        self.counters = SimpleNamespace(evaluations=0, distinct=0)
        self.requested = []

    def run(self, requests):
        self.requested = list(requests)
        for start in range(0, len(self.requested), 3):
            for request in reversed(self.requested[start : start + 3]):
                self.counters.evaluations += 8
                self.counters.distinct += 6
                yield trajectory(request.problem_id, request.sample_index, self.config.gen_length)


def only(pairs):
    """A sampler that draws no other samples."""

    class Only(FakeSampler):
        def run(self, requests):
            yield from super().run(r for r in requests if (r.problem_id, r.sample_index) in pairs)

    return Only


def make(config: RunConfig, out: Path, **options):
    """A run of the fakes, in this process."""
    options = {"predictor": FakePredictor(), "task": FakeTask(), "make_sampler": FakeSampler, **options}
    return run(config, out=out, **options)


def extended(**changes):
    return dataclasses.replace(CONFIG, **changes)
