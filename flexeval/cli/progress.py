"""How far a run is, on stderr: a bar per decoding order in a terminal, a line per order elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from flexeval.cli import output

if TYPE_CHECKING:
    from rich.console import Console

    from flexeval.runs.storage import Progress

Report = Callable[["Progress"], None]


@contextmanager
def sampling_bars() -> Iterator[Callable[[str], Report]]:
    """A function that opens the bar of an order; what it returns is the runner's `progress`."""
    console = output.messages()
    if not console.is_terminal:
        yield lambda order: _line(console, order)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("samples, {task.fields[correct]} correct", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console) as bars:
        yield lambda order: _bar(bars, order)


def _bar(bars: Bars, order: str) -> Report:
    bar = bars.add_task(order, total=None, correct=0)
    return lambda progress: bars.update(bar, completed=progress.done, total=progress.total, correct=progress.correct)


def _line(console: Console, order: str) -> Report:
    """Speaks once, at the runner's first call, when it is known what is missing."""
    spoken = False

    def report(progress: Progress) -> None:
        nonlocal spoken
        if not spoken:
            missing = progress.total - progress.done
            console.print(f"{order}: {missing} of {progress.total} samples to draw", soft_wrap=True)
            spoken = True

    return report
