"""Pass@k of AR order against arbitrary order, and where the curves cross: figures 1 and 3 of the paper."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from flexeval import published
from flexeval.figures.curve_panels import Panel, curve_panels, sources
from flexeval.figures.figure import Figure
from flexeval.figures.published import WHY_NONE, published_pass_at_k
from flexeval.figures.selection import common_ks, framed, largest_groups, of_order
from flexeval.figures.settings import MEASURED, foot, stated
from flexeval.plots.curves import percent, powers_of_two
from flexeval.plots.layout import finish
from flexeval.plots.style import FAINT
from flexeval.runs.store import Run, RunSet
from flexeval.stats.curves import crossing_point, pass_at_k_band

PAIR = ("ar", "confidence")
"""The paper's AR order and arbitrary order."""
BAND_NOTE = "Bands hold the whole curve with 95 % confidence (bootstrap over problems)."


class PassAtK(Figure):
    """Rows of quantity `pass@k` at each k, and a row of quantity `crossing` whose estimate is k*."""

    name = "pass-at-k"
    title = "Pass@k: AR order against arbitrary order"
    source = "paper, Figures 1 and 3"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        pairs = largest_groups(
            runs,
            free={"order"},
            usable=lambda group: of_order(group, *PAIR),
            missing="figure 'pass-at-k' needs a run of order ar and one of order confidence, alike in all else",
        )
        return framed(pairs, lambda pair: [_pair(*pair)])

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        curves = data[data["quantity"] == "pass@k"]
        figure, drawn = curve_panels(curves, x="k")
        pass_at_k_axes(drawn)
        for panel, rows in drawn:
            here = (data["model"] == rows["model"].iloc[0]) & (data["task"] == rows["task"].iloc[0])
            _mark_crossing(panel, data[here & (data["quantity"] == "crossing")])
        return finish(figure, title=self.title, foot=foot(data, BAND_NOTE + sources(data)))


def pass_at_k_rows(run: Run, ks: list[int]) -> pd.DataFrame:
    """One run's measured curve with its simultaneous band, and the published numbers of its setting, or why none."""
    measured = pass_at_k_band(run.counts(), ks)
    measured.insert(0, "source", MEASURED)
    measured[WHY_NONE] = published.pass_at_k(run).why_none or float("nan")
    known = published_pass_at_k(run)
    return pd.concat([stated(measured, run), known], ignore_index=True) if len(known) else stated(measured, run)


def pass_at_k_axes(drawn: list[Panel], *, label: str = "Pass@k, %") -> None:
    """Name the axes: k in powers of two, percent."""
    for panel, rows in drawn:
        powers_of_two(panel, rows["k"].astype(int))
        percent(panel)
        panel.set_xlabel("k")
        panel.set_ylabel(label)


def _pair(ar: Run, arbitrary: Run) -> pd.DataFrame:
    ks = common_ks(RunSet((ar, arbitrary)))
    curves = pd.concat([pass_at_k_rows(run, ks) for run in (ar, arbitrary)], ignore_index=True)
    curves["quantity"] = "pass@k"
    crossing = crossing_point(ar.counts(), arbitrary.counts(), ks) if len(ks) > 1 else None
    if crossing is None or crossing.k_star is None:
        return curves
    at = {"source": [MEASURED], "estimate": crossing.k_star, "low": crossing.low, "high": crossing.high}
    return pd.concat([curves, stated(pd.DataFrame(at), ar).assign(quantity="crossing")], ignore_index=True)


def _mark_crossing(panel: Axes, rows: pd.DataFrame) -> None:
    for row in rows.to_dict("records"):
        panel.axvline(row["estimate"], color=FAINT, linestyle=":", linewidth=0.8)
        high = f"{row['high']:.1f}]" if math.isfinite(row["high"]) else "∞)"
        panel.text(
            0.98, 0.04, f"cross at k = {row['estimate']:.1f} [{row['low']:.1f}, {high}", transform=panel.transAxes,
            ha="right", va="bottom", fontsize=6.2, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip
