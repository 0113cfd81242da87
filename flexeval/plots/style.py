"""How every plot looks: type sizes, widths, and the colour, dash and marker of each series.

A colour and a marker belong to a family: to an order with whatever parameters, to a model with its checkpoints. The
members of a family differ in shade, dash and filling. So two series of a figure never share dash, marker and filling,
and a print without colour tells them apart; the common orders also differ in lightness. Knows only the names of series.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from matplotlib import style
from matplotlib.colors import to_hex, to_rgb

from flexeval.errors import InputError

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
    "axes.titlepad": 6.0,
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
    """As matplotlib's `marker`."""
    fill: str = "full"
    """Which part of the marker is filled, as matplotlib's `fillstyle`."""

    def line(self) -> dict[str, Any]:
        """The options of a line with markers."""
        return {
            "color": self.colour, "linestyle": self.dash, "marker": self.marker, "fillstyle": self.fill,
            "markerfacecoloralt": "white",
        }  # fmt: skip


_ORDERS = {
    "ar": Look(colour="#0b2e59", dash=_SOLID, marker="o"),
    "confidence": Look(colour="#d1541b", dash=_DASHED, marker="s"),
    "top_prob": Look(colour="#23a38e", dash=_DASH_DOT, marker="^"),
    "entropy": Look(colour="#532291", dash=_DOTTED, marker="D"),
    "margin": Look(colour="#efc03c", dash=_LONG, marker="v"),
    "random": Look(colour="#afafaf", dash=_DASH_DOT_DOT, marker="X"),
    "permutation": Look(colour="#757575", dash=_DOTTED, marker="P"),
    "egi": Look(colour="#ae1b80", dash=_SOLID, marker="*"),
    "parallel-k": Look(colour="#5eb03d", dash=_DASHED, marker=">"),
    "threshold": Look(colour="#2063b0", dash=_DASH_DOT, marker="<"),
    "factor": Look(colour="#81ccf0", dash=_LONG, marker="p"),
    "eb": Look(colour="#89202b", dash=_DASH_DOT_DOT, marker="h"),
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
_DASHES = (_SOLID, _DASHED, _DASH_DOT, _DOTTED, _LONG, _DASH_DOT_DOT)
_FILLS = ("full", "left", "bottom", "right", "top")
# Of models, trainings, tasks and settings, in the order in which a figure has them.
_OTHERS = [
    Look(colour=colour, dash=_DASHES[place % len(_DASHES)], marker=marker)
    for place, (colour, marker) in enumerate(
        zip(
            ("#2f6690", "#b5651d", "#6f9fc8", "#7a3b69", "#a9b665", "#c98b8b", "#2f7f6f", "#8c8c8c", "#5b5ea6"),
            ("o", "s", "D", "^", "v", "X", "P", "*", "p"),
            strict=True,
        )
    )
]


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """The look of each series of a figure, in the order given.

    An order has the same colour and marker in every figure, whatever its parameters, and the first of its members has
    its dash: "eb" and "eb:gamma=0.5" are one family. So are "k = 1" and "k = 8", and a model and its checkpoints.

    Raises:
        InputError: more series than can be told apart, at least 31.
    """
    labels = list(dict.fromkeys(labels))
    families: dict[str, list[str]] = {}
    for label in labels:
        families.setdefault(_family(label), []).append(label)
    taken = {_ORDERS[family].marker for family in families if family in _ORDERS}
    spare = itertools.cycle([look for look in _OTHERS if look.marker not in taken] or _OTHERS)
    # Where markers run out, families share one, and are told apart as the members of one family are. Orders come first.
    sharing: dict[object, list[tuple[str, Look]]] = {}
    for family in sorted(families, key=lambda family: family not in _ORDERS):
        first = _ORDERS.get(family) or next(spare)
        sharing.setdefault(first.marker, []).extend((label, first) for label in families[family])
    if max(map(len, sharing.values()), default=0) > len(_DASHES) * len(_FILLS):
        raise InputError(f"{len(labels)} series are more than one figure can tell apart; give fewer runs")
    chosen = {
        label: _member(replace(first, dash=members[0][1].dash), place, len(members))
        for members in sharing.values()
        for place, (label, first) in enumerate(members)
    }
    return {label: chosen[label] for label in labels}


def _member(first: Look, place: int, members: int) -> Look:
    """One of those that share a marker, in steps away from the first: dark colours get lighter, light ones darker."""
    end = 1.0 if sum(to_rgb(first.colour)) < 1.8 else 0.0
    red, green, blue = (part + (end - part) * 0.75 * place / members for part in to_rgb(first.colour))
    dash = _DASHES[(_DASHES.index(first.dash) + place) % len(_DASHES)]
    return replace(first, colour=to_hex((red, green, blue)), dash=dash, fill=_FILLS[place % len(_FILLS)])


def _family(label: str) -> str:
    """The order's registered name, or the first word, of a label such as "eb:gamma=0.5 T=1.0" or "tiny+ar@30"."""
    name = re.split(r"[ :,+]", label)[0]
    if name.startswith("parallel-"):
        return "parallel-k"
    stem = name.partition("-")[0]
    return stem if stem in _ORDERS else name
