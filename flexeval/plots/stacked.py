"""Bars that are divided into parts of a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from flexeval.plots.style import INK

_ROOM_FOR_TEXT = 0.07


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
        left = left + shares[name]
