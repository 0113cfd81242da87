"""Points of a drawing that can be asked what they are: shapes over what is drawn, each with the row of data behind it.

They are invisible, so that PNG and PDF files do not have them. Whoever writes an SVG with links shows them and gives
each an address (`flexeval.plots.inline`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import IdentityTransform
from numpy.typing import ArrayLike

_SIZE = 32.0
"""Square points of a quarter of the target around a point, which is about as wide as a line of text is high."""
_SQUARE = Path([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]], closed=True)
_HIDDEN: dict[str, Any] = {"visible": False, "facecolor": "none", "edgecolor": "none", "zorder": 9}


Row = dict[str, Any]


class Marks(PathCollection):
    """Targets of one curve, or of one kind of dots or bars."""

    rows: Sequence[Row] = ()
    """What was drawn at each target."""
    tell: Callable[[Row], str]
    """What a target says of its row; asked when the drawing is finished, so that its axes have their names."""

    def texts(self) -> list[str]:
        """What each target says."""
        return [self.tell(row) for row in self.rows]


def mark_points(axes: Axes, data: pd.DataFrame, x: ArrayLike, y: ArrayLike, tell: Callable[[Row], str]) -> None:
    """A target at each of the points (x, y), each of a row of `data`."""
    marks = Marks([_SQUARE], [_SIZE], offsets=np.column_stack([x, y]), offset_transform=axes.transData, **_HIDDEN)
    marks.set_transform(IdentityTransform())
    _add(axes, marks, data, tell)


def mark_bars(axes: Axes, data: pd.DataFrame, bars: Sequence[Rectangle], tell: Callable[[Row], str]) -> None:
    """A target over each bar, each of a row of `data`."""
    paths = [bar.get_path().transformed(bar.get_patch_transform()) for bar in bars]
    _add(axes, Marks(paths, transform=axes.transData, **_HIDDEN), data, tell)


def _add(axes: Axes, marks: Marks, data: pd.DataFrame, tell: Callable[[Row], str]) -> None:
    axes.add_collection(marks, autolim=False)
    marks.rows = [{str(name): value for name, value in row.items()} for row in data.to_dict("records")]
    marks.tell = tell


def told(axis: Axis, value: float, low: float = float("nan"), high: float = float("nan")) -> str:
    """A value of an axis in words, with its name, unit and interval: "Pass@k 41.2 % [35.0, 47.5]".

    A label such as "Pass@k, %" gives the name and the unit.
    """
    name, _, unit = axis.get_label_text().rpartition(", ")
    name, unit = (name, unit) if name else (unit, "")
    form = axis.get_major_formatter()

    def write(one: float) -> str:
        # Only a formatter that somebody wrote (percent) says more than the number.
        return str(form.format_data(one)) if isinstance(form, FuncFormatter) else f"{one:.4g}"

    interval = "" if np.isnan(low) or np.isnan(high) else f"[{write(low)}, {write(high)}]"
    return " ".join(part for part in (name, write(value), unit, interval) if part)


def marks_of(figure: Figure) -> list[Marks]:
    """The marks of a drawing, in the order in which they were drawn."""
    return [one for panel in figure.axes for one in panel.collections if isinstance(one, Marks)]
