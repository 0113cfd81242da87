"""A figure's frame: panels in a grid, a title above, the names of its series, and the small print at the foot.

Everything is placed in inches, so that a figure is exactly as wide as stated and nothing overlaps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.textpath import TextToPath

from flexeval.plots.glyphs import glyphs_may_lack
from flexeval.plots.style import COLUMN_WIDTH, FAINT, PAGE_WIDTH

_MARGIN = 0.05
_AXIS_LABELS = 0.42
"""Inches beside a panel that its title cannot use."""


_MEASURE = TextToPath()


class _Type(NamedTuple):
    size: float
    weight: str = "normal"


_TITLE, _PANEL_TITLE, _FOOT, _END = _Type(8.5, "bold"), _Type(7.5), _Type(5.8), _Type(7.0)
_LINE = 1.3
"""Line height over type size."""
_FEW = 4
"""Lines that are named where they end, at most."""
_ROOM = 0.75
"""Inches beside a panel for such a name."""
_NEAR_END = 0.85
"""Of a panel's width: a line that ends before is not named there."""


@glyphs_may_lack()
def panels(
    titles: Sequence[str],
    headings: Sequence[str] = (),
    *,
    height: float | Sequence[float] = 2.0,
    wide: bool | None = None,
    columns: int = 3,
) -> tuple[Figure, list[Axes]]:
    """A figure with one panel for each title, row by row.

    Args:
        titles: of the panels.
        headings: of each panel, the heading of its row; a new row begins where it changes.
        height: of a row of panels, or of each row, inches; `finish` adds what title, legend and foot need.
        wide: two paper columns instead of one; None for two columns when there is more than one panel.
        columns: panels in a row of a wide figure at most; fewer where titles are long. A narrow one has one.
    """
    wide = len(titles) > 1 if wide is None else wide
    heads = list(headings) or [""] * len(titles)
    groups = [[title for _, title in own] for _, own in groupby(zip(heads, titles, strict=True), key=itemgetter(0))]
    longest = max(map(len, groups))
    columns = _columns(titles, min(columns, longest), longest) if wide else 1
    rows = [own[start : start + columns] for own in groups for start in range(0, len(own), columns)]
    heights = list(height) if isinstance(height, Sequence) else [height] * len(rows)
    figure = Figure(figsize=(PAGE_WIDTH if wide else COLUMN_WIDTH, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(len(rows), columns, height_ratios=heights)
    axes = [figure.add_subplot(grid[row, place]) for row, own in enumerate(rows) for place in range(len(own))]
    for place, (panel, title) in enumerate(zip(axes, titles, strict=True)):
        first = place == 0 or heads[place] != heads[place - 1]
        panel.set_title(f"{heads[place]}\n{title}" if heads[place] and first else title)
    return figure, axes


@glyphs_may_lack()
def finish(figure: Figure, *, title: str, foot: str) -> Figure:
    """Add the title, the names of the series and the small print; the figure grows to hold them.

    A few lines are named at their ends, in the last panel of each row. Other series are in one legend, each label once.

    Args:
        figure: from `panels`, everything drawn.
        title: wrapped to the figure's width.
        foot: what the figure shows; wrapped like the title, but never at a no-break space.
    """
    width, height = figure.get_size_inches()
    _name_axes_once(figure)

    # How much each needs.
    inside = 0.98 * (width - 2 * _MARGIN)  # hinting widens text a little
    title_lines, foot_lines = _wrapped(title, inside, _TITLE), _wrapped(foot, inside, _FOOT)
    key = None if _name_ends(figure) else _legend(figure, width)
    key_height = key.get_window_extent().height / figure.dpi + 0.07 if key else 0.0
    top = _MARGIN + _height(title_lines, _TITLE) + key_height + 0.06
    bottom = _MARGIN + _height(foot_lines, _FOOT) + 0.05
    total = height + top + bottom

    # Place it.
    figure.set_size_inches(width, total)
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(  # type: ignore[call-arg] # the stub knows only the base class
        rect=(0, bottom / total, 1, height / total), w_pad=_MARGIN, h_pad=0.02, wspace=0.05, hspace=0.06
    )
    left, above, below = _MARGIN / width, 1 - _MARGIN / total, _MARGIN / total
    figure.text(
        left, above, "\n".join(title_lines), fontsize=_TITLE.size, weight=_TITLE.weight, va="top", linespacing=_LINE
    )
    figure.text(left, below, "\n".join(foot_lines), fontsize=_FOOT.size, color=FAINT, va="bottom", linespacing=_LINE)
    if key:
        key.set_bbox_to_anchor((left, above - (_height(title_lines, _TITLE) + 0.07) / total), figure.transFigure)
    return figure


def _columns(titles: Sequence[str], most: int, longest: int) -> int:
    """As many as fit beside each other; three rather than four if that fills the last row of the longest."""
    widest = max(_width(line, _PANEL_TITLE) for title in titles for line in title.split("\n"))
    fitting = [n for n in range(most, 1, -1) if widest <= PAGE_WIDTH / n - (_AXIS_LABELS if n < 5 else _MARGIN)]
    return min(fitting, key=lambda n: (math.ceil(longest / n), -longest % n), default=1)


def _name_axes_once(figure: Figure) -> None:
    """Hide the name of an axis where its neighbour at the left, or below, says the same; numbers likewise."""
    specs = {panel: panel.get_subplotspec() for panel in figure.axes}
    at = {(spec.rowspan.start, spec.colspan.start): panel for panel, spec in specs.items() if spec}
    numbers = {panel: _numbers(panel.yaxis) for panel in at.values()}
    for (row, column), panel in at.items():
        if (left := at.get((row, column - 1))) and panel.get_ylabel() == left.get_ylabel():
            panel.yaxis.label.set_visible(False)
            panel.tick_params(labelleft=numbers[panel] != numbers[left])
        if (below := at.get((row + 1, column))) and panel.get_xlabel() == below.get_xlabel():
            panel.xaxis.label.set_visible(False)


def _numbers(axis: Axis) -> list[object]:
    """Where an axis has which labels, and where it ends."""
    return [*axis.get_view_interval(), *((text.get_position(), text.get_text()) for text in axis.get_ticklabels())]


def _name_ends(figure: Figure) -> bool:
    """Name the lines where they end, at the right of each row's last panel; False, and nothing done, where that is not
    clear: many lines, long names, lines that end early or in one place, and series that are no lines.
    """
    specs = {panel: spec for panel in figure.axes if (spec := panel.get_subplotspec())}
    last: dict[int, Axes] = {}
    for panel, spec in specs.items():
        row = spec.rowspan.start
        if row not in last or spec.colspan.start > specs[last[row]].colspan.start:
            last[row] = panel
    series = {label for panel in figure.axes for label in panel.get_legend_handles_labels()[1]}
    if not 1 < len(series) <= _FEW or max(_width(label, _END) for label in series) > _ROOM:
        return False
    places = {panel: _ends(panel) for panel in last.values()}
    if any(place is None or place.keys() != series for place in places.values()):
        return False
    for panel, place in places.items():
        for label, (height, colour) in (place or {}).items():
            # The gap is in points, so that the room that the name needs does not depend on the size of the panel.
            panel.annotate(
                label, (1, height), xycoords="axes fraction", xytext=(4, 0), textcoords="offset points", va="center",
                fontsize=_END.size, color=colour, annotation_clip=False,
            )  # fmt: skip
    return True


def _ends(panel: Axes) -> dict[str, tuple[float, Any]] | None:
    """Where to write each label, as a fraction of the panel's height, and in which colour; None where that cannot be,
    or there is no label.

    Names that would lie on each other move apart, by a line at most.
    """
    to_panel = panel.transData + panel.transAxes.inverted()
    ends = {}
    for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
        points = np.asarray(handle.get_xydata()) if isinstance(handle, Line2D) else np.empty((0, 2))
        if not isinstance(handle, Line2D) or handle.get_linestyle() == "None" or len(points) < 2:
            return None
        across, up = to_panel.transform(points[-1])
        if across < _NEAR_END:
            return None
        ends[label] = (float(up), handle.get_color())
    if not ends:
        return None
    spec, figure = panel.get_subplotspec(), panel.get_figure(root=True)
    assert spec is not None and figure is not None
    line = _height(["x"], _END) / (figure.get_figheight() / spec.get_gridspec().nrows - _AXIS_LABELS)
    order = sorted(ends, key=lambda label: ends[label][0])
    wanted = np.array([ends[label][0] for label in order])
    # A line apart, then all back by what they moved, within the panel: from above, then from below.
    steps = line * np.arange(len(order))
    places = np.maximum.accumulate(wanted - steps) + steps
    places -= (places - wanted).mean()
    places = np.minimum.accumulate((np.minimum(places, 1 - 0.6 * line) - steps)[::-1])[::-1] + steps
    places = np.maximum.accumulate(np.maximum(places, 0.6 * line) - steps) + steps
    if any(abs(place - ends[label][0]) > line for place, label in zip(places, order, strict=True)):
        return None
    return {label: (place, ends[label][1]) for place, label in zip(places, order, strict=True)}


def _legend(figure: Figure, width: float) -> Legend | None:
    """A legend with as many entries in a row as fit; None when nothing has a label."""
    entries: dict[str, Artist] = {}
    for panel in figure.axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    for columns in range(len(entries), 0, -1):
        # matplotlib fills column by column; we read row by row.
        by_column = [label for column in range(columns) for label in list(entries)[column::columns]]
        key = figure.legend(
            [entries[label] for label in by_column], by_column, loc="upper left", ncols=columns, bbox_to_anchor=(0, 1)
        )
        key.set_in_layout(False)
        if columns == 1 or key.get_window_extent().width / figure.dpi <= width - 2 * _MARGIN:
            return key
        key.remove()
    return None


def _wrapped(text: str, width: float, kind: _Type) -> list[str]:
    """Wrap a text to a width (inches): at spaces, and inside a word only if the word is too long."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if line and _width(longer, kind) > width:
                lines.append(line)
                longer = word
            while _width(longer, kind) > width:
                fitting = next(end for end in range(len(longer) - 1, 0, -1) if _width(longer[:end], kind) <= width)
                lines.append(longer[:fitting])
                longer = longer[fitting:]
            line = longer
        lines.append(line)
    return lines


def _width(text: str, kind: _Type) -> float:
    """Inches."""
    font = FontProperties(family="DejaVu Sans", size=kind.size, weight=kind.weight)
    return _MEASURE.get_text_width_height_descent(text, font, ismath=False)[0] / 72


def _height(lines: Sequence[str], kind: _Type) -> float:
    """Inches."""
    return len(lines) * kind.size * _LINE / 72
