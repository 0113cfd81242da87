"""Entropy of connectors when they are committed, AR order against arbitrary order: figure 7 of the paper."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curve_panels import by_panel
from flexeval.figures.figure import Figure, Unavailable
from flexeval.figures.pass_at_k import PAIR
from flexeval.figures.selection import framed, largest_groups, of_order, token_rows
from flexeval.figures.settings import foot, stated
from flexeval.plots.layout import finish, panels
from flexeval.plots.rows import dots, name_lines
from flexeval.plots.style import looks
from flexeval.runs.store import Run, RunSet
from flexeval.stats.entropy import connector_entropy
from flexeval.stats.words import find_words

SHOWN = 14
"""Connectors at most: the most frequent ones that both orders wrote."""
_POOLED = ("connectors", "other words")


class ConnectorEntropy(Figure):
    """One row an order and group: each connector, all connectors, other words, and all tokens (the dashed lines)."""

    name = "connector-entropy"
    title = "Entropy of connectors at commit"
    source = "paper, Figure 7"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        pairs = largest_groups(
            runs,
            free={"order"},
            usable=lambda group: of_order(group, *PAIR),
            missing="figure 'connector-entropy' needs a run of order ar and one of order confidence, alike in all else",
        )
        found = framed(pairs, lambda pair: [rows for rows in [_pair(*pair)] if "connectors" in set(rows["group"])])
        if found.empty:
            raise Unavailable(
                "figure 'connector-entropy' needs texts with connectors (Therefore, So, Then, ...); none has any"
            )
        return found

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        look = looks(PAIR)
        titles, groups = by_panel(data, ("model", "task"))
        lines = max(rows["group"].nunique() for rows in groups) - 1
        figure, axes = panels(titles, height=0.5 + 0.19 * lines)
        for panel, rows in zip(axes, groups, strict=True):
            names = [name for name in rows["group"].unique() if name != "all tokens"]
            name_lines(panel, names, room=lines)
            for order, shift in zip(PAIR, (-0.16, 0.16), strict=True):
                own = rows[rows["order"] == order]
                marked = own[own["group"] != "all tokens"]
                heights = [names.index(name) + shift for name in marked["group"]]
                dots(panel, marked, heights, look[order], label=order)
                for mean in own.loc[own["group"] == "all tokens", "estimate"]:
                    panel.axvline(
                        mean, color=look[order].colour, linestyle=look[order].dash, linewidth=0.9,
                        label=f"{order}, all tokens",
                    )  # fmt: skip
            panel.axhline(len(_POOLED) - 0.5, color="#cccccc", linewidth=0.6)
            panel.set_xlim(left=0)
            panel.set_xlabel("entropy, nats")
        note = (
            "Entropy of the untempered distribution at a word's first token when it is committed; bars are 95 % "
            "bootstrap intervals over problems. Vertical lines: the mean over all tokens."
        )
        return finish(figure, title=self.title, foot=foot(data, note))


def _pair(ar: Run, arbitrary: Run) -> pd.DataFrame:
    both = pd.concat([_rows(run) for run in (ar, arbitrary)], ignore_index=True)
    shared = both.groupby("group")["estimate"].count() == len(PAIR)
    both = both[both["group"].isin(shared.index[shared])]
    each = both[~both["group"].isin({"all tokens", *_POOLED})]
    frequent = each.groupby("group")["count"].sum().sort_values(ascending=False, kind="stable").index[:SHOWN]
    place = {name: place for place, name in enumerate(["all tokens", *_POOLED, *frequent])}
    kept = both[both["group"].isin(place)]
    return kept.sort_values("group", key=lambda names: names.map(place), kind="stable")


def _rows(run: Run) -> pd.DataFrame:
    tokens = token_rows(run, "piece", "in_text", "entropy")
    table = connector_entropy(tokens, find_words(tokens), quantities=["entropy"])
    return stated(table.drop(columns="quantity").rename(columns={"problems": "problems_with"}), run)
