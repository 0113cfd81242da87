"""The words that arbitrary order passes over most often: figure 6 of the paper."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curve_panels import by_panel
from flexeval.figures.figure import Figure, Unavailable
from flexeval.figures.selection import framed, largest_groups, token_rows
from flexeval.figures.settings import foot, stated
from flexeval.plots.curves import percent
from flexeval.plots.layout import finish, panels
from flexeval.plots.rows import dots, name_lines
from flexeval.plots.style import Look
from flexeval.runs.store import Run, RunSet
from flexeval.stats.bypass import bypass_table, most_bypassed
from flexeval.stats.words import find_words

TOP, MIN_COUNT = 20, 20
_LOOKS = {True: Look(colour="#0b2e59", dash="-", marker="o"), False: Look(colour="#8c8c8c", dash="--", marker="s")}
_NAMES = {True: "connector", False: "other word"}


class BypassedWords(Figure):
    """Rows of kind `word` with rank, rate and Wilson interval; rows of kind `all` for all connectors, all others."""

    name = "bypassed-words"
    title = "Most bypassed words of arbitrary order"
    source = "paper, Figure 6"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        groups = largest_groups(
            runs,
            free={"order"},
            usable=lambda group: group.where(order="confidence"),
            missing="figure 'bypassed-words' needs a run of order confidence",
        )
        found = framed(groups, lambda group: map(_rows, group))
        if not (found["kind"] == "word").any():
            raise Unavailable(
                f"figure 'bypassed-words' needs a run with a word that occurs {MIN_COUNT} times; sample more"
            )
        return found

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        titles, groups = by_panel(data, ("model", "task"))
        lines = max((rows["kind"] == "word").sum() for rows in groups)
        figure, axes = panels(titles, height=0.5 + 0.125 * lines)
        for panel, rows in zip(axes, groups, strict=True):
            words = rows[rows["kind"] == "word"].reset_index(drop=True)
            name_lines(panel, words["word"], room=lines)
            for connector, look in _LOOKS.items():
                of_kind = words[words["connector"] == connector]
                dots(
                    panel, of_kind.rename(columns={"rate": "estimate"}), list(of_kind.index), look,
                    label=_NAMES[connector],
                )  # fmt: skip
                for rate in rows.loc[(rows["kind"] == "all") & (rows["connector"] == connector), "rate"]:
                    panel.axvline(
                        rate, color=look.colour, linestyle=look.dash, linewidth=0.8,
                        label=f"all {_NAMES[connector]}s",
                    )  # fmt: skip
            panel.set_xlim(-0.02, 1.02)
            percent(panel, horizontal=True)
            panel.set_xlabel("bypassed, %")
        note = (
            "A word is bypassed when its first token was the leftmost eligible position and something else was "
            f"committed. Words that occur {MIN_COUNT} times or more; bars are 95 % Wilson intervals."
        )
        return finish(figure, title=self.title, foot=foot(data, note))


def _rows(run: Run) -> pd.DataFrame:
    words = find_words(token_rows(run, "piece", "in_text", "commit_step", "frontier_step", "passes"))
    most = most_bypassed(words, top=TOP, min_count=MIN_COUNT).assign(kind="word")
    overall = bypass_table(words, by="connector").assign(kind="all")
    rows = pd.concat([most, overall], ignore_index=True).astype({"connector": bool, "word": object})
    return stated(rows, run)
