"""What taking tokens back changes: where orders that revise stand beside their own rules with nothing taken back, at
one sample and at many, and how uncertain the model was at the first and at the last commit of a position.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curves import by_panel
from flexeval.figures.figure import Figure
from flexeval.figures.selection import token_rows
from flexeval.figures.settings import with_settings
from flexeval.orders import get_order
from flexeval.plots.curves import curve, moved, percent
from flexeval.plots.layout import panels
from flexeval.plots.rows import dots, join, name_lines
from flexeval.plots.style import Look, looks
from flexeval.runs.store import Run, RunSet, fewest_samples
from flexeval.stats.bootstrap import interval
from flexeval.stats.entropy import ALL_CONNECTORS, OTHER_WORDS, connector_entropy
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.revisions import first_commits
from flexeval.stats.words import find_words

_BESIDE = ("ar", "confidence", "top_prob")
"""Orders that commit for good, shown wherever there are runs of them."""
_MOMENTS = ("first", "last")
"""Commits of a position; orders that commit for good have one."""


class WhatRevisionChanges(Figure):
    """Rows of kind `solved`, one a run: Pass@1 (x, x_low, x_high) and Pass@k (estimate, low, high) at the largest
    common k, and `committing`, the rule with nothing taken back where it has a run. Rows of kind `entropy`, by
    moment (`last`, and `first` of an order that revises) and words (`connectors`, `other words`): nats.
    """

    name = "revision"
    title = "What revision changes"
    source = "ours"
    needs = (
        "a run of an order that revises and one of its rule with nothing taken back (wino and wino:tau_back=0), alike "
        "in all else"
    )
    note = (
        "Arrows go from a rule with nothing taken back to the rule that revises. Bars are 95 % intervals (bootstrap "
        "over problems). Entropies are of the words of the final text, at the commits of their first tokens."
    )
    measured = True

    def usable(self, group: RunSet) -> RunSet:
        """See `Figure.usable`."""
        specs = {run.config.order for run in group}
        pairs = {run.config.order: other for run in group if (other := _committing(run)) in specs}
        shown = {*_BESIDE, *pairs, *pairs.values()}
        return RunSet(tuple(run for run in group if run.config.order in shown) if pairs else ())

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        specs, k = {run.config.order for run in group}, fewest_samples(*group)
        for run in group:
            at = interval(pass_at_k_table(run.counts(), sorted({1, k})))
            one, many = at[1], at[k]
            row = {"kind": "solved", "k": k, "x": one.estimate, "x_low": one.low, "x_high": one.high}
            row |= {"estimate": many.estimate, "low": many.low, "high": many.high}
            committing = _committing(run)
            found = [pd.DataFrame([row | {"committing": committing if committing in specs else None}])]
            yield with_settings(pd.concat([*found, *_entropies(run)], ignore_index=True), run)

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        parts = by_panel(data, self.per)
        most = max(rows["order"].nunique() for rows in parts.rows)
        titles = ["solved", "entropy of connectors"]
        headings = [title for title in parts.titles for _ in titles]
        figure, axes = panels(titles * len(parts.rows), headings, height=max(2.4, 0.9 + 0.3 * most), columns=2)
        look = looks(data["order"])
        for place, rows in enumerate(parts.rows):
            solved, entropy = (rows[rows["kind"] == kind] for kind in ("solved", "entropy"))
            self._solved(axes[2 * place], solved, look)
            self._entropy(axes[2 * place + 1], entropy, list(dict.fromkeys(solved["order"])), look)
        return figure

    def _solved(self, panel: Axes, rows: pd.DataFrame, look: dict[str, Look]) -> None:
        at = rows.set_index("order")
        place = {
            str(order): (float(x), float(y)) for order, x, y in zip(at.index, at["x"], at["estimate"], strict=True)
        }
        for order, row in at.iterrows():
            curve(panel, at.loc[[order]], "x", look[str(order)], label=str(order))
            if isinstance(row["committing"], str):
                moved(panel, place[row["committing"]], place[str(order)], look[str(order)])
        panel.set_xlabel("Pass@1, %")
        panel.set_ylabel(f"Pass@{rows['k'].iloc[0]:.0f}, %")
        percent(panel)
        percent(panel, horizontal=True)

    def _entropy(self, panel: Axes, rows: pd.DataFrame, orders: list[str], look: dict[str, Look]) -> None:
        """One line an order, empty where its texts have no connector."""
        own = rows[rows["words"] == ALL_CONNECTORS].set_index("order")
        name_lines(panel, orders)
        by_moment = [own[own["moment"] == moment] for moment in _MOMENTS]
        join(panel, *(at["estimate"].reindex(orders) for at in by_moment))
        for moment, at in zip(_MOMENTS, by_moment, strict=True):
            for order in at.index:
                dots(panel, at.loc[[order]], [orders.index(order)], look[order], label=f"_{moment} commit",
                     hollow=moment == "first")  # fmt: skip
        panel.set_xlim(left=0)
        panel.set_xlabel("at commit (hollow: the first), nats")


def _committing(run: Run) -> str | None:
    """The order with nothing taken back, where it is another one."""
    rule = get_order(run.config.order).counterpart
    return None if rule is None else rule.spec


def _entropies(run: Run) -> list[pd.DataFrame]:
    """The rows of kind `entropy`, one frame a moment."""
    tables = {
        "last": connector_entropy(
            token_rows(run, "in_text", "entropy"), run.word_parts(["entropy"]), quantities=["entropy"]
        )
    }
    order = get_order(run.config.order)
    if order.revises and order != order.committing:
        columns = ["problem_id", "sample_index", "position", "piece", "in_text", "entropy", "commit_step"]
        rows = first_commits(run.tokens(columns), run.revisions())
        tables["first"] = connector_entropy(rows, find_words(rows), quantities=["entropy"])
    found = []
    for moment, table in tables.items():
        known = table[table["group"].isin((ALL_CONNECTORS, OTHER_WORDS)) & (table["count"] > 0)]
        values = known.rename(columns={"group": "words"})[["words", "estimate", "low", "high"]]
        found.append(values.assign(kind="entropy", moment=moment))
    return found
