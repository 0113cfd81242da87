"""RunConfig -> a run folder: sample what is missing, grade it, store it. Continues wherever an earlier run stopped.

It knows the order of things. How samples are drawn, graded and stored stands elsewhere.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from flexeval.errors import InputError
from flexeval.models.context import encode_prompt
from flexeval.models.lineage import Lineage
from flexeval.models.predictor import MaskPredictor
from flexeval.orders import Order, get_order
from flexeval.records import Grade, Prompt, RunConfig, SamplingConfig, SamplingEffort, Trajectory
from flexeval.runs.config import canonical_config, run_prompt
from flexeval.runs.environment import environment
from flexeval.runs.grading import graded
from flexeval.runs.layout import GradedSample, stored_problem
from flexeval.runs.reader import Run, read_run
from flexeval.runs.writer import RunWriter, open_run
from flexeval.sampling import Sampler, SampleRequest
from flexeval.tasks import Task, task_spec
from flexeval.tasks.task import HasTemplate, RunsPrograms, check_task, grade_of, problems_of

FLUSH_SAMPLES = 1024
"""Graded samples held in memory at most."""
FLUSH_SECONDS = 5.0
FLUSH_SHARE = 0.02
"""A write comes after so many seconds, and then after this share of the time so far: a kill costs no more than that,
and the number of shards grows with the logarithm of the time only."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is."""

    done: int
    """Samples finished, earlier ones included."""
    total: int
    """Samples asked for."""
    correct: int
    """Correct among those that this call has finished."""


class Counted(Protocol):
    """Running totals of a sampler."""

    @property
    def evaluations(self) -> int:
        """Asked for by samples."""
        ...

    @property
    def distinct(self) -> int:
        """Computed, after equal canvases were merged."""
        ...


class AnySampler(Protocol):
    """What the runner needs of `flexeval.sampling.Sampler`."""

    @property
    def counters(self) -> Counted:
        """Evaluations so far."""
        ...

    def run(self, requests: Iterable[SampleRequest]) -> Iterator[Trajectory]:
        """Each sample as it finishes."""
        ...


class MakeSampler(Protocol):
    """The constructor of a sampler."""

    def __call__(
        self, predictor: MaskPredictor, order: Order, config: SamplingConfig, *, batch_size: int | None = None
    ) -> AnySampler:
        """As `flexeval.sampling.Sampler`."""
        ...


@runtime_checkable
class HasSource(Protocol):
    """A task that can say where its problems come from."""

    def source(self) -> Mapping[str, Any]:
        """For the record, JSON values: file and checksum, or hub id and revision."""
        ...


@runtime_checkable
class HasLineage(Protocol):
    """A model that can say how flexeval trained it."""

    lineage: Lineage | None


def run(
    config: RunConfig,
    *,
    out: Path,
    predictor: MaskPredictor,
    task: Task,
    batch_size: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    make_sampler: MakeSampler = Sampler,
) -> Run:
    """Sample, grade and store what a run folder lacks.

    Whatever ends it (a kill, Ctrl-C, a full disk), calling it again continues. Ctrl-C and errors store what
    is finished first.

    Args:
        config: which run, and how much of it. Aliases are resolved.
        out: the run folder: new, empty, or of the same run with any `num_samples` and `limit`.
        predictor: the model of `config.model`.
        task: the task of `config.task`, with its data.
        batch_size: samples in flight; None lets the sampler choose. Changes no sample in float32; see `Sampler`.
        progress: called once at the start and after every sample.
        make_sampler: constructs the sampler.

    Returns:
        The part of the folder that `config` asks for, complete.

    Raises:
        InputError: bad settings or data, a folder of another run or in use, a prompt that is too long.
        OSError: the folder cannot be written.
    """
    config = canonical_config(config)
    if task_spec(task) != config.task:
        raise InputError(f"the configuration names task {config.task!r}, but {task_spec(task)!r} was given")
    problems = list(problems_of(check_task(task))[: config.limit])
    # What the sampler would refuse, all of it, before there is a folder.
    prompts = {
        problem.id: encode_prompt(
            predictor, run_prompt(config, task, problem), config.sampling.gen_length, of=problem.id
        )
        for problem in problems
    }
    sampler = make_sampler(predictor, get_order(config.order), config.sampling, batch_size=batch_size)

    stored = [stored_problem(problem, prompts[problem.id]) for problem in problems]
    with open_run(out, config, stored, _record(predictor, task, run_prompt(config, task, problems[0]))) as writer:
        missing = writer.missing(num_samples=config.num_samples, limit=config.limit)
        # All samples of a problem stand side by side: their first canvases are equal and merge.
        requests = (SampleRequest(problem_id=id_, sample_index=i, prompt_ids=prompts[id_]) for id_, i in missing)
        total = len(problems) * config.num_samples
        done, correct = total - len(missing), 0
        report = progress or (lambda _: None)
        report(Progress(done=done, total=total, correct=correct))
        by_id = {problem.id: problem for problem in problems}
        buffer = _Buffer(writer, sampler)
        try:
            trajectories = buffer.timed(sampler.run(requests) if missing else iter(()))
            drawn = (_decoded(trajectory, predictor) for trajectory in trajectories)
            # By threads, so that the sampler does not wait for slow graders.
            for sample, grade in graded(drawn, lambda sample: grade_of(task, by_id[sample.problem_id], sample.text)):
                buffer.add(sample.with_grade(grade))
                done, correct = done + 1, correct + grade.correct
                report(Progress(done=done, total=total, correct=correct))
        finally:
            buffer.flush()
        writer.finish()
    return read_run(out).part(num_samples=config.num_samples, limit=config.limit)


