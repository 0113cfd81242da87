"""Pass@k over the block length of arbitrary order: figure 5 of the paper."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curve_panels import curve_panels
from flexeval.figures.figure import Figure
from flexeval.figures.selection import framed, largest_groups
from flexeval.figures.settings import foot, stated
from flexeval.plots.curves import percent, powers_of_two
from flexeval.plots.layout import finish
from flexeval.runs.store import Run, RunSet, fewest_samples
from flexeval.stats.bootstrap import interval
from flexeval.stats.pass_at_k import pass_at_k_table

KS = (1, 8, 32, 128)
"""The paper's values, and 1."""


class BlockLength(Figure):
    """One row a block length (`block`) and k. A run in AR order stands for block 1, where every order is AR order."""

    name = "block-length"
    title = "Pass@k over the block length"
    source = "paper, Figure 5"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        groups = largest_groups(
            runs,
            free={"order", "block_length"},
            usable=_blocks,
            missing="figure 'block-length' needs runs of order confidence at two block lengths or more, alike in all "
            "else",
        )
        return framed(groups, lambda group: [_rows(run, fewest_samples(*group)) for run in group])

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        labelled = data.assign(series=[f"k = {k}" for k in data["k"]])
        figure, drawn = curve_panels(labelled, x="block", series="series")
        for panel, rows in drawn:
            powers_of_two(panel, rows["block"])
            percent(panel)
            panel.set_xlabel("block length")
            panel.set_ylabel("Pass@k, %")
        note = "Order confidence. Bands are 95 % intervals at each block length (bootstrap over problems)."
        if (data["order"] == "ar").any():
            note += " Block 1 is the run in AR order."
        return finish(figure, title=self.title, foot=foot(data, note))


def _blocks(group: RunSet) -> RunSet:
    own = group.where(order="confidence")
    blocks = {run.config.sampling.block for run in own}
    if len(blocks) < 2:
        return RunSet(())
    ar = group.where(order="ar")[:1] if 1 not in blocks else ()
    return RunSet((*ar, *own))


def _rows(run: Run, n: int) -> pd.DataFrame:
    ks = [k for k in KS if k <= n]
    intervals = interval(pass_at_k_table(run.counts(), ks))
    rows = pd.DataFrame(
        {
            "block": 1 if run.config.order == "ar" else run.config.sampling.block,
            "k": ks,
            "estimate": [intervals[k].estimate for k in ks],
            "low": [intervals[k].low for k in ks],
            "high": [intervals[k].high for k in ks],
        }
    )
    return stated(rows, run)
