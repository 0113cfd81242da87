"""Pass@k of every order that sets no pace of its own: figure 11a of the paper, with the orders it lacks."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curve_panels import curve_panels, sources
from flexeval.figures.figure import Figure
from flexeval.figures.pass_at_k import BAND_NOTE, pass_at_k_axes, pass_at_k_rows
from flexeval.figures.selection import at_fixed_pace, at_least, common_ks, largest_groups
from flexeval.figures.settings import foot
from flexeval.plots.layout import finish
from flexeval.runs.store import RunSet


class Samplers(Figure):
    """One row an order and k."""

    name = "samplers"
    title = "Pass@k by decoding order"
    source = "paper, Figure 11a"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        groups = largest_groups(
            runs,
            free={"order"},
            usable=lambda group: at_least(at_fixed_pace(group), 2),
            missing="figure 'samplers' needs runs of two orders or more, alike in all else",
        )
        return pd.concat(
            [pass_at_k_rows(run, ks) for group in groups for ks in [common_ks(group)] for run in group],
            ignore_index=True,
        )

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        figure, drawn = curve_panels(data, x="k", height=2.4)
        pass_at_k_axes(drawn)
        return finish(figure, title=self.title, foot=foot(data, BAND_NOTE + sources(data)))
