"""Problem by problem: which ones AR order and arbitrary order solve at all (figures 2 and 4 of the paper), and the
accuracy of each under an order against AR order (figure 11b).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval import published
from flexeval.figures.curves import by_panel
from flexeval.figures.figure import Figure
from flexeval.figures.selection import PAIR, against_ar, of_pair
from flexeval.figures.settings import MEASURED, WHY_NONE, foot, published_coverage, sources, with_settings
from flexeval.plots.curves import against, percent
from flexeval.plots.layout import panels
from flexeval.plots.rows import Part, dots, name_lines, stacked
from flexeval.plots.style import looks
from flexeval.runs.store import RunSet, alike, fewest_samples
from flexeval.stats.coverage import accuracy_correlation, accuracy_pairs, coverage, coverage_frame
from flexeval.stats.intervals import wilson

SETTING = ["order", "temperature", "gen_length", "block_length"]
_LOOK = looks(PAIR)
PARTS = {
    "both": Part(label="both", colour="#d9d9d9"),
    "ar_only": Part(label="only ar", colour=_LOOK["ar"].colour, ink="white"),
    "confidence_only": Part(label="only confidence", colour=_LOOK["confidence"].colour, hatch="////"),
    "neither": Part(label="neither", colour="white"),
}


class Coverage(Figure):
    """One row a part of the problems: share and Wilson interval, and the p-value of the exact McNemar test."""

    name = "coverage"
    title = "Problems solved by at least one of n samples"
    source = "paper, Figures 2 and 4"
    needs = "a run of order ar and one of order confidence, alike in all else"
    note = "Bars are 95 % Wilson intervals; p of the exact McNemar test."

    def usable(self, group: RunSet) -> RunSet:
        """See `Figure.usable`."""
        return of_pair(group)

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        n = fewest_samples(*group)
        first, second = (run.part(num_samples=n, limit=run.config.limit) for run in group)
        found = coverage(first.counts(), second.counts())
        rows = coverage_frame(found).replace({"part": {"b_only": "confidence_only", "a_only": "ar_only"}})
        low, high = wilson(rows["problems"], found.problems)
        rows = (
            rows.rename(columns={"problems": "solved"})
            .assign(low=low, high=high, p_value=found.p_value, source=MEASURED, n=n)
            .assign(**{WHY_NONE: published.coverage(first, second).why_none or float("nan")})
        )
        known = published_coverage(first, second)
        of_paper = known.melt(id_vars=["source", "k"], var_name="part", value_name="share").rename(columns={"k": "n"})
        rows = pd.concat([rows, of_paper], ignore_index=True) if len(of_paper) else rows
        yield with_settings(rows, group[1]).assign(order="ar, confidence")

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        names = list(dict.fromkeys(zip(data["model"], data["task"], strict=True)))
        several = data["model"].nunique() > 1
        lines = [f"{task}\n{model}" if several else task for model, task in names]
        figure, (bars, only) = panels(
            ["all problems", "solved by one order only"], height=0.75 + 0.36 * len(names), wide=True, columns=2
        )
        measured = data[data["source"] == MEASURED]
        shares = measured.pivot(index=["model", "task", *SETTING], columns="part", values="share")
        shares = shares.iloc[
            sorted(range(len(shares)), key=lambda bar: names.index((shares.index[bar][0], shares.index[bar][1])))
        ]
        name_lines(bars, lines)
        stacked(bars, shares, PARTS)
        bars.set_xlim(0, 1)

        p_values = measured.drop_duplicates(["model", "task"]).set_index(["model", "task"])["p_value"].loc[names]
        name_lines(only, [f"p = {p_value:.2g}" for p_value in p_values])
        for order, shift in zip(PAIR, (-0.15, 0.15), strict=True):
            for source, rows in data[data["part"] == f"{order}_only"].groupby("source", sort=False):
                heights = [names.index(key) + shift for key in zip(rows["model"], rows["task"], strict=True)]
                of_paper = source != MEASURED
                dots(
                    only, rows.rename(columns={"share": "estimate"}), heights, _LOOK[order], hollow=of_paper,
                    label=f"only {order}, published" if of_paper else f"_only {order}",
                )  # fmt: skip
        only.set_xlim(left=0)
        for panel in (bars, only):
            percent(panel, horizontal=True)
            panel.set_xlabel("problems, %")
        return figure

    def foot(self, data: pd.DataFrame) -> str:
        """See `Figure.foot`."""
        return foot(data, self.note + sources(data))


class Correlation(Figure):
    """Rows of kind `problem` with both accuracies, and one of kind `correlation` for each order."""

    name = "correlation"
    title = "Accuracy problem by problem, against AR order"
    source = "paper, Figure 11b"
    needs = "a run of order ar and one of another order, alike in all else"
    note = "One mark a problem; r with 95 % bootstrap interval over problems. Chance in n samples lowers r."
    same_problems = False

    def usable(self, group: RunSet) -> RunSet:
        """See `Figure.usable`."""
        return against_ar(group)

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        first, *others = group
        for other in others:
            run, ar = alike(other, first)
            pairs = accuracy_pairs(run.counts(), ar.counts())
            r = accuracy_correlation(pairs)
            rows = pairs.rename(columns={"a": "accuracy", "b": "ar_accuracy"}).assign(kind="problem")
            summary = pd.DataFrame({"kind": ["correlation"], "estimate": r.estimate, "low": r.low, "high": r.high})
            yield with_settings(pd.concat([rows, summary], ignore_index=True), run)

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        look = looks(data["order"])
        parts = by_panel(data, ("model", "task", "order"))
        correlations = [rows[rows["kind"] == "correlation"].iloc[0] for rows in parts.rows]
        titles = [
            f"{title}\n{_r_in_words(row['estimate'], row['low'], row['high'])}"
            for title, row in zip(parts.titles, correlations, strict=True)
        ]
        figure, axes = panels(titles, parts.headings, height=1.75, columns=7)
        for panel, rows in zip(axes, parts.rows, strict=True):
            order = rows["order"].iloc[0]
            against(panel, rows[rows["kind"] == "problem"], "ar_accuracy", "accuracy", look[order])
            percent(panel)
            percent(panel, horizontal=True)
            panel.set_box_aspect(1)
            panel.set_xticks([0, 0.5, 1])
            panel.set_yticks([0, 0.5, 1])
            panel.set_xlabel("ar, %")
            panel.set_ylabel("order, %")
        return figure


def _r_in_words(r: float, low: float, high: float) -> str:
    return "r undefined:\nequal accuracies" if math.isnan(r) else f"r = {r:.2f}\n[{low:.2f}, {high:.2f}]"
