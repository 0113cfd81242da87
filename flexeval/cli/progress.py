"""Progress on stderr: bars in a terminal, and elsewhere a line when work begins and one every minute.

Of sampling, many runs, a training, a counterfactual, and of what is made of runs. `every_minute` prints the lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from flexeval.cli import output
from flexeval.cli.every_minute import Line, Pace, duration, saying
from flexeval.cli.formatting import run_names
from flexeval.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from flexeval.grpo.config import GRPOConfig
    from flexeval.grpo.metrics import StepMetrics
    from flexeval.reproduce.sweep import Cell, Outcome
    from flexeval.runs.environment import Memory
    from flexeval.runs.storage import Progress

Report = Callable[["Progress"], None]


# ----- the orders of one command -----


@contextmanager
def sampling_bars(*, graded: bool = True) -> Iterator[Callable[[str], Report]]:
    """Yield a function that opens the bar of an order and returns what the runner is to call."""
    console = output.messages()
    if not console.is_terminal:
        with ExitStack() as said:
            yield lambda order: _line(console, order, said, graded=graded)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("samples, {task.fields[correct]} correct" if graded else "samples", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console) as bars, saying(lambda: None):
        yield lambda order: _bar(bars, order)


def _bar(bars: Bars, order: str) -> Report:
    bar, forecast = bars.add_task(order, total=None, correct=0), _Forecast(bars.console, order)

    def report(progress: Progress) -> None:
        bars.update(bar, completed=progress.done, total=progress.total, correct=progress.correct)
        forecast.compare(progress)

    return report


def _line(console: Console, order: str, said: ExitStack, *, graded: bool) -> Report:
    """Print one line at the runner's first call, which says how much is missing, and then one every minute."""
    pace, forecast = Pace(order), _Forecast(console, order)
    first = latest = None

    def report(progress: Progress) -> None:
        nonlocal first, latest
        latest = progress
        pace.at(progress.done, progress.total, forecast=progress.forecast)
        if first is None:
            first = progress
            console.print(f"{order}: {_to_draw(progress)}", soft_wrap=True)
            said.enter_context(saying(line))
        forecast.compare(progress)

    def line() -> str:
        assert first is not None and latest is not None
        drawn = latest.done - first.done
        correct = [f"{latest.correct:,} of {drawn:,} correct"] if graded and drawn else []
        return pace.line(*correct, *_gpu_memory(latest.gpu))

    return report


def _line_of(pace: Pace, console: Console) -> Line:
    """What is said every minute; nothing where a bar says it."""
    return (lambda: None) if console.is_terminal else (lambda: pace.line(*_gpu_memory()))


def _gpu_memory(of_workers: Memory | None = None) -> list[str]:
    """The memory that a process has taken of its GPU, where one is used."""
    from flexeval.runs.environment import gpu_memory

    memory = of_workers or gpu_memory()
    return [f"{memory.taken / 1e9:.1f} of {memory.total / 1e9:.0f} GB of GPU memory"] if memory else []


def _to_draw(progress: Progress) -> str:
    expected = "" if progress.forecast is None else f", in about {duration(progress.forecast)}"
    return f"{progress.total - progress.done} of {progress.total} samples to draw{expected}"


class _Forecast:
    """Says at the end of a run how long it was expected to take, and took."""

    def __init__(self, console: Console, name: str) -> None:
        self._console, self._name = console, name
        self._begun: float | None = None

    def compare(self, progress: Progress) -> None:
        """Called at the start and after every sample."""
        self._begun = time.monotonic() if self._begun is None else self._begun
        if progress.forecast is not None and progress.done == progress.total:
            line = forecast_line(time.monotonic() - self._begun, progress.forecast)
            self._console.print(f"{self._name}: {line}", soft_wrap=True)


def forecast_line(seconds: float, forecast: float) -> str:
    """How far a forecast was from what a run took."""
    percent = 100 * (forecast - seconds) / seconds
    found = "right" if abs(percent) < 0.5 else f"{abs(percent):.0f} % too {'long' if percent > 0 else 'short'}"
    return f"took {seconds / 60:.1f} min; the forecast, {forecast / 60:.1f} min, was {found}"


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
    names = dict(zip((cell.folder for cell in cells), run_names([cell.config for cell in cells]), strict=True))
    if not missing or not console.is_terminal:
        watch = RunsWatch(console, work, names)
        with saying(watch.line):
            yield watch
        return
    # The longest column comes last, since a narrow terminal cuts it.
    columns = (
        BarColumn(bar_width=20),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.description}", markup=False),
    )
    with Bars(*columns, console=console) as bars, saying(lambda: None):
        yield _RunsBar(console, work, names, bars)


