"""Lines with their intervals over a numeric axis, and points of one quantity against another."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from flexeval.plots.marks import Row, mark_points, told
from flexeval.plots.style import FAINT, INK, Look


def curve(axes: Axes, data: pd.DataFrame, x: str, look: Look, *, label: str, crowd: int = 1) -> Line2D:
    """A line of the estimates with a band from low to high, or a bar where there is a single point.

    Args:
        axes: where.
        data: columns `x`, estimate, low, high; a missing interval is NaN.
        x: the name of the horizontal column.
        look: of the line.
        label: of the line, for the legend.
        crowd: curves that share the panel; where there are many, bands are fainter.
    """
    data = data.sort_values(x, kind="stable")
    (line,) = axes.plot(
        data[x], data["estimate"], color=look.colour, linestyle=look.dash, marker=look.marker, label=label,
        markevery=max(1, len(data) // 10),
    )  # fmt: skip
    known = data.dropna(subset=["low", "high"])
    if len(known) > 1:
        faint = min(0.15, 0.45 / crowd)
        axes.fill_between(known[x], known["low"], known["high"], color=look.colour, alpha=faint, linewidth=0)
    else:
        axes.vlines(known[x], known["low"], known["high"], color=look.colour, linewidth=0.9)
    _mark(axes, data, x, label)
    return line


def beside(axes: Axes, data: pd.DataFrame, x: str, look: Look) -> Line2D:
    """Another measure of a line that is drawn already: its colour, thin and dotted, without marker, band and label."""
    data = data.sort_values(x, kind="stable")
    (line,) = axes.plot(data[x], data["estimate"], color=look.colour, linestyle=":", linewidth=0.9, zorder=1.8)
    return line


def published(axes: Axes, data: pd.DataFrame, x: str, look: Look, *, label: str) -> Line2D:
    """Numbers of a paper: hollow markers without a line, since nothing was published between them."""
    data = data.sort_values(x, kind="stable")
    (line,) = axes.plot(
        data[x], data["estimate"], color=look.colour, linestyle="none", marker=look.marker, markersize=5.0,
        markerfacecolor="white", markeredgewidth=0.8, label=label, zorder=1.5,
    )  # fmt: skip
    _mark(axes, data, x, label)
    return line


def _mark(axes: Axes, data: pd.DataFrame, x: str, label: str) -> None:
    """Let the points of a line be asked what they are."""

    def tell(row: Row) -> str:
        return f"{label}: {told(axes.xaxis, row[x])}, {told(axes.yaxis, row['estimate'], row['low'], row['high'])}"

    known = data.dropna(subset=[x, "estimate"])
    mark_points(axes, known, known[x], known["estimate"], tell)


def powers_of_two(axes: Axes, values: Iterable[float]) -> None:
    """A logarithmic horizontal axis that names the values themselves, every other one where there are many."""
    ticks = sorted(set(values))
    shown = ticks if len(ticks) <= 9 else ticks[len(ticks) % 2 - 1 :: 2]
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in shown]))
    axes.xaxis.set_minor_locator(NullLocator())


def percent(axes: Axes, *, horizontal: bool = False) -> None:
    """Label fractions as percent."""
    axis = axes.xaxis if horizontal else axes.yaxis
    axis.set_major_formatter(lambda value, _: f"{100 * value:.4g}")


def ring(axes: Axes, data: pd.DataFrame, x: str) -> None:
    """A ring around some points."""
    axes.plot(
        data[x], data["estimate"], linestyle="none", marker="o", markersize=8.5, markerfacecolor="none",
        markeredgecolor=INK, markeredgewidth=0.7,
    )  # fmt: skip


def against(axes: Axes, data: pd.DataFrame, x: str, y: str, look: Look) -> None:
    """Fractions against fractions on a square, with the diagonal of equality; points that coincide look darker."""
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.7, linestyle=":", zorder=1)
    axes.plot(
        data[x], data[y], linestyle="none", marker=look.marker, color=look.colour, alpha=0.45, markersize=3.6,
        markeredgewidth=0,
    )  # fmt: skip
    axes.set_xlim(-0.04, 1.04)
    axes.set_ylim(-0.04, 1.04)

    def tell(row: Row) -> str:
        name = f"{row['problem_id']}: " if "problem_id" in row else ""
        return f"{name}{told(axes.xaxis, row[x])}, {told(axes.yaxis, row[y])}"

    mark_points(axes, data, data[x], data[y], tell)
