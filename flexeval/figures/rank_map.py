"""The rank of the committed token, step by step, under orders that propose first and orders that select first."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curve_panels import by_panel
from flexeval.figures.figure import Figure
from flexeval.figures.order_map import CELLS
from flexeval.figures.selection import framed, largest_groups, of_order, token_rows
from flexeval.figures.settings import foot, stated
from flexeval.plots.heat_map import heat_map, shade_key
from flexeval.plots.layout import finish, panels
from flexeval.runs.store import Run, RunSet
from flexeval.stats.ranks import rank_by_step


class RankMap(Figure):
    """One row a cell: step, range of ranks, and the share of the step's tokens in that range."""

    name = "rank-map"
    title = "Rank of the committed token by step"
    source = "ours, after arXiv:2609.34509"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        groups = largest_groups(
            runs,
            free={"order"},
            usable=lambda group: of_order(group, "confidence", "top_prob"),
            missing="figure 'rank-map' needs runs of orders confidence and top_prob, alike in all else",
        )
        return framed(groups, lambda group: map(_rows, group))

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        ranks = pd.CategoricalDtype(list(data["rank"].unique()))
        titles, groups = by_panel(data.astype({"rank": ranks}), ("model", "task", "order"))
        figure, axes = panels(titles, height=1.5, columns=2)
        for panel, rows in zip(axes, groups, strict=True):
            mesh = heat_map(panel, rows, "step", "rank")
            panel.set_xlabel("step")
            panel.set_ylabel("rank")
        shade_key(figure, mesh, axes, label="tokens of a step, %")
        note = "Text tokens only; rank 0 is the likeliest. Each column adds up to 100 %; shades are on a root scale."
        return finish(figure, title=self.title, foot=foot(data, note))


def _rows(run: Run) -> pd.DataFrame:
    bins = CELLS if run.config.sampling.gen_length > CELLS else None
    return stated(rank_by_step(token_rows(run, "in_text", "commit_step", "rank"), bins=bins), run)
