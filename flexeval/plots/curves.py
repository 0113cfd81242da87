"""Lines with their intervals over a numeric axis, and points of one quantity against another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from flexeval.plots.marks import Row, mark_points, told
from flexeval.plots.style import FAINT, Look

_TICK = 0.38
"""Inches of a panel's width, at least, for each number of its axis."""
_SHORTEST = 0.1
"""A percent axis shows so much, at least."""


def curve(
    axes: Axes, data: pd.DataFrame, x: str, look: Look, *, label: str, crowd: int = 1, bars: bool = False
) -> None:
    """A line of the estimates with a band from low to high.

    Args:
        axes: where.
        data: columns `x`, estimate, low, high; a missing interval is NaN.
        x: the name of the horizontal column.
        look: of the line.
        label: of the line, for the legend.
        crowd: curves that share the panel; where there are many, bands are fainter.
        bars: a bar at each point instead of the band; also where there is a single point. With columns `x`_low and
            `x`_high one across, too.
    """
    data = data.sort_values(x, kind="stable")
    axes.plot(
        data[x], data["estimate"], label=label, markevery=max(1, len(data) // 10), clip_on=False, zorder=2.5,
        **look.line(),
    )  # fmt: skip
    known = data.dropna(subset=["low", "high"])
    if len(known) > 1 and not bars:
        faint = min(0.15, 0.45 / crowd)
        axes.fill_between(known[x], known["low"], known["high"], color=look.colour, alpha=faint, linewidth=0)
    else:
        axes.vlines(known[x], known["low"], known["high"], color=look.colour, linewidth=0.7)
    if f"{x}_low" in data:
        axes.hlines(data["estimate"], data[f"{x}_low"], data[f"{x}_high"], color=look.colour, linewidth=0.7)
    _mark(axes, data, x, label)


def beside(axes: Axes, data: pd.DataFrame, x: str, look: Look) -> None:
    """Another measure of a line that is drawn already: its colour, thin and dotted, without marker, band and label."""
    data = data.sort_values(x, kind="stable")
    axes.plot(data[x], data["estimate"], color=look.colour, linestyle=":", linewidth=0.9, zorder=1.8)


def published(axes: Axes, data: pd.DataFrame, x: str, look: Look, *, label: str) -> None:
    """Numbers of a paper: hollow markers without a line, since nothing was published between them."""
    data = data.sort_values(x, kind="stable")
    axes.plot(
        data[x], data["estimate"], color=look.colour, linestyle="none", marker=look.marker, markersize=5.0,
        markerfacecolor="white", markeredgewidth=0.8, label=label, clip_on=False, zorder=1.5,
    )  # fmt: skip
    _mark(axes, data, x, label)


def moved(axes: Axes, start: tuple[float, float], end: tuple[float, float], look: Look) -> None:
    """An arrow from where something stood to where it stands."""
    arrow = {"arrowstyle": "-|>", "color": look.colour, "linewidth": 0.8, "mutation_scale": 6, "shrinkA": 3}
    axes.annotate("", xy=end, xytext=start, arrowprops=arrow, annotation_clip=False)


def _mark(axes: Axes, data: pd.DataFrame, x: str, label: str) -> None:
    """Let the points of a line be asked what they are."""

    def tell(row: Row) -> str:
        return f"{label}: {told(axes.xaxis, row[x])}, {told(axes.yaxis, row['estimate'], row['low'], row['high'])}"

    known = data.dropna(subset=[x, "estimate"])
    mark_points(axes, known, known[x], known["estimate"], tell)


def powers_of_two(axes: Axes, values: Iterable[float]) -> None:
    """A logarithmic horizontal axis that names the values themselves, every other one where there is no room."""
    ticks, spec, figure = sorted(set(values)), axes.get_subplotspec(), axes.get_figure(root=True)
    assert spec is not None and figure is not None
    room = max(2, int(figure.get_figwidth() / spec.get_gridspec().ncols / _TICK))
    step = math.ceil(len(ticks) / room)
    shown = ticks[(len(ticks) - 1) % step :: step]
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in shown]))
    axes.xaxis.set_minor_locator(NullLocator())


def percent(axes: Axes, *, horizontal: bool = False) -> None:
    """Label fractions as percent, once everything is drawn. The axis ends where fractions do: at 0 (at -100 % where
    there are differences below 0) and at 100 %.
    """
    axis = axes.xaxis if horizontal else axes.yaxis
    axis.set_major_formatter(lambda value, _: f"{100 * value:.4g}")
    low, high = axis.get_view_interval()
    low, high = max(low, -1.0 if axis.get_data_interval()[0] < 0 else 0.0), min(high, 1.0)
    short = max(0.0, _SHORTEST - (high - low))  # of equal values, matplotlib shows what is close by
    low, high = (low - short, high) if high == 1 else (low, high + short)
    (axes.set_xlim if horizontal else axes.set_ylim)(low, high)


def corner(axes: Axes, text: str) -> None:
    """A few words in the lower right corner, which rising curves leave free."""
    axes.text(
        0.98, 0.03, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=6.0,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1.0},
    )  # fmt: skip


def same_height(panels: Sequence[Axes]) -> None:
    """Let the vertical axes of panels begin and end alike, so that their curves can be compared."""
    ends = [panel.get_ylim() for panel in panels]
    for panel in panels:
        panel.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))


def against(axes: Axes, data: pd.DataFrame, x: str, y: str, look: Look) -> None:
    """Fractions against fractions on a square, with the diagonal of equality; points that coincide look darker."""
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.7, linestyle=":", zorder=1)
    axes.plot(
        data[x], data[y], linestyle="none", marker=look.marker, color=look.colour, alpha=0.45, markersize=3.6,
        markeredgewidth=0, clip_on=False,
    )  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)

    def tell(row: Row) -> str:
        name = f"{row['problem_id']}: " if "problem_id" in row else ""
        return f"{name}{told(axes.xaxis, row[x])}, {told(axes.yaxis, row[y])}"

    mark_points(axes, data, data[x], data[y], tell)
