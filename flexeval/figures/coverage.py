"""Which problems AR order and arbitrary order solve at all: figures 2 and 4 of the paper."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval import published
from flexeval.figures.curve_panels import sources
from flexeval.figures.figure import Figure
from flexeval.figures.pass_at_k import PAIR
from flexeval.figures.published import WHY_NONE, published_coverage
from flexeval.figures.selection import framed, largest_groups, of_order
from flexeval.figures.settings import MEASURED, foot, stated
from flexeval.plots.curves import percent
from flexeval.plots.layout import finish, panels
from flexeval.plots.rows import Part, dots, name_lines, stacked
from flexeval.plots.style import looks
from flexeval.runs.store import Run, RunSet, fewest_samples
from flexeval.stats.coverage import coverage, coverage_frame
from flexeval.stats.intervals import wilson

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

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        pairs = largest_groups(
            runs,
            free={"order"},
            usable=lambda group: of_order(group, *PAIR),
            missing="figure 'coverage' needs a run of order ar and one of order confidence, alike in all else",
        )
        return framed(pairs, lambda pair: [_pair(*pair)])

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        names = list(dict.fromkeys(zip(data["model"], data["task"], strict=True)))
        several = data["model"].nunique() > 1
        lines = [f"{task}\n{model}" if several else task for model, task in names]
        figure, (bars, only) = panels(
            ["all problems", "solved by one order only"], height=0.75 + 0.36 * len(names), wide=True, columns=2
        )
        measured = data[data["source"] == MEASURED]
        shares = measured.set_index(["model", "task", "part"])["share"].unstack("part").loc[names]
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
        note = "Bars are 95 % Wilson intervals; p of the exact McNemar test."
        return finish(figure, title=self.title, foot=foot(data, note + sources(data)))


def _pair(ar: Run, arbitrary: Run) -> pd.DataFrame:
    n = fewest_samples(ar, arbitrary)
    first, second = (run.part(num_samples=n, limit=run.config.limit) for run in (ar, arbitrary))
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
    return stated(rows, second).assign(order="ar, confidence")