def _work(cell: Cell, parameters: Mapping[str, float]) -> float:
    """Operations that a run takes, up to a factor."""
    from flexeval.reproduce.estimate import Machine, count_parameters, count_problems, estimate

    try:
        size = count_parameters(cell.config.model, parameters) or 1.0
    except InputError:
        # Loading this model will say what is wrong, and must not stop the runs of others.
        size = 1.0
    samples = count_problems(cell.config, cell.task) * cell.config.num_samples
    cost = estimate(cell.config, samples=samples, parameters=size, machine=Machine(prompt_tokens=0))
    return cost.gpu_hours or 0.0


class RunsWatch:
    """Prints a line when a run begins, with the time that all runs will still take at the speed so far; `line` is the
    one for every minute.
    """

    def __init__(self, console: Console, work: Mapping[Path, float], names: Mapping[Path, str]) -> None:
        self._console = console
        self._work = dict(work)
        self._names = names
        self._finished = 0.0
        self._total = sum(work.values())
        self._pace = Pace("all runs")
        self._number = 0
        self._latest: tuple[str, Progress, int] | None = None
        """The run, how far it is, and the samples that were drawn now."""

    def begin(self, cell: Cell) -> Report:
        """A run begins; the result is what the runner is to call."""
        self._number += 1
        name = f"{self._number} of {len(self._work)}: {self._names[cell.folder]}"
        all_work, before = self._work[cell.folder], self._finished
        forecast = _Forecast(self._console, name)
        first: Progress | None = None
        stored = 0.0

        def report(progress: Progress) -> None:
            nonlocal first, stored
            done = all_work * progress.done / progress.total
            if first is None:
                # Samples that were stored before take no time now, and loading the first model tells nothing.
                first, stored = progress, done
                self._total -= stored
                self._pace.at(before, self._total)
                self._opened(name, progress)
            self._finished = before + done - stored
            self._pace.at(self._finished, self._total)
            self._moved(name, progress, progress.done - first.done)
            forecast.compare(progress)

        return report

    def end(self, outcome: Outcome) -> None:
        """A run ended."""
        if outcome.error is not None:
            self._console.print(f"{self._names[outcome.cell.folder]} failed; the others go on", soft_wrap=True)

    def left(self) -> str:
        """The time left, at the speed so far."""
        seconds = self._pace.left() if self._pace.seconds() >= 1 else None
        return "time left unknown" if seconds is None else f"about {duration(seconds)} left"

    def line(self) -> str:
        """How far the run is, and the time that all of them will still take."""
        if self._latest is None:
            return f"{len(self._work)} runs to draw: the first has not begun yet"
        name, progress, drawn = self._latest
        correct = [f"{progress.correct:,} of {drawn:,} correct"] if drawn else []
        samples = f"{progress.done:,} of {progress.total:,} samples"
        return ", ".join([f"{name}: {samples}", *correct, *_gpu_memory(progress.gpu), f"{self.left()} for all runs"])

    def _opened(self, name: str, progress: Progress) -> None:
        self._console.print(f"{name} ({self.left()}): {_to_draw(progress)}", soft_wrap=True)

    def _moved(self, name: str, progress: Progress, drawn: int) -> None:
        """A sample was drawn; a line for each would be too many."""
        self._latest = name, progress, drawn


class _RunsBar(RunsWatch):
    """The same as one bar over all runs."""

    def __init__(self, console: Console, work: Mapping[Path, float], names: Mapping[Path, str], bars: Bars) -> None:
        super().__init__(console, work, names)
        self._bars = bars
        self._bar = bars.add_task("", total=1.0, left="")

    def _opened(self, name: str, progress: Progress) -> None:
        self._moved(name, progress, 0)

    def _moved(self, name: str, progress: Progress, drawn: int) -> None:
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
    pace = Pace("training", "steps")
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars, saying(_line_of(pace, console)):
        bar = bars.add_task("", total=config.steps)

        def report(metrics: StepMetrics) -> None:
            pace.at(metrics.step + 1, config.steps)
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


# ----- a counterfactual, verdicts, and what is made of runs -----


@contextmanager
def counted(name: str, unit: str = "samples") -> Iterator[Callable[[int, int], None]]:
    """Yield what is to be called with how many are done, and of how many."""
    console = output.messages()
    pace = Pace(name, unit)
    with Bars(console=console, disable=not console.is_terminal) as bars, saying(_line_of(pace, console)):
        bar = bars.add_task(name, total=None)

        def report(done: int, total: int) -> None:
            pace.at(done, total)
            bars.update(bar, completed=done, total=total)

        yield report


@contextmanager
def stages(name: str) -> Iterator[Callable[[str], None]]:
    """Yield what is to be told of each stage when it begins; a line every minute says which it is."""
    begun, stage = time.monotonic(), "beginning"

    def begin(said: str) -> None:
        nonlocal stage
        stage = said

    with saying(lambda: f"{name}: {stage}, {duration(time.monotonic() - begun)} so far"):
        yield begin
