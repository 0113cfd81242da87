"""What the verbs that make many runs share: one model at a time, progress over all runs, and a list of failures."""

from __future__ import annotations

import argparse
import functools
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars

from flexeval.cli import options, output
from flexeval.errors import InputError, one_line

if TYPE_CHECKING:
    from rich.console import Console

    from flexeval.models import MaskPredictor
    from flexeval.records import RunConfig
    from flexeval.reproduce.sweep import Cell, Outcome
    from flexeval.runs.storage import Progress
    from flexeval.runs.store import Run
    from flexeval.tasks import Task


def make_runs(
    configs: Sequence[RunConfig], args: argparse.Namespace, out: Path, parameters: Mapping[str, float]
) -> list[Outcome]:
    """Every run that is not stored, sampled; failures are printed as they come, and the rest goes on.

    Args:
        configs: canonical, each run once.
        args: the machine options.
        out: the folder of run folders.
        parameters: model -> size, where it is known; weighs the runs of different models for the time left.

    Raises:
        InputError: a task that cannot be used, a model that cannot be there, a folder that cannot be one, or an option
            of the machine that is refused; before any run.
    """
    from flexeval.models.files import check_name
    from flexeval.reproduce.sweep import cells, run_cells
    from flexeval.tasks.task import problems_of

    options.check_folder(out, what="the folder of runs")
    sample = _Sample(args)
    load_task = functools.partial(_load_task, args)
    found = cells(configs, out=out, load_task=load_task, dtype=args.dtype)
    missing = [cell.config.model for cell in found if cell.stored is None]
    if missing:
        options.check_device(args)
    for model in dict.fromkeys(missing):
        check_name(model)
    for task in {cell.config.task: cell.task for cell in found if cell.stored is None}.values():
        problems_of(task)  # which says what is wrong with its data
        output.announce_isolation(task)
    with _watch(found, parameters) as watch:
        return list(run_cells(found, sample=sample, watch=watch))


def label(config: RunConfig) -> str:
    """A run in a few words."""
    from flexeval.grpo.layout import checkpoint_name

    sampling, model = config.sampling, checkpoint_name(config.model)
    return f"{model} {config.task} {config.order} T={sampling.temperature:g} block={sampling.block}"


def _load_task(args: argparse.Namespace, spec: str) -> Task:
    from flexeval.tasks import get_task

    return get_task(spec, data_dir=args.data_dir)


class _Sample:
    """`flexeval.reproduce.sweep.SampleRun` on the machine that the options say."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._batch_size = options.batch_size(args)
        self._loaded: dict[str, MaskPredictor] = {}

    def __call__(self, config: RunConfig, folder: Path, task: Task, progress: Callable[[Progress], None]) -> Run:
        # Only now: it imports torch, which runs that are complete do not need.
        from flexeval.runs.runner import run
        from flexeval.sampling import Sampler

        if config.model not in self._loaded:
            self._loaded.clear()
            self._loaded[config.model] = options.load_model(self._args, config.model)
        predictor = self._loaded[config.model]
        return run(
            config,
            out=folder,
            predictor=predictor,
            task=task,
            batch_size=self._batch_size,
            progress=progress,
            make_sampler=functools.partial(Sampler, workers=options.side_by_side(predictor)),
        )


# ----- progress over all runs -----


@contextmanager
def _watch(cells: Sequence[Cell], parameters: Mapping[str, float]) -> Iterator[_Lines]:
    """Lines on stderr, or a bar where there is a terminal."""
    console = output.messages()
    missing = [cell for cell in cells if cell.stored is None]
    work = {cell.folder: _work(cell, parameters) for cell in missing}
    if not missing or not console.is_terminal:
        yield _Lines(console, work)
        return
    # The longest comes last: it is what a narrow terminal cuts.
    columns = (
        BarColumn(bar_width=20),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.description}", markup=False),
    )
    with Bars(*columns, console=console) as bars:
        yield _Bar(console, work, bars)


def _work(cell: Cell, parameters: Mapping[str, float]) -> float:
    """Operations that a run takes, up to a factor."""
    from flexeval.reproduce.estimate import Machine, count_parameters, count_problems, estimate

    try:
        size = count_parameters(cell.config.model, parameters) or 1.0
    except InputError:
        # Loading this model will say what is wrong, and must not stop the runs of others.
        size = 1.0
    cost = estimate(
        cell.config, problems=count_problems(cell.config, cell.task), parameters=size, machine=Machine(prompt_tokens=0)
    )
    return cost.gpu_hours or 0.0


class _Lines:
    """Says of each run that it begins, and how long all of them will take by the speed so far."""

    def __init__(self, console: Console, work: Mapping[Path, float]) -> None:
        self._console = console
        self._work = dict(work)
        self._finished = 0.0
        self._total = sum(work.values())
        self._begun: float | None = None
        self._number = 0

    def begin(self, cell: Cell) -> Callable[[Progress], None]:
        self._number += 1
        name = f"{self._number} of {len(self._work)}: {label(cell.config)}"
        all_work, before = self._work[cell.folder], self._finished
        stored: float | None = None

        def report(progress: Progress) -> None:
            nonlocal stored
            done = all_work * progress.done / progress.total
            if stored is None:
                # What was there before this call took no time of it; nor does the first model's loading say anything.
                self._begun = self._begun or time.monotonic()
                stored = done
                self._total -= stored
                self._opened(name, progress)
            self._finished = before + done - stored
            self._moved(name, progress)

        return report

    def end(self, outcome: Outcome) -> None:
        if outcome.error is not None:
            self._console.print(f"{label(outcome.cell.config)} failed; the others go on", soft_wrap=True)

    def left(self) -> str:
        """The time left, by the speed so far."""
        elapsed = time.monotonic() - (self._begun or time.monotonic())
        if not self._finished or elapsed < 1:
            return "time left unknown"
        minutes = elapsed * (self._total - self._finished) / self._finished / 60
        return f"about {minutes / 60:.1f} h left" if minutes >= 90 else f"about {minutes:.0f} min left"

    def _opened(self, name: str, progress: Progress) -> None:
        missing = progress.total - progress.done
        self._console.print(f"{name} ({self.left()}): {missing} of {progress.total} samples to draw", soft_wrap=True)

    def _moved(self, name: str, progress: Progress) -> None:
        """Nothing: a line a sample would be too many."""


class _Bar(_Lines):
    """The same as one bar over all runs."""

    def __init__(self, console: Console, work: Mapping[Path, float], bars: Bars) -> None:
        super().__init__(console, work)
        self._bars = bars
        self._bar = bars.add_task("", total=1.0, left="")

    def _opened(self, name: str, progress: Progress) -> None:
        self._moved(name, progress)

    def _moved(self, name: str, progress: Progress) -> None:
        description = f"{name}, {progress.done}/{progress.total} samples, {progress.correct} correct"
        share = self._finished / self._total if self._total else 1.0
        self._bars.update(self._bar, completed=share, description=description, left=self.left())


# ----- failures -----


def report_failures(outcomes: Sequence[Outcome]) -> int:
    """Say on stderr which runs failed and why; the exit status, 0 or 1."""
    failed = [(outcome.cell, outcome.error) for outcome in outcomes if outcome.error is not None]
    for cell, error in failed:
        if not isinstance(error, InputError):
            traceback.print_exception(error)
        print(f"flexeval: error: {one_line(f'run {label(cell.config)} failed: {one_line(error)}')}", file=sys.stderr)
    if failed:
        print(
            f"flexeval: {len(failed)} of {len(outcomes)} runs failed; the same command tries them again",
            file=sys.stderr,
        )
    return 1 if failed else 0
