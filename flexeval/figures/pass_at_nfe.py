"""Pass@NFE: orders compared at equal cost instead of an equal number of samples."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curve_panels import curve_panels
from flexeval.figures.figure import Figure
from flexeval.figures.selection import at_least, framed, largest_groups
from flexeval.figures.settings import foot, stated
from flexeval.plots.curves import percent, powers_of_two
from flexeval.plots.layout import finish
from flexeval.runs.store import RunSet
from flexeval.stats.nfe import default_budgets, pass_at_nfe


class PassAtNFE(Figure):
    """One row a run and budget; `series` is the order, and the pace where it differs."""

    name = "pass-at-nfe"
    title = "Pass@NFE: solved within a budget of evaluations"
    source = "ours, after arXiv:2609.39859"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        groups = largest_groups(
            runs,
            free={"order", "steps", "tokens_per_step"},
            usable=lambda group: at_least(group, 2),
            missing="figure 'pass-at-nfe' needs runs of two orders or more, alike in all else",
        )
        return framed(groups, lambda group: [_group(group)])

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        figure, drawn = curve_panels(data, x="nfe", series="series", height=2.4)
        for panel, rows in drawn:
            powers_of_two(panel, rows["nfe"])
            percent(panel)
            panel.set_xlabel("evaluations spent on a problem (NFE)")
            panel.set_ylabel("Pass@NFE, %")
        note = "Curves end where the samples do. Bands are 95 % intervals at each budget (bootstrap over problems)."
        return finish(figure, title=self.title, foot=foot(data, note))


def _group(group: RunSet) -> pd.DataFrame:
    """Each run from what one of its samples costs to what all of them did: runs of few samples end early."""
    paced = {"steps", "tokens_per_step"} & set(group.varying())
    names = group.labels() if paced else [run.config.order for run in group]
    rows = [
        stated(pass_at_nfe(run.samples, default_budgets(run.samples)), run).assign(series=name)
        for run, name in zip(group, names, strict=True)
    ]
    return pd.concat(rows, ignore_index=True)
