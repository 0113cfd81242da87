"""How often an order commits a token that is not the likeliest: what proposing before selecting filters out."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curve_panels import curve_panels
from flexeval.figures.figure import Figure
from flexeval.figures.selection import at_fixed_pace, framed, largest_groups, token_rows
from flexeval.figures.settings import foot, stated
from flexeval.plots.curves import percent
from flexeval.plots.layout import finish
from flexeval.runs.store import Run, RunSet
from flexeval.stats.ranks import non_top_rate

PAIR = {"confidence", "top_prob"}


class NonTopRate(Figure):
    """One row an order and temperature."""

    name = "non-top-rate"
    title = "Commits of tokens that are not the likeliest"
    source = "ours, after arXiv:2609.34509"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        groups = largest_groups(
            runs,
            free={"order", "temperature"},
            usable=_above_zero,
            missing="figure 'non-top-rate' needs runs of orders confidence and top_prob above temperature 0, alike in "
            "all else",
        )
        return framed(groups, lambda group: map(_row, group))

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        figure, drawn = curve_panels(data, x="temperature")
        for panel, rows in drawn:
            panel.set_ylim(bottom=-0.04 * panel.get_ylim()[1])  # room for the markers at 0
            panel.set_xticks(sorted(rows["temperature"].unique()))
            percent(panel)
            panel.set_xlabel("temperature")
            panel.set_ylabel("not the likeliest, %")
        note = (
            "Share of text tokens; bands are 95 % intervals at each temperature (bootstrap over problems). confidence "
            "draws, then selects the likeliest draw; the others select a position, then draw."
        )
        return finish(figure, title=self.title, foot=foot(data, note))


def _above_zero(group: RunSet) -> RunSet:
    runs = RunSet(tuple(run for run in at_fixed_pace(group) if run.config.sampling.temperature > 0))
    return runs if {run.config.order for run in runs} >= PAIR else RunSet(())


def _row(run: Run) -> pd.DataFrame:
    rate = non_top_rate(token_rows(run, "in_text", "rank"))
    return stated(pd.DataFrame({"estimate": [rate.estimate], "low": rate.low, "high": rate.high}), run)
