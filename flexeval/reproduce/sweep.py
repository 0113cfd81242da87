"""Run after run, each in its folder: what is stored is not sampled again, and a run that fails does not stop the rest.

It knows the order of things and what to do about errors. It does not print.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from flexeval.errors import InputError, let_go, out_of_memory
from flexeval.records import RunConfig
from flexeval.runs.reuse import run_folder
from flexeval.runs.shards import WHOLE, Shard
from flexeval.runs.store import Run, reusable_run
from flexeval.tasks import Task

if TYPE_CHECKING:
    from flexeval.runs.storage import Progress

    SampleRun = Callable[[RunConfig, Path, Task, Callable[[Progress], None]], Run]
    """Samples what a folder lacks, with a model that it keeps between calls; the run, complete."""

T = TypeVar("T")


class Watch(Protocol):
    """Hears how far a sweep is."""

    def begin(self, cell: Cell) -> Callable[[Progress], None]:
        """A run is about to be sampled; the function that is returned hears of every sample."""
        ...

    def end(self, outcome: Outcome) -> None:
        """A run is complete, or has failed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of a sweep, before it is made."""

    config: RunConfig
    folder: Path
    task: Task
    stored: Run | None
    """The run, where nothing of it is missing."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a cell."""

    cell: Cell
    run: Run | None
    """Complete; None when it failed."""
    error: Exception | None
    """Why it failed."""


def cells(
    configs: Sequence[RunConfig],
    *,
    out: Path,
    load_task: Callable[[str], Task],
    dtype: str = "auto",
    shard: Shard = WHOLE,
) -> list[Cell]:
    """Where each run goes, and what is there already.

    Args:
        configs: canonical, each run once.
        out: the folder of run folders; theirs are called by their settings.
        load_task: task spec -> task with its data; called once for each spec.
        dtype: of the weights; a run in another type is not taken for stored.
        shard: which part of each run is made.

    Raises:
        InputError: a task that cannot be used.
    """
    tasks = {spec: load_task(spec) for spec in dict.fromkeys(config.task for config in configs)}
    found = []
    for config in configs:
        folder, task = run_folder(out, config), tasks[config.task]
        try:
            stored = reusable_run(folder, config, task, dtype=dtype, shard=shard)
        except InputError:
            # Sampling into this folder will say the same, and by then the other runs are safe.
            stored = None
        found.append(Cell(config=config, folder=folder, task=task, stored=stored))
    return found


def run_cells(cells: Sequence[Cell], *, sample: SampleRun, watch: Watch) -> Iterator[Outcome]:
    """Make every run that is not stored, in order; each outcome as soon as it is known.

    An error in one run is kept in its outcome and the next run begins.

    Raises:
        OSError: nothing can be written; then the next run could not be written either.
    """
    for cell in cells:
        run, error = (cell.stored, None) if cell.stored is not None else attempt(_sampled, cell, sample, watch)
        outcome = Outcome(cell=cell, run=run, error=error)
        watch.end(outcome)
        yield outcome


def attempt(make: Callable[..., T], *args: Any) -> tuple[T | None, Exception | None]:
    """(what was made, None), or (None, the error that stopped it).

    Raises:
        OSError: nothing can be written; then what comes next could not be written either.
    """
    try:
        return make(*args), None
    except OSError:
        raise
    except Exception as error:
        let_go(error)
        return None, out_of_memory(error) or error


def _sampled(cell: Cell, sample: SampleRun, watch: Watch) -> Run:
    return sample(cell.config, cell.folder, cell.task, watch.begin(cell))
