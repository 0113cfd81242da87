"""Accuracy over tokens per step of the orders that commit several a step, before and after training: figure 8 of the
paper, which has the entropy-bounded order.
"""

from __future__ import annotations

from collections import Counter

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curve_panels import curve_panels
from flexeval.figures.figure import Figure
from flexeval.figures.selection import framed, largest_groups, token_rows
from flexeval.figures.settings import foot, stated
from flexeval.orders import get_order
from flexeval.plots.curves import percent
from flexeval.plots.layout import finish
from flexeval.plots.style import crossed_looks
from flexeval.runs.store import Run, RunSet
from flexeval.stats.bootstrap import interval
from flexeval.stats.nfe import tokens_per_step
from flexeval.stats.pass_at_k import pass_at_k_table


class TokensPerStep(Figure):
    """One row a model and order: accuracy (Pass@1) and tokens per step, both with intervals; `family` is the order
    without its parameters. `confidence` is `parallel-1`.
    """

    name = "tokens-per-step"
    title = "Accuracy over tokens per step"
    source = "paper, Figure 8"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        groups = largest_groups(
            runs,
            free={"order", "model"},
            per=("task",),
            usable=_several_paces,
            missing="figure 'tokens-per-step' needs runs of order eb with two values of gamma or more "
            "(eb:gamma=0.1, eb:gamma=1), or of parallel-2 and parallel-4, of one model or of two, alike in all else",
        )
        return framed(groups, lambda group: map(_row, group))

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        look = {", ".join(pair): own for pair, own in crossed_looks(data["model"], data["family"]).items()}
        data = data.assign(series=data["model"] + ", " + data["family"])
        figure, drawn = curve_panels(
            data, x="tokens_per_step", by=("task",), series="series", height=2.3, look=look
        )  # fmt: skip
        for panel, rows in drawn:
            panel.hlines(
                rows["estimate"], rows["tokens_per_step_low"], rows["tokens_per_step_high"], color="#555555",
                linewidth=0.7,
            )  # fmt: skip
            percent(panel)
            panel.set_xlabel("tokens per step")
            panel.set_ylabel("accuracy, %")
        orders = ", ".join(data["order"].unique())
        note = f"Orders {orders}. Bands and bars are 95 % intervals (bootstrap over problems)."
        return finish(figure, title=self.title, foot=foot(data, note))


def _several_paces(group: RunSet) -> RunSet:
    """The runs of the models and families that have two or more."""
    paced = [run for run in group if _family(run) is not None]
    runs_of = Counter((run.model, _family(run)) for run in paced)
    return RunSet(tuple(run for run in paced if runs_of[run.model, _family(run)] > 1))


def _family(run: Run) -> str | None:
    """The order without its parameters; None for one that commits as many a step as the schedule says."""
    order = get_order(run.config.order)
    if order.name == "confidence":
        return "parallel-k"
    return order.name if order.adaptive else None


def _row(run: Run) -> pd.DataFrame:
    accuracy = interval(pass_at_k_table(run.counts(), [1]))[1]
    pace = tokens_per_step(token_rows(run), run.samples)
    row = {
        "family": _family(run),
        "tokens_per_step": pace.estimate,
        "tokens_per_step_low": pace.low,
        "tokens_per_step_high": pace.high,
        "estimate": accuracy.estimate,
        "low": accuracy.low,
        "high": accuracy.high,
    }
    return stated(pd.DataFrame([row]), run)
