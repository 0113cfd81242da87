"""What runs in a worker's process: it loads the model once, draws and grades what it is given, and streams it back."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flexeval
from flexeval.errors import InputError
from flexeval.grading.processors import use_at_most
from flexeval.records import Grade, Problem, RunConfig, SamplingEffort
from flexeval.runs.environment import PACKAGES, Memory, gpu_memory
from flexeval.runs.layout import GradedSample, SampleKey, StoredProblem

if TYPE_CHECKING:
    from flexeval.models import MaskPredictor
    from flexeval.runs.runner import Here
    from flexeval.tasks import Task

CHUNK_SAMPLES = 64
CHUNK_SECONDS = 1.0
"""Samples that come back together: no more than so many, and none waits longer for the next ones to finish."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """How a worker loads models and data; as the options of the command line. Raises InputError for a device that a
    worker cannot choose.
    """

    device: str = "auto"
    dtype: str = "auto"
    batch_size: int | None = None
    trust_remote_code: bool = False
    data_dir: Path | None = None

    def __post_init__(self) -> None:
        if self.device not in ("auto", "cpu", "cuda"):
            raise InputError(f"each worker has a GPU of its own, so --device is auto, cpu or cuda, not {self.device}")


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A run, as a worker would draw it."""

    problems: Sequence[StoredProblem]
    record: Mapping[str, Any]
    """As of `flexeval.runs.filling.Source`."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Samples that come back together."""

    samples: Sequence[tuple[GradedSample, SamplingEffort]]
    gpu: Memory | None
    """Of this worker."""


def versions() -> dict[str, str]:
    """What must be the same in all processes of a run. Checkouts of one version may hold different source files."""
    found = {"flexeval": f"{flexeval.__version__} (source files {source_checksum(Path(flexeval.__file__).parent)})"}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found


@cache
def source_checksum(package: Path) -> str:
    """Of the Python files of a package's folder, by their places in it."""
    digest = hashlib.sha256()
    for path in sorted(path for path in package.rglob("*.py") if path.is_file()):
        digest.update(f"{path.relative_to(package).as_posix()} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


class Worker:
    """A Ray actor. It answers one call after the other."""

    def __init__(self, machine: Machine, processors: int) -> None:
        """
        Args:
            machine: how to load.
            processors: how many it may use.
        """
        use_at_most(processors)
        self._machine = machine
        self._loaded: dict[tuple[str | None, ...], MaskPredictor] = {}
        self._tasks: dict[str, Task] = {}
        self._opened: tuple[RunConfig, Here] | None = None

    def about(self) -> dict[str, Any]:
        """Versions, and where it is: host, pid."""
        return {"versions": versions(), "host": platform.node(), "pid": os.getpid()}

    def open(self, config: RunConfig) -> Opened:
        """Be ready for a run. Raises InputError for what cannot be drawn."""
        if self._opened is None or self._opened[0] != config:
            self._opened = None
            self._opened = config, self._here(config)
        here = self._opened[1]
        return Opened(problems=here.problems, record=here.record)

    def forecast(self, missing: int) -> float | None:
        """Seconds that so many samples of the run that is open would take here."""
        assert self._opened is not None
        return self._opened[1].forecast(missing)

    def draw(self, keys: Sequence[SampleKey]) -> Iterator[Chunk]:
        """Draw samples of the run that is open, and grade them here."""
        from flexeval.runs.grading import graded

        assert self._opened is not None
        here = self._opened[1]
        chunk: list[tuple[GradedSample, SamplingEffort]] = []
        begun = time.monotonic()
        for drawn, grade in graded(here.drawn(keys), here.grade):
            chunk.append((drawn.graded(grade), drawn.effort))
            if len(chunk) >= CHUNK_SAMPLES or time.monotonic() - begun > CHUNK_SECONDS:
                yield Chunk(samples=chunk, gpu=gpu_memory())
                chunk, begun = [], time.monotonic()
        if chunk:
            yield Chunk(samples=chunk, gpu=gpu_memory())

    def grade(self, spec: str, texts: Sequence[tuple[Problem, str]], published: bool) -> tuple[list[Grade], str | None]:
        """Verdicts on texts, in their order, and what isolates the programs of the task on this machine.

        Args:
            spec: of the task.
            texts: each with its problem.
            published: by the rules of published numbers, not by ours.
        """
        from flexeval.runs.grading import graded
        from flexeval.tasks.task import HasPublishedGrader, RunsPrograms, grade_of

        task = self._task(spec)
        isolation = task.isolation().summary() if isinstance(task, RunsPrograms) else None
        if published:
            assert isinstance(task, HasPublishedGrader)
            found = graded(texts, lambda item: task.grade_as_published(*item))
        else:
            found = graded(texts, lambda item: grade_of(task, *item))
        return [grade for _, grade in found], isolation

    def _here(self, config: RunConfig) -> Here:
        from flexeval.runs.runner import Here

        asked = config.model, config.attention, config.adapter
        if asked not in self._loaded:
            self._loaded.clear()
            self._loaded[asked] = flexeval.load_model(
                config.model,
                device=self._machine.device,
                dtype=self._machine.dtype,
                trust_remote_code=self._machine.trust_remote_code,
                attention=config.attention,
                adapter=config.adapter,
            )
        predictor = self._loaded[asked]
        return Here(
            config,
            predictor=predictor,
            task=self._task(config.task),
            batch_size=self._machine.batch_size,
        )

    def _task(self, spec: str) -> Task:
        from flexeval.tasks import get_task

        if spec not in self._tasks:
            self._tasks[spec] = get_task(spec, data_dir=self._machine.data_dir)
        return self._tasks[spec]
