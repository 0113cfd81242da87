"""A run folder gets the samples that it lacks, whoever draws them. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from flexeval.records import RunConfig
from flexeval.runs.layout import SampleKey, StoredProblem
from flexeval.runs.run import Run, run_of
from flexeval.runs.shards import WHOLE, Shard
from flexeval.runs.storage import Finished, Progress, Storage
from flexeval.runs.writer import open_run


class Source(Protocol):
    """Draws and grades the samples of a run: this process, or workers."""

    problems: Sequence[StoredProblem]
    """All that the limit of the run admits, in the task's order."""
    record: Mapping[str, Any]
    """What config.json says beside the configuration."""
    longest_first: bool
    """Whether it wants the longest problems first."""

    def forecast(self, missing: int) -> float | None:
        """Seconds that so many samples take, by a few that are drawn and forgotten; None for less than a minute."""
        ...

    def draw(self, keys: Iterator[SampleKey], missing: int, take: Callable[[Finished], None]) -> None:
        """Draw samples, and hand each over as soon as it is finished, in any order.

        Args:
            keys: which, those of a problem side by side. The next one may be long in coming.
            missing: how many they are.
            take: called in this thread. May raise.
        """
        ...


def fill(
    config: RunConfig,
    *,
    out: Path,
    source: Source,
    shard: Shard = WHOLE,
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Draw and store what a run lacks.

    Args:
        config: canonical.
        out: the folder of the run, below which that of the shard lies.
        source: of this run.
        shard: which part of the run.
        progress: as `flexeval.runs.runner.run`.

    Returns:
        The part that `config` asks for, complete.

    Raises:
        InputError, OSError: as `flexeval.runs.runner.run`.
    """
    folder = shard.folder(out)
    with open_run(folder, config, source.problems, source.record, shard=shard) as writer:
        missing = writer.count_missing(num_samples=config.num_samples, limit=config.limit)
        total = len(writer.contents.wanted(config.limit)) * config.num_samples
        forecast = source.forecast(missing) if missing else None
        at_first = Progress(done=total - missing, total=total, correct=0, forecast=forecast)
        report = progress or (lambda _: None)
        report(at_first)
        storage = Storage(writer, progress=at_first, report=report)
        keys = writer.missing(num_samples=config.num_samples, limit=config.limit, longest_first=source.longest_first)
        try:
            storage.start()
            if missing:
                source.draw(storage.paced(keys), missing, storage.take)
        finally:
            storage.close()
        writer.finish()
        return run_of(folder, writer.contents).part(num_samples=config.num_samples, limit=config.limit)
