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
from flexeval.figures.selection import ORDERS, against_first, compared, of_pair
from flexeval.figures.settings import MEASURED, WHY_NONE, foot, published_coverage, sources, with_settings
from flexeval.plots.curves import against, percent
from flexeval.plots.layout import panels
from flexeval.plots.rows import Part, dots, name_lines, stacked
from flexeval.plots.style import looks
from flexeval.runs.store import RunSet, alike, fewest_samples
from flexeval.stats.coverage import accuracy_correlation, accuracy_pairs, coverage, coverage_frame
from flexeval.stats.intervals import wilson


def _parts(first: str, *others: str) -> dict[str, Part]:
    """How the shares of a bar look: those that one of these runs solves alone between both and neither."""
    look = looks([first, *others])
    return {
        "both": Part(label="both", colour="#d9d9d9"),
        f"{first}_only": Part(label=f"only {first}", colour=look[first].colour, ink="white"),
        **{f"{name}_only": Part(label=f"only {name}", colour=look[name].colour, hatch="////") for name in others},
        "neither": Part(label="neither", colour="white"),
    }


class Coverage(Figure):
    """One row a part of the problems: share and Wilson interval, and the p-value of the exact McNemar test."""

    name = "coverage"
    title = title_of_models = "Problems solved by at least one of n samples"
    source = "paper, Figures 2 and 4"
    needs = "a run of order ar and one of order confidence, alike in all else"
    note = "Bars are 95 % Wilson intervals; p of the exact McNemar test."

    def usable(self, group: RunSet) -> RunSet:
        """See `Figure.usable`."""
        return of_pair(group, self.compare)

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        n = fewest_samples(*group)
        first, second = (run.part(num_samples=n, limit=run.config.limit) for run in group)
        found = coverage(first.counts(), second.counts())
        names = [compared(run, self.compare) for run in group]
        only = {f"{side}_only": f"{name}_only" for side, name in zip("ab", names, strict=True)}
        rows = coverage_frame(found).replace({"part": only})
        low, high = wilson(rows["problems"], found.problems)
        rows = (
            rows.rename(columns={"problems": "solved"})
            .assign(low=low, high=high, p_value=found.p_value, source=MEASURED, n=n)
            .assign(**{WHY_NONE: published.coverage(first, second).why_none or float("nan")})
        )
        known = published_coverage(first, second) if self.compare == ORDERS else pd.DataFrame()
        if len(known):
            of_paper = known.melt(id_vars=["source", "k"], var_name="part", value_name="share")
            rows = pd.concat([rows, of_paper.rename(columns={"k": "n"})], ignore_index=True)
        yield with_settings(rows, second).assign(**{self.compare: ", ".join(names)})

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        index = list(self.per)
        names = list(dict.fromkeys(zip(*(data[name] for name in index), strict=True)))
        several = data[index[0]].nunique() > 1
        lines = [f"{task}\n{other}" if several else task for other, task in names]
        pair = [part.removesuffix("_only") for part in dict.fromkeys(data["part"]) if part.endswith("_only")]
        parts, look = _parts(*pair), looks(pair)
        figure, (bars, only) = panels(
            ["all problems", f"solved by one {self.compare} only"],
            height=0.75 + 0.36 * len(names),
            wide=True,
            columns=2,
        )
        measured = data[data["source"] == MEASURED]
        settings = [
            name for name in ("order", "model", "temperature", "gen_length", "block_length") if name not in index
        ]
        shares = measured.pivot(index=[*index, *settings], columns="part", values="share").fillna(0.0)
        shares = shares.reset_index(settings).loc[names].set_index(settings, append=True)
        name_lines(bars, lines)
        stacked(bars, shares, parts)
        bars.set_xlim(0, 1)

        p_values = measured.drop_duplicates(index).set_index(index)["p_value"].loc[names]
        name_lines(only, [f"p = {p_value:.2g}" for p_value in p_values])
        for place, name in enumerate(pair):
            for source, rows in data[data["part"] == f"{name}_only"].groupby("source", sort=False):
                keys = zip(*(rows[setting] for setting in index), strict=True)
                heights = [names.index(key) + (-0.15, 0.15)[min(place, 1)] for key in keys]
                of_paper = source != MEASURED
                dots(
                    only, rows.rename(columns={"share": "estimate"}), heights, look[name], hollow=of_paper,
                    label=f"only {name}, published" if of_paper else f"_only {name}",
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
    title_of_models = "Accuracy problem by problem, against the first model"
    source = "paper, Figure 11b"
    needs = "a run of order ar and one of another order, alike in all else"
    note = "One mark a problem; r with 95 % bootstrap interval over problems. Chance in n samples lowers r."
    same_problems = False

    def usable(self, group: RunSet) -> RunSet:
        """See `Figure.usable`."""
        return against_first(group, self.compare)

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        first, *others = group
        for other in others:
            run, own = alike(other, first)
            pairs = accuracy_pairs(run.counts(), own.counts())
            r = accuracy_correlation(pairs)
            rows = pairs.rename(columns={"a": "accuracy", "b": "reference_accuracy"}).assign(kind="problem")
            summary = pd.DataFrame({"kind": ["correlation"], "estimate": r.estimate, "low": r.low, "high": r.high})
            both = with_settings(pd.concat([rows, summary], ignore_index=True), run)
            yield both.assign(reference=compared(first, self.compare))

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        look = looks(data[self.compare])
        parts = by_panel(data, (*self.per, self.compare))
        correlations = [rows[rows["kind"] == "correlation"].iloc[0] for rows in parts.rows]
        titles = [
            f"{title}\n{_r_in_words(row['estimate'], row['low'], row['high'])}"
            for title, row in zip(parts.titles, correlations, strict=True)
        ]
        figure, axes = panels(titles, parts.headings, height=1.75, columns=7)
        for panel, rows in zip(axes, parts.rows, strict=True):
            name, reference = rows[[self.compare, "reference"]].iloc[0]
            against(panel, rows[rows["kind"] == "problem"], "reference_accuracy", "accuracy", look[name])
            percent(panel)
            percent(panel, horizontal=True)
            panel.set_box_aspect(1)
            panel.set_xticks([0, 0.5, 1])
            panel.set_yticks([0, 0.5, 1])
            panel.set_xlabel(f"{reference}, %")
            panel.set_ylabel(f"{self.compare}, %")
        return figure


def _r_in_words(r: float, low: float, high: float) -> str:
    return "r undefined:\nequal accuracies" if math.isnan(r) else f"r = {r:.2f}\n[{low:.2f}, {high:.2f}]"
