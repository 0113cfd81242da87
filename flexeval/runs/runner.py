"""RunConfig -> a run folder: sample what is missing, grade it, store it. Continues wherever an earlier run stopped.

It knows the order of things. How samples are drawn, graded and stored stands elsewhere.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol, runtime_checkable

from flexeval.errors import InputError
from flexeval.grading.processors import processors
from flexeval.models.context import encode_prompt
from flexeval.models.lineage import Lineage
from flexeval.models.predictor import MaskPredictor
from flexeval.orders import Order, get_order
from flexeval.records import Grade, Prompt, RunConfig, SamplingConfig, SamplingEffort, Trajectory
from flexeval.runs.config import canonical_config, run_prompt
from flexeval.runs.environment import environment
from flexeval.runs.layout import GradedSample, stored_problem
from flexeval.runs.reader import Run, read_run
from flexeval.runs.tokens import Pair
from flexeval.runs.writer import RunWriter, open_run
from flexeval.sampling import Sampler, SampleRequest
from flexeval.tasks import Task, task_spec
from flexeval.tasks.task import HasTemplate, RunsPrograms, check_task, grade_of, problems_of

FLUSH_SAMPLES = 1024
"""Graded samples held in memory at most."""
FLUSH_SECONDS = 5.0
FLUSH_SHARE = 0.02
FLUSH_MOST_SECONDS = 60.0
"""A write comes after so many seconds, then after this share of the time so far, and at last after so many seconds: a
kill costs no more than that. It makes 50 shards in 4 minutes, 180 in 50 minutes, and 60 in every hour after that."""
LOOK_SECONDS = 1.0
"""While nothing comes, so often is looked whether a write is due."""
WAITING = 256
"""Samples that may wait for their grade before no more are begun."""


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


@runtime_checkable
class HasPace(Protocol):
    """A sampler that can say what it does at a time."""

    batch_size: int
    """Samples in flight at most."""
    workers: int
    """Forwards side by side."""


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
        progress: called once at the start, and after every sample by another thread, one call at a time.
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
    record = _record(predictor, sampler, task, run_prompt(config, task, problems[0]))
    with open_run(out, config, stored, record) as writer:
        missing = writer.count_missing(num_samples=config.num_samples, limit=config.limit)
        total = len(problems) * config.num_samples
        at_first = Progress(done=total - missing, total=total, correct=0)
        report = progress or (lambda _: None)
        report(at_first)
        by_id = {problem.id: problem for problem in problems}
        storage = _Storage(
            writer,
            sampler,
            grade=lambda sample: grade_of(task, by_id[sample.problem_id], sample.text),
            progress=at_first,
            report=report,
        )
        # All samples of a problem stand side by side: their first canvases are equal and merge.
        requests = (
            SampleRequest(problem_id=id_, sample_index=i, prompt_ids=prompts[id_])
            for id_, i in storage.paced(writer.missing(num_samples=config.num_samples, limit=config.limit))
        )
        try:
            storage.start()
            for trajectory in storage.timed(sampler.run(requests) if missing else iter(())):
                storage.take(_decoded(trajectory, predictor))
        finally:
            storage.close()
        writer.finish()
    return read_run(out).part(num_samples=config.num_samples, limit=config.limit)


class _Storage:
    """Finished samples on their way to the disk: graded by several threads, written by another one.

    So a write that is due waits neither for a grader nor for the next sample; and an interrupt, which Python raises in
    the main thread, cannot come between a finished sample and the disk.
    """

    def __init__(
        self,
        writer: RunWriter,
        sampler: AnySampler,
        *,
        grade: Callable[[_Ungraded], Grade],
        progress: Progress,
        report: Callable[[Progress], None],
    ) -> None:
        """
        Args:
            writer: of the run folder.
            sampler: for what the samples took.
            grade: called from several threads.
            progress: before the first sample.
            report: told of every sample, by the thread that writes.
        """
        self._writer = writer
        self._sampler = sampler
        self._grade = grade
        self._progress = progress
        self._report = report
        self._graders = ThreadPoolExecutor(processors())
        self._waiting: SimpleQueue[tuple[_Ungraded, Future[Grade]] | None] = SimpleQueue()
        """In the order in which they finished; None ends it."""
        self._moved = threading.Condition()
        """Fewer are waiting, or none will be taken any more."""
        self._error: BaseException | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._store_all, name="flexeval-storage", daemon=True)
        self._samples: list[GradedSample] = []
        self._seconds = self._stored_seconds = 0.0
        self._evaluations = self._distinct = 0
        self._started = self._flushed = time.monotonic()

    # ----- in the thread of the sampler -----

    def start(self) -> None:
        """Begin to store what is taken."""
        self._thread.start()

    def paced(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """The same samples to draw, held back while too many wait for their grade.

        Here and not where they are taken: there, an interrupt would lose the samples that finished together.
        """
        for pair in pairs:
            asked = time.monotonic()
            with self._moved:
                self._moved.wait_for(lambda: self._waiting.qsize() < WAITING or self._error is not None)
            self._seconds -= time.monotonic() - asked
            yield pair

    def timed(self, trajectories: Iterator[Trajectory]) -> Iterator[Trajectory]:
        """The same trajectories; counts the time that the sampler takes for them."""
        while True:
            asked = time.monotonic()
            trajectory = next(trajectories, None)
            self._seconds += time.monotonic() - asked
            if trajectory is None:
                return
            yield trajectory

    def take(self, sample: _Ungraded) -> None:
        """Have a sample graded and stored. Raises what went wrong with an earlier one."""
        if self._error is not None:
            raise self._error
        self._waiting.put((sample, self._graders.submit(self._grade, sample)))

    def close(self) -> None:
        """Wait until everything taken is stored, however often that is interrupted. Raises what went wrong."""
        self._closing = True
        self._waiting.put(None)
        interrupt: KeyboardInterrupt | None = None
        while self._thread.is_alive():
            try:
                self._thread.join()
            except KeyboardInterrupt as another:
                interrupt = another
        self._graders.shutdown(cancel_futures=True)
        if error := self._error or interrupt:
            raise error

    # ----- in the thread that writes -----

    def _store_all(self) -> None:
        try:
            try:
                while (next_one := self._arrived()) is not None:
                    self._add(*next_one)
            finally:
                self._flush()
        except BaseException as error:
            # Raised in the other thread, at the next sample or at the end.
            self._error = error
            with self._moved:
                self._moved.notify()

    def _arrived(self) -> tuple[_Ungraded, Future[Grade]] | None:
        """The next sample; None after the last."""
        while True:
            try:
                arrived = self._waiting.get(timeout=LOOK_SECONDS if self._samples else None)
            except Empty:
                self._flush_if_due()
            else:
                with self._moved:
                    self._moved.notify()
                return arrived

    def _add(self, sample: _Ungraded, verdict: Future[Grade]) -> None:
        while not wait([verdict], timeout=LOOK_SECONDS if self._samples else None).done:
            self._flush_if_due()
        grade = verdict.result()
        self._samples.append(sample.with_grade(grade))
        self._flush_if_due()
        done, correct = self._progress.done + 1, self._progress.correct + grade.correct
        self._progress = dataclasses.replace(self._progress, done=done, correct=correct)
        self._report(self._progress)

    def _flush_if_due(self) -> None:
        now = time.monotonic()
        patience = min(FLUSH_MOST_SECONDS, max(FLUSH_SECONDS, FLUSH_SHARE * (now - self._started)))
        if self._closing:
            # Whoever asked us to end may soon kill us, and verdicts can take long.
            patience = FLUSH_SECONDS
        if len(self._samples) >= FLUSH_SAMPLES or now - self._flushed >= patience:
            self._flush()

    def _flush(self) -> None:
        """Store what is there. What could not be stored is not tried again: it would be sampled again instead."""
        samples, self._samples = self._samples, []
        if not samples:
            return
        counters, seconds = self._sampler.counters, self._seconds
        effort = SamplingEffort(
            samples=len(samples),
            # Waiting is subtracted before the time that it was part of is added.
            seconds=max(seconds - self._stored_seconds, 0.0),
            evaluations=counters.evaluations - self._evaluations,
            distinct=counters.distinct - self._distinct,
        )
        self._writer.append(samples, effort)
        self._stored_seconds = max(seconds, self._stored_seconds)
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


def _record(predictor: MaskPredictor, sampler: AnySampler, task: Task, first_prompt: Prompt) -> dict[str, Any]:
    paced = sampler if isinstance(sampler, HasPace) else None
    return {
        "model": predictor.fingerprint.as_dict(),
        "environment": environment(
            device=str(predictor.device),
            dtype=str(predictor.dtype).removeprefix("torch."),
            attention=_attention(predictor),
            batch_size=paced.batch_size if paced else None,
            workers=paced.workers if paced else None,
        ),
        "task_source": dict(task.source()) if isinstance(task, HasSource) else None,
        "isolation": task.isolation().as_dict() if isinstance(task, RunsPrograms) else None,
        "prompt_template": dataclasses.asdict(task.prompt_template) if isinstance(task, HasTemplate) else None,
        "first_prompt": dataclasses.asdict(first_prompt),
        "lineage": predictor.lineage.as_dict() if isinstance(predictor, HasLineage) and predictor.lineage else None,
    }


def _attention(predictor: MaskPredictor) -> str | None:
    """What transformers calls the implementation, where the model is one of its own."""
    told = getattr(getattr(getattr(predictor, "module", None), "config", None), "_attn_implementation", None)
    return told if isinstance(told, str) else None
