"""Finished samples on their way to the disk: several threads grade them, another one writes them.

So a write that is due waits neither for a grader nor for the next sample; and an interrupt, which Python raises in the
main thread, cannot come between a finished sample and the disk.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from flexeval.grading.processors import processors
from flexeval.records import Grade, SamplingEffort, Trajectory
from flexeval.runs.layout import GradedSample, SampleKey
from flexeval.runs.writer import RunWriter
from flexeval.sampling import Sampler

FLUSH_SAMPLES = 1024
"""Graded samples held in memory at most."""
FLUSH_SECONDS = 5.0
FLUSH_SHARE = 0.02
FLUSH_MOST_SECONDS = 60.0
"""Time between writes: this share of the time so far, but within these bounds. A kill costs no more than that. It makes
50 shards in 4 minutes, 180 in 50 minutes, and 60 in every hour after that."""
POLL_SECONDS = 1.0
"""How often the writing thread checks whether a write is due while no sample arrives."""
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


class Storage:
    """Grades and stores the samples that it is given."""

    def __init__(
        self,
        writer: RunWriter,
        sampler: Sampler,
        *,
        grade: Callable[[str, str], Grade],
        progress: Progress,
        report: Callable[[Progress], None],
    ) -> None:
        """
        Args:
            writer: of the run folder.
            sampler: for what the samples took.
            grade: problem id and text -> verdict; called from several threads.
            progress: before the first sample.
            report: told of every sample, by the thread that writes.
        """
        self._writer = writer
        self._sampler = sampler
        self._grade = grade
        self._progress = progress
        self._report = report
        self._graders = ThreadPoolExecutor(processors())
        self._waiting: SimpleQueue[Future[GradedSample] | None] = SimpleQueue()
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

    def paced(self, keys: Iterable[SampleKey]) -> Iterator[SampleKey]:
        """The same samples to draw, held back while too many wait for their grade.

        Here and not where they are taken: there, an interrupt would lose the samples that finished together.
        """
        for key in keys:
            asked = time.monotonic()
            with self._moved:
                self._moved.wait_for(lambda: self._waiting.qsize() < WAITING or self._error is not None)
            self._seconds -= time.monotonic() - asked
            yield key

    def timed(self, trajectories: Iterator[Trajectory]) -> Iterator[Trajectory]:
        """The same trajectories; counts the time that the sampler takes for them."""
        while True:
            asked = time.monotonic()
            trajectory = next(trajectories, None)
            self._seconds += time.monotonic() - asked
            if trajectory is None:
                return
            yield trajectory

    def take(self, trajectory: Trajectory, text: str, pieces: Sequence[str], old_pieces: Sequence[str] = ()) -> None:
        """Have a finished sample graded and stored. Raises what went wrong with an earlier one."""
        if self._error is not None:
            raise self._error
        self._waiting.put(self._graders.submit(self._graded, trajectory, text, pieces, old_pieces))

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

    # ----- in the threads that grade -----

    def _graded(
        self, trajectory: Trajectory, text: str, pieces: Sequence[str], old_pieces: Sequence[str]
    ) -> GradedSample:
        grade = self._grade(trajectory.problem_id, text)
        return GradedSample(trajectory=trajectory, text=text, pieces=pieces, grade=grade, old_pieces=old_pieces)

    # ----- in the thread that writes -----

    def _store_all(self) -> None:
        try:
            try:
                while (sample := self._next()) is not None:
                    self._add(sample)
            finally:
                self._flush()
        except BaseException as error:
            # Raised in the other thread, at the next sample or at the end.
            self._error = error
            with self._moved:
                self._moved.notify()

    def _next(self) -> Future[GradedSample] | None:
        """The next sample; None after the last."""
        while True:
            try:
                sample = self._waiting.get(timeout=POLL_SECONDS if self._samples else None)
            except Empty:
                self._flush_if_due()
            else:
                with self._moved:
                    self._moved.notify()
                return sample

    def _add(self, graded: Future[GradedSample]) -> None:
        while not wait([graded], timeout=POLL_SECONDS if self._samples else None).done:
            self._flush_if_due()
        sample = graded.result()
        self._samples.append(sample)
        self._flush_if_due()
        done, correct = self._progress.done + 1, self._progress.correct + sample.grade.correct
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
