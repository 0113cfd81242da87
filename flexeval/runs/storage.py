"""Finished samples on their way to the disk: they are graded elsewhere, and a thread writes them.

So a write that is due waits neither for a grader nor for the next sample; and an interrupt, which Python raises in the
main thread, cannot come between a finished sample and the disk. Imports no torch.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from flexeval.records import SamplingEffort
from flexeval.runs.environment import Memory
from flexeval.runs.layout import GradedSample, SampleKey, total_effort
from flexeval.runs.writer import RunWriter

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
    gpu: Memory | None = None
    """Of the worker that has taken most; None where this process draws."""
    forecast: float | None = None
    """Seconds that all that was missing at first was expected to take; None where that is less than a minute."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A sample that was drawn, on its way to the disk."""

    sample: Future[GradedSample]
    """Ready as soon as it is graded."""
    effort: SamplingEffort
    """What it took, beyond the one before."""
    environment: Mapping[str, Any]
    """What it was drawn with."""
    gpu: Memory | None = None
    """Of the worker that drew it."""


class Storage:
    """Stores the samples that it is given."""

    def __init__(self, writer: RunWriter, *, progress: Progress, report: Callable[[Progress], None]) -> None:
        """
        Args:
            writer: of the run folder.
            progress: before the first sample.
            report: told of every sample, by the thread that writes.
        """
        self._writer = writer
        self._progress = progress
        self._report = report
        self._waiting: SimpleQueue[Finished | None] = SimpleQueue()
        """In the order in which they finished; None ends it."""
        self._moved = threading.Condition()
        """Fewer are waiting, or none will be taken any more."""
        self._error: BaseException | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._store_all, name="flexeval-storage", daemon=True)
        self._graded: list[tuple[GradedSample, Finished]] = []
        self._forecast = progress.forecast
        """Until it is stored."""
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
            with self._moved:
                self._moved.wait_for(lambda: self._waiting.qsize() < WAITING or self._error is not None)
            yield key

    def take(self, finished: Finished) -> None:
        """Have a finished sample stored. Raises what went wrong with an earlier one."""
        if self._error is not None:
            raise self._error
        self._waiting.put(finished)

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
        if error := self._error or interrupt:
            raise error

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

    def _next(self) -> Finished | None:
        """The next sample; None after the last."""
        while True:
            try:
                sample = self._waiting.get(timeout=POLL_SECONDS if self._graded else None)
            except Empty:
                self._flush_if_due()
            else:
                with self._moved:
                    self._moved.notify()
                return sample

    def _add(self, finished: Finished) -> None:
        while not wait([finished.sample], timeout=POLL_SECONDS if self._graded else None).done:
            self._flush_if_due()
        sample = finished.sample.result()
        self._graded.append((sample, finished))
        self._flush_if_due()
        done, correct = self._progress.done + 1, self._progress.correct + sample.grade.correct
        gpu = max(filter(None, (self._progress.gpu, finished.gpu)), default=None)
        self._progress = dataclasses.replace(self._progress, done=done, correct=correct, gpu=gpu)
        self._report(self._progress)

    def _flush_if_due(self) -> None:
        now = time.monotonic()
        patience = min(FLUSH_MOST_SECONDS, max(FLUSH_SECONDS, FLUSH_SHARE * (now - self._started)))
        if self._closing:
            # Whoever asked us to end may soon kill us, and verdicts can take long.
            patience = FLUSH_SECONDS
        if len(self._graded) >= FLUSH_SAMPLES or now - self._flushed >= patience:
            self._flush()

    def _flush(self) -> None:
        """Store what is there. What could not be stored is not tried again: it would be sampled again instead."""
        graded, self._graded = self._graded, []
        while graded:
            # A line of the journal is of one environment.
            drawn_with = graded[0][1].environment
            alike = [one for one in graded if one[1].environment == drawn_with]
            graded = [one for one in graded if one[1].environment != drawn_with]
            effort = total_effort(finished.effort for _, finished in alike)
            forecast, self._forecast = self._forecast, None
            self._writer.append([sample for sample, _ in alike], effort, drawn_with, forecast=forecast)
        self._flushed = time.monotonic()
