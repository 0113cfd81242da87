"""Curves in panels: what most figures share. Knows columns, not which figure they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from flexeval.figures.published import WHY_NONE
from flexeval.figures.settings import MEASURED
from flexeval.plots.curves import curve, published
from flexeval.plots.layout import panels
from flexeval.plots.style import Look, looks

Panel = tuple[Axes, pd.DataFrame]
"""Axes, and the rows that are drawn in them."""


def by_panel(data: pd.DataFrame, columns: Sequence[str]) -> tuple[list[str], list[pd.DataFrame]]:
    """(the titles, the rows) of the panels: one for each combination of these columns, in order of appearance.

    A title names what differs between panels; the task where nothing does. Numbers come with their column's name.
    """
    groups = list(data.groupby(list(columns), sort=False, observed=True))
    named = [name for name in columns if data[name].nunique() > 1] or ["task"]
    titles = [
        " · ".join(
            value if isinstance(value, str) else f"{name} = {value:g}"
            for name, value in zip(columns, key, strict=True)
            if name in named
        )
        for key, _ in groups
    ]
    return titles, [rows for _, rows in groups]


def curve_panels(
    data: pd.DataFrame,
    *,
    x: str,
    by: Sequence[str] = ("model", "task"),
    series: str = "order",
    height: float = 2.0,
    look: Mapping[str, Look] | None = None,
) -> tuple[Drawing, list[Panel]]:
    """One panel for each combination of the columns `by`, one curve for each value of `series`.

    Args:
        data: columns `x`, estimate, low, high and those named; with a column `source`, rows of other sources than
            the runs are drawn as published numbers.
        x: the horizontal column.
        by, series: see above.
        height: of a panel, inches.
        look: of each series; None for that of its name.
    """
    look = look or looks(data[series].astype(str))
    titles, groups = by_panel(data, by)
    figure, axes = panels(titles, height=height)
    for panel, rows in zip(axes, groups, strict=True):
        for label, measured, points in _series(rows, series):
            if measured:
                curve(panel, points, x, look[label], label=label, crowd=len(look))
            else:
                published(panel, points, x, look[label], label=f"{label}, published")
    return figure, list(zip(axes, groups, strict=True))


def sources(data: pd.DataFrame) -> str:
    """The sentences that name the publications among the rows, and say beside which runs none is shown and why.

    Args:
        data: with the columns `source` and `WHY_NONE`.
    """
    cited = [source for source in data["source"].unique() if source != MEASURED]
    said = f" Published: {'; '.join(cited)}." if cited else ""
    for why, rows in data.dropna(subset=WHY_NONE).groupby(WHY_NONE, sort=False):
        where = f" on {_joined(rows['task'])}" if data["task"].nunique() > 1 else ""
        said += f" No published number beside {_joined(rows['order'])}{where}: {why}."
    return said


def _joined(column: pd.Series[str]) -> str:
    *before, last = column.unique()
    return f"{', '.join(before)} and {last}" if before else str(last)


def _series(rows: pd.DataFrame, column: str) -> Iterator[tuple[str, bool, pd.DataFrame]]:
    """(label, whether it was measured, points) of each curve."""
    for label, own in rows.groupby(rows[column].astype(str), sort=False):
        measured = own["source"] == MEASURED if "source" in own else pd.Series(True, index=own.index)
        for of_runs, points in own.groupby(measured, sort=False):
            yield str(label), bool(of_runs), points
