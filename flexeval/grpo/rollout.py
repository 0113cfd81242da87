"""A group of samples for each problem, drawn with the present weights and graded.

Knows nothing of gradients. Axis suffixes: `P` problems, `G` samples of a group.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from flexeval.models.predictor import MaskPredictor, text_of
from flexeval.records import CORRECT, FloatArray, Grade, Problem, Trajectory
from flexeval.runs.grading import graded
from flexeval.sampling import Sampler, SampleRequest
from flexeval.tasks import Task
from flexeval.tasks.task import grade_of, prompt_of


@dataclass(frozen=True, kw_only=True)
class RolloutSample:
    """One sample and its grade."""

    prompt_ids: list[int]
    trajectory: Trajectory
    grade: Grade


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """What one step trains on: whole groups, one after the other, in the order of the problems."""

    samples: list[RolloutSample]
    group_size: int
    rollout_seconds: float
    """Wall-clock time inside the sampler."""
    reward_seconds: float
    """Wall-clock time waiting for verdicts that were not found while sampling went on."""

    def rewards(self, *, wrong: float, verdict: str = CORRECT) -> FloatArray:
        """[P, G]: 1 for a sample that the verdict is true of, `wrong` for any other."""
        reward_S = [1.0 if sample.grade.gives(verdict) else wrong for sample in self.samples]
        return np.array(reward_S, dtype=np.float64).reshape(-1, self.group_size)


def roll_out(
    sampler: Sampler, task: Task, problems: Sequence[Problem], *, group_size: int, first_index: int
) -> Rollout:
    """Draw and grade `group_size` samples of each problem. Grades see the completion only, never the prompt.

    Args:
        sampler: with the rollout order and the model that is trained.
        task: writes prompts and grades; a program that it runs is run in the sandbox, outside this process.
        problems: of this step and process.
        group_size: samples a problem.
        first_index: sample index of the first of a group; another one for each step, so that a problem that comes
            again gets new random numbers.

    Raises:
        InputError: a prompt that does not fit the model's context.
    """
    model = sampler.predictor
    prompts = [model.encode(prompt_of(task, problem)) for problem in problems]
    requests = [
        SampleRequest(problem_id=problem.id, sample_index=first_index + index, prompt_ids=prompt)
        for problem, prompt in zip(problems, prompts, strict=True)
        for index in range(group_size)
    ]
    by_id = {problem.id: problem for problem in problems}
    clock = _Clock()
    began = time.perf_counter()
    finished = {
        (trajectory.problem_id, trajectory.sample_index): (trajectory, grade)
        for trajectory, grade in graded(
            clock.timed(sampler.run(requests)),
            lambda trajectory: grade_of(task, by_id[trajectory.problem_id], completion(model, trajectory)),
        )
    }
    elapsed = time.perf_counter() - began
    samples = []
    for request in requests:
        trajectory, grade = finished[request.problem_id, request.sample_index]
        samples.append(RolloutSample(prompt_ids=request.prompt_ids, trajectory=trajectory, grade=grade))
    return Rollout(
        samples=samples,
        group_size=group_size,
        rollout_seconds=clock.seconds,
        reward_seconds=elapsed - clock.seconds,
    )


def completion(model: MaskPredictor, trajectory: Trajectory) -> str:
    """The text of a sample, up to its first end."""
    return text_of(model, trajectory.token_ids_G[: trajectory.length].tolist())


@dataclass
class _Clock:
    """Adds up the time that an iterator takes to yield."""

    seconds: float = 0.0

    def timed(self, items: Iterable[Trajectory]) -> Iterator[Trajectory]:
        source = iter(items)
        while True:
            began = time.perf_counter()
            try:
                item = next(source)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - began
            yield item
