"""When each position is committed: heat maps of commit step over position, order by order."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curve_panels import by_panel
from flexeval.figures.figure import Figure
from flexeval.figures.selection import at_fixed_pace, framed, largest_groups, token_rows
from flexeval.figures.settings import foot, stated
from flexeval.plots.heat_map import heat_map, shade_key
from flexeval.plots.layout import finish, panels
from flexeval.runs.store import Run, RunSet
from flexeval.stats.order import commit_step_map

CELLS = 64
"""At most so many along each axis."""


class OrderMap(Figure):
    """One row a cell: position, step, and the share of the position's tokens that were committed at that step."""

    name = "order-map"
    title = "When each position is committed"
    source = "ours"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        groups = largest_groups(
            runs,
            free={"order"},
            usable=at_fixed_pace,
            missing="figure 'order-map' needs a run of an order that sets no pace of its own",
        )
        return framed(groups, lambda group: map(_rows, group))

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        titles, groups = by_panel(data, ("model", "task", "order"))
        figure, axes = panels(titles, height=1.75, columns=4)
        for panel, rows in zip(axes, groups, strict=True):
            mesh = heat_map(panel, rows, "position", "step")
            panel.set_xlabel("position")
            panel.set_ylabel("commit step")
        shade_key(figure, mesh, axes, label="tokens of a position, %")
        note = "Text tokens only. Each column adds up to 100 %; the scale of shades is a square root."
        return finish(figure, title=self.title, foot=foot(data, note))


def _rows(run: Run) -> pd.DataFrame:
    bins = CELLS if run.config.sampling.gen_length > CELLS else None
    return stated(commit_step_map(token_rows(run, "in_text", "commit_step"), bins=bins), run)
