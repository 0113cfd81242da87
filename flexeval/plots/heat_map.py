"""Shares over two axes as shades: darker is more, also in greyscale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from flexeval.plots.marks import mark_bars

SHADES = "YlGnBu"
"""The colour map; its lightness falls monotonically."""
_TOLD = 3
"""Cells that a column tells of."""


def heat_map(axes: Axes, cells: pd.DataFrame, x: str, y: str) -> QuadMesh:
    """Draw the cells of a grid; missing cells and zeros stay white.

    Args:
        axes: where.
        cells: columns `x`, `y` (numbers or labels, each value once in a row or column) and share, a fraction.
        x: the name of the horizontal column; its values are drawn in ascending order.
        y: the name of the vertical column; in the order of its categories, or ascending, from below.
    """
    table = cells.pivot_table(index=y, columns=x, values="share", aggfunc="sum", observed=False)
    shares = np.ma.masked_invalid(table.where(table > 0).to_numpy())
    mesh = axes.pcolormesh(
        _edges(table.columns), _edges(table.index), shares, cmap=SHADES, norm=PowerNorm(0.5, 0, 1), rasterized=True
    )
    axes.grid(visible=False)
    _mark_columns(axes, cells, x, y)
    if isinstance(table.index, pd.CategoricalIndex):
        axes.set_yticks(range(len(table.index)), list(table.index))
    return mesh


def _mark_columns(axes: Axes, cells: pd.DataFrame, x: str, y: str) -> None:
    """Let each column be asked for its largest cells."""
    columns = [own.nlargest(_TOLD, "share") for _, own in cells[cells["share"] > 0].groupby(x)]
    low, high = axes.get_ylim()
    edges = _edges(pd.Index(sorted(cells[x].unique())))
    width = float(edges[1] - edges[0])
    bars = [Rectangle((float(own[x].iloc[0]) - width / 2, low), width, high - low) for own in columns]
    largest = [", ".join(f"{row[y]} {100 * row['share']:.3g} %" for row in own.to_dict("records")) for own in columns]
    first = pd.DataFrame([own.iloc[0] for own in columns]).assign(_largest=largest)
    mark_bars(axes, first, bars, lambda row: f"{axes.get_xlabel()} {row[x]:g}: {axes.get_ylabel()} {row['_largest']}")


def shade_key(figure: Figure, mesh: QuadMesh, axes: Sequence[Axes], *, label: str) -> None:
    """A colour bar at the right of the first row of panels."""
    rows = len({panel.get_position().y0 for panel in axes})
    bar = figure.colorbar(
        mesh, ax=list(axes), ticks=[0, 0.05, 0.25, 0.5, 1], fraction=0.05, pad=0.02, shrink=max(1 / rows, 0.3),
        anchor=(0.0, 1.0), aspect=14,
    )  # fmt: skip
    bar.ax.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0, symbol=""))
    bar.outline.set_linewidth(0.5)
    bar.set_label(label)


def _edges(values: pd.Index) -> NDArray[np.float64]:
    """Where the cells of these values begin and end; labels are one unit wide."""
    if isinstance(values, pd.CategoricalIndex) or len(values) == 1:
        return np.arange(len(values) + 1, dtype=np.float64) - 0.5
    starts = values.to_numpy(dtype=np.float64)
    width = float(np.diff(starts).min())
    edges: NDArray[np.float64] = np.append(starts, starts[-1] + width) - width / 2
    return edges
