"""Words: which are bypassed most often and the entropy of connectors at commit (figures 6 and 7 of the paper), and how
much entropy bypassed words lose until they are committed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from math import nan

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curves import by_panel
from flexeval.figures.figure import Figure
from flexeval.figures.selection import PAIR, Unavailable, at_fixed_pace, of_pair, token_rows
from flexeval.figures.settings import with_settings
from flexeval.plots.curves import percent
from flexeval.plots.layout import panels
from flexeval.plots.rows import dots, join, name_lines
from flexeval.plots.style import Look, looks
from flexeval.runs.store import Run, RunSet
from flexeval.stats.bypass import bypass_table, most_bypassed
from flexeval.stats.entropy import connector_entropy, entropy_table
from flexeval.stats.parts import Changed

MIN_COUNT = 20
"""A word is shown when it occurs so often."""
TOP_WORDS = 20
TOP_CONNECTORS = 14
"""The most frequent ones that both orders wrote."""

_DARK = Look(colour="#0b2e59", dash="-", marker="o")
_BY = {"word": "by rate", "frequent": "by frequency"}
_KINDS = {True: "connector", False: "other word"}
_KIND_LOOKS = {True: _DARK, False: Look(colour="#8c8c8c", dash="--", marker="s")}
_POOLED = ("connectors", "other words")
_MOMENTS = {
    "frontier_entropy": (Look(colour="#d1541b", dash="-", marker="s"), "when it became the frontier"),
    "entropy": (_DARK, "at commit"),
}


class BypassedWords(Figure):
    """Rows of kind `word` with rank, rate and Wilson interval, the highest rates; rows of kind `frequent`, the words
    that were bypassed most times in a sample (`per_sample`); rows of kind `all` for all connectors, all others.
    """

    name = "bypassed-words"
    title = "Most bypassed words of arbitrary order"
    source = "paper, Figure 6"
    measured = True
    needs = "a run of order confidence"
    note = (
        "A word is bypassed when its first token was the leftmost eligible position and something else was "
        f"committed. By rate: words that occur {MIN_COUNT} times or more; bars are 95 % Wilson intervals."
    )

    def usable(self, group: RunSet) -> RunSet:
        """See `Figure.usable`."""
        return group.where(order="confidence")

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        for run in group:
            words = run.word_parts(["commit_step", "frontier_step", "passes"])
            every = most_bypassed(words, top=sys.maxsize, min_count=1)
            by_rate = _ranked(every[every["occurrences"] >= MIN_COUNT]).assign(kind="word")
            by_number = _ranked(every.sort_values("bypassed", ascending=False, kind="stable")).assign(kind="frequent")
            overall = bypass_table(words, by="connector").assign(kind="all")
            rows = pd.concat([by_rate, by_number, overall], ignore_index=True)
            rows["per_sample"] = rows["bypassed"] / len(run.samples)
            yield with_settings(rows.astype({"connector": bool, "word": object}), run)

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        found = super().data(runs)
        if not (found["kind"] == "word").any():
            raise Unavailable(
                f"figure {self.name!r} needs a run with a word that occurs {MIN_COUNT} times; sample more"
            )
        return found

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        parts = by_panel(data, ("model", "task"))
        headings = [title for title in parts.titles for _ in _BY]
        lines = [max(rows["kind"].value_counts().reindex(list(_BY), fill_value=0)) for rows in parts.rows]
        heights = [0.75 + 0.125 * most for most in lines]
        figure, axes = panels([*_BY.values()] * len(parts.titles), headings, height=heights, columns=2)
        for place, panel in enumerate(axes):
            rows, kind = parts.rows[place // len(_BY)], list(_BY)[place % len(_BY)]
            words = rows[rows["kind"] == kind].reset_index(drop=True)
            by_rate = kind == "word"
            words["estimate"] = words["rate"] if by_rate else words["per_sample"]
            name_lines(panel, words["word"], room=lines[place // len(_BY)])
            for connector, called in _KINDS.items():
                look = _KIND_LOOKS[connector]
                own = words[words["connector"] == connector]
                dots(panel, own if by_rate else own.assign(low=nan, high=nan), list(own.index), look, label=called)
                for rate in (
                    rows.loc[(rows["kind"] == "all") & (rows["connector"] == connector), "rate"] if by_rate else ()
                ):
                    panel.axvline(rate, color=look.colour, linestyle=look.dash, linewidth=0.8, label=f"all {called}s")
            if by_rate:
                panel.set_xlim(0, 1)
                percent(panel, horizontal=True)
            panel.set_xlim(left=0)
            panel.set_xlabel("bypassed, %" if by_rate else "times bypassed in a sample")
        return figure


def _ranked(words: pd.DataFrame) -> pd.DataFrame:
    """The first of these words, with their places among them."""
    first = words.head(TOP_WORDS)
    return first.assign(rank=range(1, len(first) + 1))


class ConnectorEntropy(Figure):
    """One row an order and group: each connector, all connectors, other words, and all tokens (the dashed lines)."""

    name = "connector-entropy"
    title = "Entropy of connectors at commit"
    source = "paper, Figure 7"
    measured = True
    needs = "a run of order ar and one of order confidence, alike in all else"
    note = (
        "Entropy of the untempered distribution at a word's first token when it is committed; bars are 95 % "
        "bootstrap intervals over problems. Vertical lines: the mean over all tokens."
    )

    def usable(self, group: RunSet) -> RunSet:
        """See `Figure.usable`."""
        return of_pair(group)

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`. None of a pair whose texts have no connectors."""
        both = pd.concat([_entropy_of_words(run) for run in group], ignore_index=True)
        shared = both.groupby("group")["estimate"].count() == len(PAIR)
        both = both[both["group"].isin(shared.index[shared])]
        each = both[~both["group"].isin({"all tokens", *_POOLED})]
        frequent = each.groupby("group")["count"].sum().sort_values(ascending=False, kind="stable").index
        place = {name: place for place, name in enumerate(["all tokens", *_POOLED, *frequent[:TOP_CONNECTORS]])}
        kept = both[both["group"].isin(place)]
        rows = kept.sort_values("group", key=lambda names: names.map(place), kind="stable")
        return [rows] if "connectors" in set(rows["group"]) else []

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        found = super().data(runs)
        if found.empty:
            raise Unavailable(
                f"figure {self.name!r} needs texts with connectors (Therefore, So, Then, ...); none has any"
            )
        return found

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        parts = by_panel(data, ("model", "task"))
        lines = max(rows["group"].nunique() for rows in parts.rows) - 1
        figure, axes = panels(parts.titles, height=0.5 + 0.19 * lines)
        for panel, rows in zip(axes, parts.rows, strict=True):
            names = [name for name in rows["group"].unique() if name != "all tokens"]
            name_lines(panel, names, room=lines)
            for order, shift in zip(PAIR, (-0.16, 0.16), strict=True):
                _entropy_of_order(panel, rows[rows["order"] == order], names, order, shift)
            panel.axhline(len(_POOLED) - 0.5, color="#cccccc", linewidth=0.6)
            panel.set_xlim(left=0)
            panel.set_xlabel("entropy, nats")
        return figure


