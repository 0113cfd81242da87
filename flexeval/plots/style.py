"""How every plot looks: type sizes, widths, and the colour, dash and marker of each series.

Two series of a figure never share both dash and marker, so they can be distinguished without colour. The colours of the
common orders also differ in lightness. Knows only the names of series.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from matplotlib import style

COLUMN_WIDTH = 3.3
"""Inches: one column of a two-column paper."""
PAGE_WIDTH = 6.8
"""Inches: both columns."""
INK, FAINT = "#222222", "#8a8a8a"

_RC: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 4.0,
    "axes.titlesize": 7.5,
    "figure.dpi": 100,
    "font.family": "DejaVu Sans",  # matplotlib brings it along, so that every machine draws the same
    "font.size": 7.5,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "hatch.linewidth": 0.5,
    "legend.borderaxespad": 0.0,
    "legend.borderpad": 0.0,
    "legend.columnspacing": 1.4,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "legend.handlelength": 2.8,
    "legend.handletextpad": 0.5,
    "legend.labelspacing": 0.35,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.8,
    "pdf.fonttype": 42,
    "savefig.dpi": 300,
    "svg.fonttype": "none",
    "svg.hashsalt": "flexeval",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "xtick.labelsize": 6.8,
    "xtick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "xtick.minor.size": 0.0,
    "ytick.color": INK,
    "ytick.labelsize": 6.8,
    "ytick.major.size": 2.5,
    "ytick.major.width": 0.6,
    "ytick.minor.size": 0.0,
}


@contextmanager
def house_style() -> Iterator[None]:
    """A context in which figures are drawn and saved in this style."""
    with style.context(_RC, after_reset=True):
        yield


Dash = str | tuple[float, tuple[float, ...]]
"""As matplotlib's `linestyle`."""

_SOLID: Dash = "-"
_DASHED: Dash = (0, (4.5, 1.6))
_DASH_DOT: Dash = (0, (5, 1.4, 1, 1.4))
_DOTTED: Dash = (0, (1, 1.2))
_LONG: Dash = (0, (8, 2))
_DASH_DOT_DOT: Dash = (0, (5, 1.3, 1, 1.3, 1, 1.3))


@dataclass(frozen=True, kw_only=True)
class Look:
    """What marks a series."""

    colour: str
    dash: Dash
    marker: str | tuple[int, int, float]
    """As matplotlib's `marker`; filled."""


