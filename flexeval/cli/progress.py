"""Progress on stderr, as bars in a terminal and else as lines: of sampling, many runs, a training, a counterfactual."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from flexeval.cli import output
from flexeval.cli.formatting import run_name
from flexeval.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from flexeval.grpo.config import GRPOConfig
    from flexeval.grpo.metrics import StepMetrics
    from flexeval.reproduce.sweep import Cell, Outcome
    from flexeval.runs.storage import Progress

Report = Callable[["Progress"], None]


# ----- the orders of one command -----


@contextmanager
def sampling_bars(*, graded: bool = True) -> Iterator[Callable[[str], Report]]:
    """Yield a function that opens the bar of an order and returns what the runner is to call."""
    console = output.messages()
    if not console.is_terminal:
        yield lambda order: _line(console, order)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("samples, {task.fields[correct]} correct" if graded else "samples", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console) as bars:
        yield lambda order: _bar(bars, order)


def _bar(bars: Bars, order: str) -> Report:
    bar = bars.add_task(order, total=None, correct=0)
    return lambda progress: bars.update(bar, completed=progress.done, total=progress.total, correct=progress.correct)


def _line(console: Console, order: str) -> Report:
    """Print one line at the runner's first call, which says how much is missing."""
    printed = False

    def report(progress: Progress) -> None:
        nonlocal printed
        if not printed:
            console.print(f"{order}: {_to_draw(progress)}", soft_wrap=True)
            printed = True

    return report


def _to_draw(progress: Progress) -> str:
    return f"{progress.total - progress.done} of {progress.total} samples to draw"


# ----- many runs -----


@contextmanager
def runs_watch(cells: Sequence[Cell], parameters: Mapping[str, float]) -> Iterator[RunsWatch]:
    """Yield what `run_cells` tells about each run: one line a run, or one bar over all of them in a terminal.

    Args:
        cells: all runs; those that are stored take no time.
        parameters: model -> size, where it is known; it weighs runs of different models for the time left.
    """
    console = output.messages()
    missing = [cell for cell in cells if cell.stored is None]
    work = {cell.folder: _work(cell, parameters) for cell in missing}
    if not missing or not console.is_terminal:
        yield RunsWatch(console, work)
        return
    # The longest column comes last, since a narrow terminal cuts it.
    columns = (
        BarColumn(bar_width=20),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.description}", markup=False),
    )
    with Bars(*columns, console=console) as bars:
        yield _RunsBar(console, work, bars)


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


class RunsWatch:
    """Prints a line when a run begins, with the time that all runs will still take at the speed so far."""

    def __init__(self, console: Console, work: Mapping[Path, float]) -> None:
        self._console = console
        self._work = dict(work)
        self._finished = 0.0
        self._total = sum(work.values())
        self._begun: float | None = None
        self._number = 0

    def begin(self, cell: Cell) -> Report:
        """A run begins; the result is what the runner is to call."""
        self._number += 1
        name = f"{self._number} of {len(self._work)}: {run_name(cell.config)}"
        all_work, before = self._work[cell.folder], self._finished
        stored: float | None = None

        def report(progress: Progress) -> None:
            nonlocal stored
            done = all_work * progress.done / progress.total
            if stored is None:
                # Samples that were stored before take no time now, and loading the first model tells nothing.
                self._begun = self._begun or time.monotonic()
                stored = done
                self._total -= stored
                self._opened(name, progress)
            self._finished = before + done - stored
            self._moved(name, progress)

        return report

    def end(self, outcome: Outcome) -> None:
        """A run ended."""
        if outcome.error is not None:
            self._console.print(f"{run_name(outcome.cell.config)} failed; the others go on", soft_wrap=True)

    def left(self) -> str:
        """The time left, at the speed so far."""
        elapsed = time.monotonic() - (self._begun or time.monotonic())
        if not self._finished or elapsed < 1:
            return "time left unknown"
        minutes = elapsed * (self._total - self._finished) / self._finished / 60
        return f"about {minutes / 60:.1f} h left" if minutes >= 90 else f"about {minutes:.0f} min left"

    def _opened(self, name: str, progress: Progress) -> None:
        self._console.print(f"{name} ({self.left()}): {_to_draw(progress)}", soft_wrap=True)

    def _moved(self, name: str, progress: Progress) -> None:
        """Nothing: a line for each sample would be too many."""


class _RunsBar(RunsWatch):
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


# ----- a training -----

HEADER = "  step  reward  solved  problems  skipped  length  entropy  gradient   rollout  reward  update"


@contextmanager
def training_report(config: GRPOConfig, out: Path, accelerator: Any) -> Iterator[Callable[[StepMetrics], None]]:
    """Yield what `train` is to call after every step: it prints a line a step, below a header.

    Args:
        config: the settings.
        out: the training folder, which the header names.
        accelerator: accelerate's; only its main process prints.
    """
    console = output.messages(quiet=not accelerator.is_main_process)
    processes = f", {accelerator.num_processes} processes" if accelerator.num_processes > 1 else ""
    for line in (
        f"{config.model} on {config.task}, {config.rollout_order}{' (fast)' if config.fast else ''}, "
        f"{config.steps} steps of {config.problems_per_step} problems x {config.group_size} samples, "
        f"{accelerator.device}{processes}",
        f"metrics and checkpoints: {out}",
        HEADER,
    ):
        console.print(line, soft_wrap=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("steps"), TimeElapsedColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        bar = bars.add_task("", total=config.steps)

        def report(metrics: StepMetrics) -> None:
            console.print(step_line(metrics), soft_wrap=True)
            if metrics.step == 0 and metrics.empty > _MOSTLY:
                console.print(empty_warning(config, metrics), soft_wrap=True)
            bars.update(bar, completed=metrics.step + 1)

        yield report


_MOSTLY = 0.5


def empty_warning(config: GRPOConfig, metrics: StepMetrics) -> str:
    """What to say where most texts of the first step have no token."""
    return (
        f"warning: {100 * metrics.empty:.0f} % of the first step's texts are empty: under {config.rollout_order} "
        "the model ends them at once, and there is next to nothing to learn from; use another order or another model"
    )


def step_line(metrics: StepMetrics) -> str:
    """One step below `HEADER`: shares in percent, entropy in nats, times in seconds."""
    groups = f"{metrics.skipped_groups:d}"
    return (
        f"{metrics.step + 1:6d}{metrics.reward:8.3f}{100 * metrics.solved:7.1f}%{100 * metrics.solved_problems:9.1f}%"
        f"{groups:>9}{metrics.length:8.1f}{_or_dash(metrics.entropy):>9}{_or_dash(metrics.grad_norm):>10}"
        f"{metrics.rollout_seconds:9.1f}s{metrics.reward_seconds:7.1f}s{metrics.update_seconds:7.1f}s"
    )


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


# ----- a counterfactual -----


@contextmanager
def counterfactual_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what is to be called with the samples done and their number; silent outside a terminal."""
    console = output.messages()
    with Bars(console=console, disable=not console.is_terminal) as bars:
        bar = bars.add_task(f"{label}: AR counterfactual", total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)
