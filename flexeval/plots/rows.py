"""One line a name, for quantities of words, orders or tasks: markers with intervals, or bars divided into parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from flexeval.plots.marks import Row, mark_bars, mark_points, told
from flexeval.plots.style import FAINT, INK, Look

_ROOM_FOR_TEXT = 0.07
"""The share that a part needs for its number to fit."""


def name_lines(axes: Axes, names: Iterable[str], *, room: int | None = None) -> None:
    """A line for each name, the first at the top; with `room`, space for so many lines, so that panels match."""
    labels = list(names)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim((room or len(labels)) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)


def dots(
    axes: Axes, data: pd.DataFrame, lines: Sequence[float], look: Look, *, label: str, hollow: bool = False
) -> None:
    """A marker at each estimate, and a bar from low to high where they are known.

    Args:
        axes: where.
        data: columns estimate, low, high; one row a marker.
        lines: the height of each marker, in lines of `name_lines`.
        look: of the markers.
        label: for the legend.
        hollow: markers without a filling.
    """
    if data.empty:
        return  # an empty line that is not clipped would count as lying in the figure's corner
    known = data[["low", "high"]].notna().all(axis=1).to_numpy()
    heights = pd.Series(list(lines), dtype=float)
    axes.hlines(heights[known], data["low"][known], data["high"][known], color=look.colour, linewidth=0.9)
    axes.plot(
        data["estimate"], heights, linestyle="none", marker=look.marker, color=look.colour, label=label,
        markerfacecolor="white" if hollow else look.colour, markeredgewidth=0.9, clip_on=False, zorder=3,
    )  # fmt: skip
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    at = [names[min(max(round(height), 0), len(names) - 1)] if names else "" for height in lines]

    def tell(row: Row) -> str:
        return f"{row['_line']}, {label.strip('_')}: {told(axes.xaxis, row['estimate'], row['low'], row['high'])}"

    mark_points(axes, data.assign(_line=at), data["estimate"], heights, tell)


def join(axes: Axes, starts: pd.Series[float], ends: pd.Series[float]) -> None:
    """A thin line from one value to the other on each line of `name_lines` that has both."""
    known = starts.notna().to_numpy() & ends.notna().to_numpy()
    axes.hlines(known.nonzero()[0], starts[known], ends[known], color=FAINT, linewidth=0.6, linestyle=":", zorder=1)


@dataclass(frozen=True, kw_only=True)
class Part:
    """How a part looks, and what the legend calls it."""

    label: str
    colour: str
    hatch: str = ""
    ink: str = INK
    """Of the number inside."""


def stacked(axes: Axes, shares: pd.DataFrame, parts: Mapping[str, Part]) -> None:
    """One horizontal bar for each row, from the top; numbers in percent where they fit.

    Args:
        axes: where, its lines named already.
        shares: one column a part, fractions; one row a bar.
        parts: how each column is drawn, from left to right.
    """
    left = pd.Series(0.0, index=shares.index)
    for name, part in parts.items():
        bars = axes.barh(
            range(len(shares)), shares[name], left=left, height=0.62, color=part.colour, hatch=part.hatch,
            edgecolor=INK, linewidth=0.5, label=part.label,
        )  # fmt: skip
        texts = [f"{100 * share:.0f}" if share >= _ROOM_FOR_TEXT else "" for share in shares[name]]
        inside = axes.bar_label(bars, texts, label_type="center", fontsize=6.5, color=part.ink)
        if part.hatch:
            for text in inside:
                text.set_bbox({"facecolor": part.colour, "edgecolor": "none", "pad": 0.8})
        rows = pd.DataFrame({"part": name, "share": shares[name]}).reset_index()

        def tell(row: Row, label: str = part.label) -> str:
            return f"{label}: {told(axes.xaxis, row['share'])}"

        seen = rows["share"].to_numpy() > 0
        mark_bars(axes, rows[seen], [bar for bar, own in zip(bars, seen, strict=True) if own], tell)
        left = left + shares[name]
