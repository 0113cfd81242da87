"""Curves over a setting of the sampler: Pass@k over the block length and the temperature (figures 5 and 10 of the
paper), and how often a committed token is not the likeliest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
from matplotlib.axes import Axes

from flexeval.figures.curves import CurveFigure
from flexeval.figures.pass_at_k import BAND_NOTE, PassAtKFigure
from flexeval.figures.selection import at_fixed_pace, common_ks, token_rows
from flexeval.figures.settings import foot, with_settings
from flexeval.plots.curves import powers_of_two
from flexeval.runs.store import Run, RunSet, ar_standing, fewest_samples
from flexeval.stats.bootstrap import interval
from flexeval.stats.curves import pass_at_k_band
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.ranks import non_top_rate

OPTIMAL = "optimal"


class BlockLength(CurveFigure):
    """One row a block length (`block`) and k. A run in AR order stands for block 1, where every order is AR order."""

    name = "block-length"
    title = "Pass@k over the block length"
    source = "paper, Figure 5"
    needs = "runs of order confidence at two block lengths or more, alike in all else"
    note = "Order confidence. Bands are 95 % intervals at each block length (bootstrap over problems)."
    free = frozenset({"order", "block_length"})
    x, series = "block", "series"
    labels = ("block length", "Pass@k, %")
    ks = (1, 8, 32, 128)
    """The paper's values, and 1."""

    def usable(self, group: RunSet) -> RunSet:
        """See `Figure.usable`."""
        own = group.where(order="confidence")
        blocks = {run.config.sampling.block for run in own}
        if len(blocks) < 2:
            return RunSet(())
        of_ar = sorted(group.where(order="ar"), key=ar_standing)
        ar = of_ar[:1] if 1 not in blocks else []
        unused = [f"a run of ar at block {run.config.sampling.block}" for run in of_ar[len(ar) :]]
        return RunSet((*ar, *own), tuple(unused))

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        ks = [k for k in self.ks if k <= fewest_samples(*group)]
        for run in group:
            rows = _intervals_at(run, ks)
            rows.insert(0, "block", 1 if run.config.order == "ar" else run.config.sampling.block)
            yield with_settings(rows, run)

    def labelled(self, data: pd.DataFrame) -> pd.DataFrame:
        """See `CurveFigure.labelled`."""
        return data.assign(series=[f"k = {k}" for k in data["k"]])

    def finish_panel(self, panel: Axes, rows: pd.DataFrame) -> None:
        """See `CurveFigure.finish_panel`."""
        powers_of_two(panel, rows["block"])

    def foot(self, data: pd.DataFrame) -> str:
        """See `Figure.foot`."""
        has_ar = (data["order"] == "ar").any()
        return foot(data, self.note + (" Block 1 is the run in AR order." if has_ar else ""))


class Temperature(PassAtKFigure):
    """One row an order, temperature and k; the column `panel` says "T = 0.6". Those of each order's best temperature
    come once more, in the panel "optimal": the one with the largest mean of Pass@k over the grid of k.
    """

    name = "temperature"
    title = "Pass@k by temperature"
    source = "paper, Figure 10"
    needs = "runs of one order at two temperatures above 0 or more, alike in all else"
    note = (
        f"{BAND_NOTE} Optimal: each order at the temperature with the largest mean over k, chosen on these problems "
        "and so a little too high. Orders that lack a temperature of the others are not shown."
    )
    free = frozenset({"order", "temperature"})
    by, columns, height = ("model", "task", "panel"), 6, 1.6

    def usable(self, group: RunSet) -> RunSet:
        """The runs above temperature 0, at the most temperatures that two orders share, or that one has by itself."""
        above = [run for run in at_fixed_pace(group) if run.config.sampling.temperature > 0]
        grids: dict[str, set[float]] = {}
        for run in above:
            grids.setdefault(run.config.order, set()).add(run.config.sampling.temperature)
        having = [(grid, {order for order, own in grids.items() if own >= grid}) for grid in grids.values()]
        several = [(grid, orders) for grid, orders in having if len(grid) > 1]
        if not several:
            return RunSet(())
        # Of grids that are as long, the one that more orders have.
        grid, orders = max(several, key=lambda own: (len(own[1]) > 1, len(own[0]), len(own[1])))
        chosen = [run for run in above if run.config.order in orders and run.config.sampling.temperature in grid]
        return RunSet(tuple(chosen), tuple(f"order {order}" for order in grids if order not in orders))

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        ks = common_ks(group)
        curves = [with_settings(pass_at_k_band(run.counts(), ks), run) for run in group]
        curves.sort(key=lambda rows: float(rows["temperature"].iloc[0]))
        best: dict[str, pd.DataFrame] = {}
        for rows in curves:
            order = str(rows["order"].iloc[0])
            if order not in best or rows["estimate"].mean() > best[order]["estimate"].mean():
                best[order] = rows
        yield from (rows.assign(panel=f"T = {rows['temperature'].iloc[0]:g}") for rows in curves)
        yield from (rows.assign(panel=OPTIMAL) for rows in best.values())

    def foot(self, data: pd.DataFrame) -> str:
        """See `Figure.foot`. It says which temperatures are optimal."""
        told = []
        for (model, task), rows in data[data["panel"] == OPTIMAL].groupby(["model", "task"], sort=False):
            best = rows.drop_duplicates("order")
            texts = [f"{order} T = {at:g}" for order, at in zip(best["order"], best["temperature"], strict=True)]
            told.append(f"{model} on {task} {', '.join(texts)}")
        return foot(data, f"{self.note} The optimal ones: {'; '.join(told)}.")


class NonTopRate(CurveFigure):
    """One row an order and temperature: the share of tokens that were not the likeliest when they were committed."""

    name = "non-top-rate"
    title = "Commits of tokens that are not the likeliest"
    source = "ours, after arXiv:2609.34509"
    measured = True
    needs = "runs of orders confidence and top_prob above temperature 0, alike in all else"
    note = (
        "Share of text tokens; bands are 95 % intervals at each temperature (bootstrap over problems). confidence "
        "draws, then selects the likeliest draw; the others select a position, then draw."
    )
    free = frozenset({"order", "temperature"})
    x = "temperature"
    labels = ("temperature", "not the likeliest, %")

    def usable(self, group: RunSet) -> RunSet:
        """See `Figure.usable`."""
        runs = RunSet(tuple(run for run in at_fixed_pace(group) if run.config.sampling.temperature > 0))
        return runs if {run.config.order for run in runs} >= {"confidence", "top_prob"} else RunSet(())

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        for run in group:
            rate = non_top_rate(token_rows(run, "in_text", "rank"))
            yield with_settings(pd.DataFrame({"estimate": [rate.estimate], "low": rate.low, "high": rate.high}), run)

    def finish_panel(self, panel: Axes, rows: pd.DataFrame) -> None:
        """See `CurveFigure.finish_panel`."""
        panel.set_xticks(sorted(rows["temperature"].unique()))


def _intervals_at(run: Run, ks: Sequence[int]) -> pd.DataFrame:
    """Pass@k of a run with its interval at each k: k, estimate, low, high."""
    intervals = interval(pass_at_k_table(run.counts(), ks))
    rows = [(k, intervals[k].estimate, intervals[k].low, intervals[k].high) for k in ks]
    return pd.DataFrame(rows, columns=["k", "estimate", "low", "high"])
