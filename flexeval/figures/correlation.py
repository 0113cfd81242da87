"""Accuracy of each problem under an order against its accuracy under AR order: figure 11b of the paper."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curve_panels import by_panel
from flexeval.figures.figure import Figure
from flexeval.figures.selection import against_ar, framed, largest_groups
from flexeval.figures.settings import foot, stated
from flexeval.plots.curves import against, percent
from flexeval.plots.layout import finish, panels
from flexeval.plots.style import looks
from flexeval.runs.store import Run, RunSet, alike
from flexeval.stats.coverage import accuracy_correlation, accuracy_pairs
from flexeval.stats.intervals import interval_text


class Correlation(Figure):
    """Rows of kind `problem` with both accuracies, and one of kind `correlation` for each order."""

    name = "correlation"
    title = "Accuracy problem by problem, against AR order"
    source = "paper, Figure 11b"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        groups = largest_groups(
            runs,
            free={"order"},
            usable=against_ar,
            missing="figure 'correlation' needs a run of order ar and one of another order, alike in all else",
            same_problems=False,
        )
        return framed(groups, lambda group: [_rows(run, group[0]) for run in group[1:]])

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        look = looks(data["order"])
        titles, groups = by_panel(data, ("model", "task", "order"))
        correlations = [rows[rows["kind"] == "correlation"].iloc[0] for rows in groups]
        titles = [
            f"{title}\n{_said(row['estimate'], row['low'], row['high'])}"
            for title, row in zip(titles, correlations, strict=True)
        ]
        figure, axes = panels(titles, height=1.95, columns=4)
        for panel, rows in zip(axes, groups, strict=True):
            order = rows["order"].iloc[0]
            against(panel, rows[rows["kind"] == "problem"], "ar_accuracy", "accuracy", look[order])
            percent(panel)
            percent(panel, horizontal=True)
            panel.set_xlabel("ar, %")
            panel.set_ylabel(f"{order}, %")
        note = "One mark a problem; r with 95 % bootstrap interval over problems. Chance in n samples lowers r."
        return finish(figure, title=self.title, foot=foot(data, note))


def _said(r: float, low: float, high: float) -> str:
    return "r undefined: equal accuracies" if math.isnan(r) else f"r = {interval_text(r, low, high, '.2f')}"


def _rows(run: Run, ar: Run) -> pd.DataFrame:
    run, ar = alike(run, ar)
    pairs = accuracy_pairs(run.counts(), ar.counts())
    r = accuracy_correlation(pairs)
    rows = pairs.rename(columns={"a": "accuracy", "b": "ar_accuracy"}).assign(kind="problem")
    summary = pd.DataFrame({"kind": ["correlation"], "estimate": r.estimate, "low": r.low, "high": r.high})
    return stated(pd.concat([rows, summary], ignore_index=True), run)
