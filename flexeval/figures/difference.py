"""Pass@k of every order minus that of AR order, paired by problem: which differences are resolved."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curve_panels import curve_panels
from flexeval.figures.figure import Figure
from flexeval.figures.pass_at_k import BAND_NOTE, pass_at_k_axes
from flexeval.figures.selection import against_ar, common_ks, framed, largest_groups
from flexeval.figures.settings import foot, stated
from flexeval.plots.layout import finish
from flexeval.plots.style import INK
from flexeval.runs.store import RunSet, alike
from flexeval.stats.curves import difference_band


class DifferenceToAR(Figure):
    """One row an order and k; positive where the order is better than AR."""

    name = "difference"
    title = "Pass@k minus that of AR order"
    source = "ours"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        groups = largest_groups(
            runs,
            free={"order"},
            usable=against_ar,
            missing="figure 'difference' needs a run of order ar and one of another order, alike in all else",
            same_problems=False,
        )
        return framed(groups, lambda group: [_group(group)])

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        figure, drawn = curve_panels(data, x="k", height=2.2)
        pass_at_k_axes(drawn, label="difference, points")
        for panel, _ in drawn:
            panel.axhline(0, color=INK, linewidth=0.7, zorder=1)
        note = f"Paired by problem. {BAND_NOTE}"
        return finish(figure, title=self.title, foot=foot(data, note))


def _group(group: RunSet) -> pd.DataFrame:
    first, *others = group
    frames = []
    for other in others:
        ar, run = alike(first, other)
        frames.append(stated(difference_band(run.counts(), ar.counts(), common_ks(RunSet((ar, run)))), run))
    return pd.concat(frames, ignore_index=True)
