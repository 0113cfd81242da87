"""What happens step by step: when each position is committed, the rank of the committed token, and how fast the samples
of a problem become different texts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curves import CurveFigure, by_panel, same_height_by
from flexeval.figures.figure import Figure
from flexeval.figures.pass_at_k import BAND_NOTE
from flexeval.figures.selection import at_fixed_pace, of_order, token_rows
from flexeval.figures.settings import with_settings
from flexeval.plots.heat_map import heat_map, shade_key
from flexeval.plots.layout import panels
from flexeval.runs.store import Run, RunSet, fewest_samples
from flexeval.stats.diversity import collapse_band
from flexeval.stats.order import commit_step_map
from flexeval.stats.ranks import rank_by_step

CELLS = 64
"""A heat map has at most so many along each axis."""


class HeatMapFigure(Figure):
    """One row a cell, one panel an order: the share of a column's tokens that lie in the cell."""

    x: ClassVar[str]
    y: ClassVar[str]
    labels: ClassVar[tuple[str, str, str]]
    """Of the horizontal and the vertical axis, and of the shades."""
    height: ClassVar[float]
    """Of a panel, inches."""
    columns: ClassVar[int]
    """Panels in a row, at most."""

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        parts = by_panel(data, ("model", "task", "order"))
        figure, axes = panels(parts.titles, parts.headings, height=self.height, columns=self.columns)
        for panel, rows in zip(axes, parts.rows, strict=True):
            mesh = heat_map(panel, rows, self.x, self.y)
            panel.set_xlabel(self.labels[0])
            panel.set_ylabel(self.labels[1])
        same_height_by(axes, parts.headings)
        shade_key(figure, mesh, axes, label=self.labels[2])
        return figure


class OrderMap(HeatMapFigure):
    """One row a cell: position, step, and the share of the position's tokens that were committed at that step."""

    name = "order-map"
    title = "When each position is committed"
    source = "ours"
    measured = True
    needs = "a run of an order that sets no pace of its own"
    note = "Text tokens only. Each column adds up to 100 %; the scale of shades is a square root."
    x, y = "position", "step"
    labels = ("position", "commit step", "tokens of a position, %")
    height, columns = 1.5, 7

    def usable(self, group: RunSet) -> RunSet:
        """See `Figure.usable`."""
        return at_fixed_pace(group)

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        for run in group:
            cells = commit_step_map(token_rows(run, "position", "in_text", "commit_step"), bins=_bins(run))
            yield with_settings(cells, run)


class RankMap(HeatMapFigure):
    """One row a cell: step, range of ranks, and the share of the step's tokens in that range."""

    name = "rank-map"
    title = "Rank of the committed token by step"
    source = "ours, after arXiv:2609.34509"
    measured = True
    needs = "runs of orders confidence and top_prob, alike in all else"
    note = "Text tokens only; rank 0 is the likeliest. Each column adds up to 100 %; shades are on a root scale."
    x, y = "step", "rank"
    labels = ("step", "rank", "tokens of a step, %")
    height, columns = 1.5, 2

    def usable(self, group: RunSet) -> RunSet:
        """See `Figure.usable`."""
        return of_order(group, "confidence", "top_prob")

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        for run in group:
            cells = rank_by_step(token_rows(run, "in_text", "commit_step", "rank"), bins=_bins(run))
            yield with_settings(cells, run)

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`. Ranks are ranges, drawn in the order in which they come."""
        return super().drawing(data.astype({"rank": pd.CategoricalDtype(list(data["rank"].unique()))}))


class Collapse(CurveFigure):
    """One row an order and step: the share of distinct canvases after each step."""

    name = "collapse"
    title = "Distinct canvases among a problem's samples"
    source = "ours"
    measured = True
    needs = "a run with two samples of each problem or more"
    note = f"100 % when all canvases of a problem differ, after each step. {BAND_NOTE}"
    x = "step"
    labels = ("step", "distinct, %")

    def usable(self, group: RunSet) -> RunSet:
        """See `Figure.usable`."""
        return RunSet(tuple(run for run in at_fixed_pace(group) if run.config.num_samples > 1))

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        n = fewest_samples(*group)
        for run in group:
            first = run.part(num_samples=n, limit=run.config.limit)
            rows = token_rows(first, "sample_index", "position", "token_id", "commit_step")
            yield with_settings(collapse_band(rows, first.samples), first)

    def finish_panel(self, panel: Axes, rows: pd.DataFrame) -> None:
        """See `CurveFigure.finish_panel`."""
        panel.set_ylim(0, 1)


def _bins(run: Run) -> int | None:
    return CELLS if run.config.sampling.gen_length > CELLS else None
