"""Curves in panels: what most figures are. Knows columns, not which figure they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from flexeval.figures.figure import Figure, other_way
from flexeval.figures.selection import MODELS, ORDERS
from flexeval.figures.settings import MEASURED
from flexeval.plots.curves import beside, curve, percent, published, same_height
from flexeval.plots.layout import panels
from flexeval.plots.style import Look, looks
from flexeval.records import CORRECT


class CurveFigure(Figure):
    """Estimates over a number, with their bands: one panel for each combination of `by`, one curve for each `series`.

    Its rows have the columns `x`, estimate, low and high (fractions), and those of `by` and `series`; a row without `x`
    is no point. With a column `source`, rows of other sources than the runs are drawn as published numbers. Where
    `correct` counts in some rows, those in which another verdict counts are dotted lines beside them.
    """

    x: ClassVar[str]
    """The horizontal column."""
    by: tuple[str, ...] = ("model", "task")
    series: str = "order"
    height: ClassVar[float] = 2.0
    """Of a panel, inches."""
    columns: ClassVar[int] = 3
    """Panels in a row, at most."""
    bars: ClassVar[bool] = False
    """Whether intervals are bars, where curves have few points, instead of bands."""
    labels: ClassVar[tuple[str, str]]
    """Of the horizontal and of the vertical axis, which is in percent."""

    def __init__(self, compare: str = ORDERS) -> None:
        """See `Figure`."""
        super().__init__(compare)
        if compare == MODELS:
            self.by, self.series = tuple(map(other_way, self.by)), other_way(self.series)

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        data = self.labelled(data)
        look = self.looks(data)
        parts = by_panel(data, self.by)
        figure, axes = panels(parts.titles, parts.headings, height=self.height, columns=self.columns)
        for panel, rows in zip(axes, parts.rows, strict=True):
            for label, measured, points in _series(rows.dropna(subset=[self.x]), self.series):
                if not measured:
                    published(panel, points, self.x, look[label], label=f"{label}, published")
                elif other_verdict(data, points):
                    beside(panel, points, self.x, look[label])
                else:
                    curve(panel, points, self.x, look[label], label=label, crowd=len(look), bars=self.bars)
            percent(panel)
            panel.set_xlabel(self.labels[0])
            panel.set_ylabel(self.labels[1])
            self.finish_panel(panel, rows)
        same_height_by(axes, parts.headings)
        return figure

    def labelled(self, data: pd.DataFrame) -> pd.DataFrame:
        """The data with its column `series`, for a figure that makes it of others."""
        return data

    def looks(self, data: pd.DataFrame) -> Mapping[str, Look]:
        """The look of each series, by its label."""
        return looks(data[self.series].astype(str))

    def finish_panel(self, panel: Axes, rows: pd.DataFrame) -> None:
        """Set ticks and limits, and add marks, once the curves of `rows` are drawn."""


class Panels(NamedTuple):
    """The panels of a figure, in order."""

    titles: list[str]
    headings: list[str]
    """Of the row of each panel, where a model and task has several; else empty."""
    rows: list[pd.DataFrame]


def by_panel(data: pd.DataFrame, columns: Sequence[str]) -> Panels:
    """The panels of a figure: one for each combination of these columns, numbers ascending, all else in order of
    appearance.

    A title names what differs between panels; the task where nothing does. Numbers come with their column's name. Where
    a model and task has several panels, it is the heading of their row instead.
    """
    groups = _in_order(list(data.groupby(list(columns), sort=False, observed=True)))
    last = columns.index("task") + 1 if "task" in columns else 0
    outer, inner = columns[:last], columns[last:]
    several = bool(outer) and len(groups) > len(data.drop_duplicates(list(outer)))
    keys = [dict(zip(columns, key, strict=True)) for key, _ in groups]
    if several:
        # One row a task, in the order in which tasks appear.
        heads = [_named(data, key, outer) for key in keys]
        place = {head: number for number, head in enumerate(dict.fromkeys(heads))}
        order = sorted(range(len(groups)), key=lambda number: place[heads[number]])
    else:
        heads, order, inner = [], list(range(len(groups))), columns
    titles = [_named(data, key, inner) for key in keys]
    return Panels(
        [titles[number] for number in order],
        [heads[number] for number in order] if heads else [],
        [groups[number][1] for number in order],
    )


def _in_order(groups: list[tuple[Any, pd.DataFrame]]) -> list[tuple[Any, pd.DataFrame]]:
    """Groups by key, sorted from the first part of the key to the last."""
    met: dict[tuple[Any, ...], dict[Any, int]] = {}
    places = []
    for key, _ in groups:
        # What appeared first under the same parts before it.
        of_parts = [met.setdefault(key[:depth], {}) for depth in range(len(key))]
        of_value = [own.setdefault(value, len(own)) for own, value in zip(of_parts, key, strict=True)]
        places.append([at if isinstance(value, str) else value for at, value in zip(of_value, key, strict=True)])
    return [groups[number] for number in sorted(range(len(groups)), key=places.__getitem__)]


def _named(data: pd.DataFrame, key: Mapping[str, Any], columns: Sequence[str]) -> str:
    """The values of these columns that differ in the data, in words; the last one where none does."""
    told = [name for name in columns if data[name].nunique() > 1] or [name for name in columns if key[name] != ""][-1:]
    return " · ".join(
        str(key[name]) if isinstance(key[name], str) else f"{_CALLED.get(name, name)} = {key[name]:g}"
        for name in told
        if key[name] != ""
    )


_CALLED = {"temperature": "T"}


def same_height_by(axes: Sequence[Axes], headings: Sequence[str]) -> None:
    """Let the panels under one heading have one vertical axis; without headings each keeps its own."""
    for heading in dict.fromkeys(headings):
        same_height([panel for panel, own in zip(axes, headings, strict=True) if own == heading])


def other_verdict(data: pd.DataFrame, rows: pd.DataFrame) -> bool:
    """Whether rows are of another verdict than `correct`, in a figure that also has rows by `correct`."""
    return CORRECT in set(data["counted"]) and CORRECT not in set(rows["counted"])


def _series(rows: pd.DataFrame, column: str) -> Iterator[tuple[str, bool, pd.DataFrame]]:
    """(label, whether it was measured, points) of each curve; the points of one verdict make one."""
    for (label, _), own in rows.groupby([rows[column].astype(str), "counted"], sort=False):
        measured = own["source"] == MEASURED if "source" in own else pd.Series(True, index=own.index)
        for of_runs, points in own.groupby(measured, sort=False):
            yield str(label), bool(of_runs), points
