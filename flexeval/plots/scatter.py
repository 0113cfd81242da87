"""One quantity against another, point by point."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from flexeval.plots.style import FAINT, Look


def against(axes: Axes, data: pd.DataFrame, x: str, y: str, look: Look) -> None:
    """Fractions against fractions on a square, with the diagonal of equality; points that coincide look darker."""
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.7, linestyle=":", zorder=1)
    axes.plot(
        data[x], data[y], linestyle="none", marker=look.marker, color=look.colour, alpha=0.45, markersize=3.6,
        markeredgewidth=0,
    )  # fmt: skip
    axes.set_xlim(-0.04, 1.04)
    axes.set_ylim(-0.04, 1.04)