_ORDERS = {
    "ar": Look(colour="#0b2e59", dash=_SOLID, marker="o"),
    "confidence": Look(colour="#d1541b", dash=_DASHED, marker="s"),
    "top_prob": Look(colour="#4fb09f", dash=_DASH_DOT, marker="^"),
    "entropy": Look(colour="#7b4fa6", dash=_DOTTED, marker="D"),
    "margin": Look(colour="#b8860b", dash=_LONG, marker="v"),
    "random": Look(colour="#a8a8a8", dash=_DASH_DOT_DOT, marker="X"),
    "permutation": Look(colour="#757575", dash=_DOTTED, marker="P"),
    "egi": Look(colour="#c2347f", dash=_SOLID, marker="*"),
    "parallel-k": Look(colour="#5c8a2f", dash=_DASHED, marker=">"),
    "threshold": Look(colour="#3d7fc4", dash=_DASH_DOT, marker="<"),
    "factor": Look(colour="#6fb3e0", dash=_LONG, marker="p"),
    "eb": Look(colour="#8f3b2e", dash=_DASH_DOT_DOT, marker="h"),
    "fork": Look(colour="#4d4d00", dash=_SOLID, marker="d"),
    "low_confidence_dynamic": Look(colour="#2f6f73", dash=_LONG, marker="8"),
    "klass": Look(colour="#33691e", dash=_DOTTED, marker="H"),
    "tlc": Look(colour="#b71c1c", dash=_DASH_DOT, marker=(4, 1, 0)),
    "tct": Look(colour="#ad7a00", dash=_DASHED, marker=(3, 1, 0)),
    "wino": Look(colour="#6a1b9a", dash=_SOLID, marker=(6, 1, 0)),
    "remdm": Look(colour="#00796b", dash=_DASH_DOT_DOT, marker=(8, 1, 0)),
    "edit": Look(colour="#1565c0", dash=_LONG, marker=(3, 1, 180)),
    "t2m": Look(colour="#d81b60", dash=_DOTTED, marker=(5, 1, 180)),
}
_MARKERS = ("o", "s", "^", "D", "v", "X", "P", "*", ">", "<", "p", "h", "d")
_DASHES = (_DASHED, _DOTTED, _DASH_DOT, _SOLID, _LONG, _DASH_DOT_DOT)
_COLOURS = (
    "#4f6d94", "#e58a5f", "#7cc3b8", "#a98bc7", "#d9b45b", "#666666", "#9a9a9a", "#dc7fb0", "#94b870", "#7fa9d6",
    "#a5cfe9", "#b97f76", "#8a8a4a",
)  # fmt: skip
_STROKES: tuple[tuple[str, Dash], ...] = (
    ("#e58a5f", _DASHED), ("#0b2e59", _SOLID), ("#4fb09f", _DASH_DOT), ("#7b4fa6", _DOTTED), ("#b8860b", _LONG),
    ("#666666", _DASH_DOT_DOT),
)  # fmt: skip
# 13 markers and 6 dashes have no common divisor, so walking through both meets every pair once.
_SPARE = [
    Look(colour=_COLOURS[i % 13], dash=_DASHES[i % 6], marker=_MARKERS[i % 13])
    for i in range(len(_MARKERS) * len(_DASHES))
]


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """The look of each series of a figure, in the order given.

    An order has the same look in every figure ("eb" and "eb:gamma=0.5" are one order). A second series of an order, and
    any series that is not an order, gets a spare look. No two series share dash and marker.

    Raises:
        ValueError: more series than there are looks: 78 for those that are no orders, fewer beside orders.
    """
    chosen: dict[str, Look] = {}
    labels = list(dict.fromkeys(labels))
    for label in labels:
        own = _ORDERS.get(_order_of(label))
        if own is not None and own not in chosen.values():
            chosen[label] = own
    taken = {(look.dash, look.marker) for look in chosen.values()}
    spare = (look for look in _SPARE if (look.dash, look.marker) not in taken)
    for label in labels:
        if label not in chosen:
            found = next(spare, None)
            if found is None:
                raise ValueError(f"{len(labels)} series are more than can be distinguished in one figure")
            chosen[label] = found
    return {label: chosen[label] for label in labels}


def crossed_looks(first: Iterable[str], second: Iterable[str]) -> dict[tuple[str, str], Look]:
    """The look of every pair: dash and colour say the first of the two, the marker says the second.

    With more than six of the first, each pair gets the look of a single series instead.

    Raises:
        ValueError: more pairs than there are looks (78).
    """
    strokes, marks = list(dict.fromkeys(first)), list(dict.fromkeys(second))
    pairs = [(stroke, mark) for stroke in strokes for mark in marks]
    if len(strokes) > len(_STROKES) or len(marks) > len(_MARKERS):
        plain = looks(map(repr, pairs))
        return {pair: plain[repr(pair)] for pair in pairs}
    stroke_of = dict(zip(strokes, _STROKES, strict=False))
    marker_of = dict(zip(marks, _MARKERS, strict=False))
    return {
        (stroke, mark): Look(colour=stroke_of[stroke][0], dash=stroke_of[stroke][1], marker=marker_of[mark])
        for stroke, mark in pairs
    }


def _order_of(label: str) -> str:
    """The order's registered name at the start of a label such as "eb:gamma=0.5 T=1.0"."""
    name = label.split(" ")[0].split(":")[0]
    return "parallel-k" if name.startswith("parallel-") else name
