"""Pass@k over the temperature, order by order: figure 10 of the paper."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curve_panels import curve_panels
from flexeval.figures.figure import Figure
from flexeval.figures.selection import at_fixed_pace, framed, largest_groups, several_temperatures
from flexeval.figures.settings import foot, stated
from flexeval.plots.curves import percent, ring
from flexeval.plots.layout import finish
from flexeval.runs.store import Run, RunSet, fewest_samples
from flexeval.stats.bootstrap import interval
from flexeval.stats.pass_at_k import pass_at_k_table


class Temperature(Figure):
    """One row an order, temperature and k (1, and the largest that all runs have); `best` marks each order's best."""

    name = "temperature"
    title = "Pass@k over the temperature"
    source = "paper, Figure 10"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        groups = largest_groups(
            runs,
            free={"order", "temperature"},
            usable=lambda group: several_temperatures(at_fixed_pace(group)),
            missing="figure 'temperature' needs runs of one order at two temperatures above 0 or more, alike in all "
            "else",
        )
        data = framed(groups, lambda group: [_rows(run, fewest_samples(*group)) for run in group])
        best = data.groupby(["model", "task", "order", "k"])["estimate"].idxmax()
        return data.assign(best=data.index.isin(best))

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        figure, drawn = curve_panels(data, x="temperature", by=("model", "task", "k"))
        for panel, rows in drawn:
            ring(panel, rows[rows["best"]], "temperature")
            panel.set_xticks(sorted(rows["temperature"].unique()))
            percent(panel)
            panel.set_xlabel("temperature")
            panel.set_ylabel(f"Pass@{rows['k'].iloc[0]}, %")
        note = "Bands are 95 % intervals at each temperature (bootstrap over problems)."
        note += " Rings mark the best of each order."
        return finish(figure, title=self.title, foot=foot(data, note))


def _rows(run: Run, n: int) -> pd.DataFrame:
    ks = sorted({1, n})
    intervals = interval(pass_at_k_table(run.counts(), ks))
    rows = [(k, intervals[k].estimate, intervals[k].low, intervals[k].high) for k in ks]
    return stated(pd.DataFrame(rows, columns=["k", "estimate", "low", "high"]), run)
