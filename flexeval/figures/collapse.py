"""How fast the samples of a problem become different texts: the share of distinct canvases after each step."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curve_panels import curve_panels
from flexeval.figures.figure import Figure
from flexeval.figures.pass_at_k import BAND_NOTE
from flexeval.figures.selection import at_fixed_pace, framed, largest_groups, token_rows
from flexeval.figures.settings import foot, stated
from flexeval.plots.curves import percent
from flexeval.plots.layout import finish
from flexeval.runs.store import Run, RunSet, fewest_samples
from flexeval.stats.diversity import collapse_band


class Collapse(Figure):
    """One row an order and step."""

    name = "collapse"
    title = "Distinct canvases among a problem's samples"
    source = "ours"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        groups = largest_groups(
            runs,
            free={"order"},
            usable=lambda group: RunSet(tuple(run for run in at_fixed_pace(group) if run.config.num_samples > 1)),
            missing="figure 'collapse' needs a run with two samples of each problem or more",
        )
        return framed(groups, lambda group: [_rows(run, fewest_samples(*group)) for run in group])

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        figure, drawn = curve_panels(data, x="step")
        for panel, _ in drawn:
            panel.set_ylim(0, 1.03)
            percent(panel)
            panel.set_xlabel("step")
            panel.set_ylabel("distinct, %")
        note = f"100 % when all canvases of a problem differ, after each step. {BAND_NOTE}"
        return finish(figure, title=self.title, foot=foot(data, note))


def _rows(run: Run, n: int) -> pd.DataFrame:
    first = run.part(num_samples=n, limit=run.config.limit)
    return stated(collapse_band(token_rows(first, "token_id", "commit_step"), first.samples), first)