class EntropyClosure(Figure):
    """One row an order, group of words and quantity; `closure` is frontier entropy minus entropy at commit."""

    name = "entropy-closure"
    title = "Entropy lost by words that were bypassed"
    source = "ours"
    measured = True
    needs = "a run of an order other than ar that sets no pace of its own"
    note = (
        "Words whose first token was the frontier and passed over at least once; the same words at both times. "
        "Bars are 95 % intervals (bootstrap over problems)."
    )

    def usable(self, group: RunSet) -> RunSet:
        """See `Figure.usable`."""
        return RunSet(tuple(run for run in at_fixed_pace(group) if run.config.order != "ar"))

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        for run in group:
            bypassed = Changed(run.word_parts(["entropy", "frontier_entropy", "passes"]), _bypassed)
            table = entropy_table(bypassed, by="group", quantities=["frontier_entropy", "entropy", "closure"])
            yield with_settings(table.rename(columns={"problems": "problems_with"}), run)

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        parts = by_panel(data, ("model", "task"))
        lines = max(len(rows) for rows in parts.rows) // 3
        figure, axes = panels(parts.titles, height=0.55 + 0.19 * lines)
        for panel, rows in zip(axes, parts.rows, strict=True):
            table = rows.set_index(["quantity", "order", "group"])
            names = list(dict.fromkeys(zip(rows["order"], rows["group"], strict=True)))
            name_lines(panel, [f"{order}, {group}" for order, group in names], room=lines)
            at = {quantity: table.loc[[(quantity, *name) for name in names]] for quantity in _MOMENTS}
            join(panel, at["frontier_entropy"]["estimate"], at["entropy"]["estimate"])
            for quantity, (look, label) in _MOMENTS.items():
                dots(panel, at[quantity], range(len(names)), look, label=label, hollow=quantity != "entropy")
            panel.set_xlim(left=0)
            panel.set_xlabel("entropy, nats")
        return figure


def _bypassed(words: pd.DataFrame) -> pd.DataFrame:
    """Those that were passed over, each with its kind as `group`."""
    bypassed = words[words["passes"] > 0]
    return bypassed.assign(group=bypassed["connector"].map({True: "connectors", False: "other words"}))


def _entropy_of_words(run: Run) -> pd.DataFrame:
    tokens, words = token_rows(run, "in_text", "entropy"), run.word_parts(["entropy"])
    table = connector_entropy(tokens, words, quantities=["entropy"])
    return with_settings(table.drop(columns="quantity").rename(columns={"problems": "problems_with"}), run)


def _entropy_of_order(panel: Axes, rows: pd.DataFrame, names: list[str], order: str, shift: float) -> None:
    """The dots of one order, a little beside the lines of their names, and the mean over all its tokens."""
    look = looks(PAIR)[order]
    marked = rows[rows["group"] != "all tokens"]
    dots(panel, marked, [names.index(name) + shift for name in marked["group"]], look, label=order)
    for mean in rows.loc[rows["group"] == "all tokens", "estimate"]:
        panel.axvline(mean, color=look.colour, linestyle=look.dash, linewidth=0.9, label=f"{order}, all tokens")
