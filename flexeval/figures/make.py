"""Runs -> files: each figure as PNG and PDF, and the CSV of everything that is drawn in it. Or one, in a notebook."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.errors import DamageError, InputError, InputTypeError
from flexeval.fields import require, require_path
from flexeval.figures import FIGURES
from flexeval.figures.figure import Figure
from flexeval.figures.selection import MODELS, ORDERS, Unavailable
from flexeval.plots.glyphs import glyphs_may_lack
from flexeval.plots.render import rendered
from flexeval.runs.store import RunSet, as_runs
from flexeval.runs.target import write_target

Writer = Callable[[Figure, Drawing, pd.DataFrame], bytes]
"""The content of a file, of a figure, its drawing and its data."""
FORMATS: Mapping[str, Writer] = {
    "png": lambda figure, drawing, data: rendered(drawing, "png"),
    "pdf": lambda figure, drawing, data: rendered(drawing, "pdf"),
    "csv": lambda figure, drawing, data: data.to_csv(index=False).encode(),
}


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def make_figures(
    runs: RunSet,
    out: str | Path,
    names: Sequence[str] | None = None,
    *,
    compare: str = ORDERS,
    formats: Mapping[str, Writer] = FORMATS,
    say: Callable[[str], None] = _to_stderr,
) -> list[Path]:
    """Write NAME.png, NAME.pdf and NAME.csv of each figure; the same runs give the same bytes.

    Args:
        runs: finished ones.
        out: a folder; made with the first figure if it is not there.
        names: which figures; None for all that the runs suffice for.
        compare: "order", or "model" for figures in which models or checkpoints share a panel.
        formats: suffix -> who makes the file; `flexeval.report.figures.figure_page` makes HTML.
        say: called with one line for each figure that is left out, which says why.

    Returns:
        The files, figure by figure.

    Raises:
        InputError: an unknown name, a run that lacks samples, or runs from which a figure that was asked for cannot
            be made.
        DamageError: a run whose rows are not as they were written.
        Unavailable: the runs do not suffice for any figure.
        OSError: a file cannot be written; those before it are whole.
    """
    runs, out = as_runs(runs), require_path(out, what="the folder of the figures")
    if isinstance(names, str):
        raise InputTypeError(f"names must be a list; for one figure write [{names!r}]")
    _require_compared(compare)
    wanted = list(FIGURES) if names is None else [FIGURES.canonical(name) for name in dict.fromkeys(names)]
    for run in runs:
        if not run.complete:
            raise InputError(
                f"run {run.folder} has {len(run.samples)} of {len(run.problems) * run.config.num_samples} samples; "
                "let `flexeval passk` finish it, or leave it out"
            )
    written: list[Path] = []
    with glyphs_may_lack(noted=True):
        for name in wanted:
            try:
                written += _write(FIGURES.get(name)(compare), runs, out, formats)
            except InputError as reason:
                if names is not None or isinstance(reason, DamageError):
                    raise
                say(f"left out: {reason}")
    if not written:
        raise Unavailable(f"these {len(runs)} runs do not suffice for any figure; see the reasons above")
    return written


@dataclass(frozen=True)
class ShownFigure:
    """A figure that a notebook shows, with the numbers in it."""

    name: str
    data: pd.DataFrame = field(repr=False)
    """Everything that is drawn, one row a mark."""
    drawing: Drawing = field(repr=False)
    """Matplotlib's, to change or to save."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        # At its size on paper, whatever the dots an inch are.
        with glyphs_may_lack(noted=True):
            content = rendered(self.drawing, "png")
        return content, {"width": round(_DOTS * self.drawing.get_size_inches()[0])}


_DOTS = 96
"""Of an inch on a screen."""


def show_figure(runs: RunSet, name: str, *, compare: str = ORDERS) -> ShownFigure:
    """A figure of some runs, as the last line of a cell of a notebook.

    Args:
        runs: finished ones.
        name: of the figure, as `flexeval ls figures` lists it.
        compare: as of `make_figures`.

    Raises:
        InputError: an unknown name, or runs that do not suffice; the line says which to make.
    """
    _require_compared(compare)
    figure = FIGURES.get(FIGURES.canonical(name))(compare)
    data = figure.data(as_runs(runs))
    return ShownFigure(name=figure.name, data=data, drawing=figure.draw(data))


def _require_compared(compare: object) -> None:
    require(compare in (ORDERS, MODELS), f"compare must be {ORDERS!r} or {MODELS!r}, not {compare!r}")


def _write(figure: Figure, runs: RunSet, out: Path, formats: Mapping[str, Writer]) -> list[Path]:
    data = figure.data(runs)
    drawing = figure.draw(data)
    contents = {out / f"{figure.name}.{suffix}": make(figure, drawing, data) for suffix, make in formats.items()}
    out.mkdir(parents=True, exist_ok=True)
    for path, content in contents.items():
        write_target(path, content)
    return list(contents)
