"""How much entropy a word loses between becoming the frontier and being committed."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curve_panels import by_panel
from flexeval.figures.figure import Figure
from flexeval.figures.selection import at_fixed_pace, framed, largest_groups, token_rows
from flexeval.figures.settings import foot, stated
from flexeval.plots.layout import finish, panels
from flexeval.plots.rows import dots, join, name_lines
from flexeval.plots.style import Look
from flexeval.runs.store import Run, RunSet
from flexeval.stats.entropy import entropy_table
from flexeval.stats.words import find_words

_LOOKS = {
    "frontier_entropy": (Look(colour="#d1541b", dash="-", marker="s"), "when it became the frontier"),
    "entropy": (Look(colour="#0b2e59", dash="-", marker="o"), "at commit"),
}


class EntropyClosure(Figure):
    """One row an order, group of words and quantity; `closure` is frontier entropy minus entropy at commit."""

    name = "entropy-closure"
    title = "Entropy lost by words that were bypassed"
    source = "ours"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        groups = largest_groups(
            runs,
            free={"order"},
            usable=lambda group: RunSet(tuple(run for run in at_fixed_pace(group) if run.config.order != "ar")),
            missing="figure 'entropy-closure' needs a run of an order other than ar that sets no pace of its own",
        )
        return framed(groups, lambda group: map(_rows, group))

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        titles, groups = by_panel(data, ("model", "task"))
        lines = max(len(rows) for rows in groups) // 3
        figure, axes = panels(titles, height=0.55 + 0.19 * lines)
        for panel, rows in zip(axes, groups, strict=True):
            table = rows.set_index(["quantity", "order", "group"])
            names = list(dict.fromkeys(zip(rows["order"], rows["group"], strict=True)))
            name_lines(panel, [f"{order}, {group}" for order, group in names], room=lines)
            at = {quantity: table.loc[[(quantity, *name) for name in names]] for quantity in _LOOKS}
            join(panel, at["frontier_entropy"]["estimate"], at["entropy"]["estimate"])
            for quantity, (look, label) in _LOOKS.items():
                dots(panel, at[quantity], range(len(names)), look, label=label, hollow=quantity != "entropy")
            panel.set_xlim(left=0)
            panel.set_xlabel("entropy, nats")
        note = (
            "Words whose first token was the frontier and passed over at least once; the same words at both times. "
            "Bars are 95 % intervals (bootstrap over problems)."
        )
        return finish(figure, title=self.title, foot=foot(data, note))


def _rows(run: Run) -> pd.DataFrame:
    tokens = token_rows(run, "piece", "in_text", "entropy", "frontier_entropy", "passes")
    words = find_words(tokens)
    bypassed = words[words["passes"] > 0]
    kind = bypassed["connector"].map({True: "connectors", False: "other words"})
    table = entropy_table(
        bypassed.assign(group=kind), by="group", quantities=["frontier_entropy", "entropy", "closure"]
    )
    return stated(table.rename(columns={"problems": "problems_with"}), run)