class _Buffer:
    """Finished samples on their way to the disk, and what they took."""

    def __init__(self, writer: RunWriter, sampler: AnySampler) -> None:
        self._writer = writer
        self._sampler = sampler
        self._samples: list[GradedSample] = []
        self._seconds = 0.0
        self._evaluations = self._distinct = 0
        self._started = self._flushed = time.monotonic()

    def timed(self, trajectories: Iterator[Trajectory]) -> Iterator[Trajectory]:
        """The same trajectories; counts the time that the sampler takes for them."""
        while True:
            asked = time.monotonic()
            trajectory = next(trajectories, None)
            self._seconds += time.monotonic() - asked
            if trajectory is None:
                return
            yield trajectory

    def add(self, sample: GradedSample) -> None:
        self._samples.append(sample)
        now = time.monotonic()
        patience = max(FLUSH_SECONDS, FLUSH_SHARE * (now - self._started))
        if len(self._samples) >= FLUSH_SAMPLES or now - self._flushed >= patience:
            self.flush()

    def flush(self) -> None:
        """Store what is there. What could not be stored is not tried again: it would be sampled again instead."""
        samples, self._samples = self._samples, []
        if not samples:
            return
        counters = self._sampler.counters
        effort = SamplingEffort(
            samples=len(samples),
            seconds=self._seconds,
            evaluations=counters.evaluations - self._evaluations,
            distinct=counters.distinct - self._distinct,
        )
        self._writer.append(samples, effort)
        self._seconds = 0.0
        self._evaluations, self._distinct = counters.evaluations, counters.distinct
        self._flushed = time.monotonic()


@dataclass(frozen=True, kw_only=True)
class _Ungraded:
    """A finished sample on its way to the graders."""

    trajectory: Trajectory
    text: str
    pieces: list[str]

    @property
    def problem_id(self) -> str:
        return self.trajectory.problem_id

    def with_grade(self, grade: Grade) -> GradedSample:
        return GradedSample(trajectory=self.trajectory, text=self.text, pieces=self.pieces, grade=grade)


def _decoded(trajectory: Trajectory, predictor: MaskPredictor) -> _Ungraded:
    token_ids = trajectory.token_ids_G.tolist()
    text_ids, rest_ids = token_ids[: trajectory.length], token_ids[trajectory.length :]
    text = predictor.decode(text_ids)
    # Apart, so that the pieces of the text join to it even where a character spans several tokens.
    pieces = [*predictor.pieces(text_ids), *predictor.pieces(rest_ids)]
    return _Ungraded(trajectory=trajectory, text=text, pieces=pieces)


def _record(predictor: MaskPredictor, task: Task, first_prompt: Prompt) -> dict[str, Any]:
    return {
        "model": predictor.fingerprint.as_dict(),
        "environment": environment(
            device=str(predictor.device),
            dtype=str(predictor.dtype).removeprefix("torch."),
        ),
        "task_source": dict(task.source()) if isinstance(task, HasSource) else None,
        "isolation": task.isolation().as_dict() if isinstance(task, RunsPrograms) else None,
        "prompt_template": dataclasses.asdict(task.prompt_template) if isinstance(task, HasTemplate) else None,
        "first_prompt": dataclasses.asdict(first_prompt),
        "lineage": predictor.lineage.as_dict() if isinstance(predictor, HasLineage) and predictor.lineage else None,
    }
