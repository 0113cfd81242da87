"""Accuracy over tokens per step of the entropy-bounded sampler, model by model: figure 8 of the paper."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval import stats
from flexeval.figures.curve_panels import curve_panels
from flexeval.figures.figure import Figure
from flexeval.figures.selection import largest_groups, token_rows
from flexeval.figures.settings import foot, stated
from flexeval.plots.curves import percent
from flexeval.plots.layout import finish
from flexeval.registry import parse_spec
from flexeval.runs.store import Run, RunSet


class TokensPerStep(Figure):
    """One row a model and gamma: accuracy (Pass@1) and tokens per step, both with intervals."""

    name = "tokens-per-step"
    title = "Accuracy over tokens per step, EB sampler"
    source = "paper, Figure 8"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        groups = largest_groups(
            runs,
            free={"order", "model"},
            per=("task",),
            usable=_several_gammas,
            missing="figure 'tokens-per-step' needs runs of order eb with two values of gamma or more "
            "(eb:gamma=0.1, eb:gamma=1), of one model or of two, alike in all else",
        )
        return pd.concat([_row(run) for group in groups for run in group], ignore_index=True)

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        figure, drawn = curve_panels(data, x="tokens_per_step", by=("task",), series="model")
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


def _several_gammas(group: RunSet) -> RunSet:
    """The runs of the entropy-bounded order of the models that have two or more."""
    eb = [run for run in group if parse_spec(run.config.order)[0] == "eb"]
    models = [run.model for run in eb]
    return RunSet(tuple(run for run in eb if models.count(run.model) > 1))


def _row(run: Run) -> pd.DataFrame:
    accuracy = stats.interval(stats.pass_at_k_table(run.counts(), [1]))[1]
    pace = stats.tokens_per_step(token_rows(run), run.samples)
    row = {
        "tokens_per_step": pace.estimate,
        "tokens_per_step_low": pace.low,
        "tokens_per_step_high": pace.high,
        "estimate": accuracy.estimate,
        "low": accuracy.low,
        "high": accuracy.high,
    }
    return stated(pd.DataFrame([row]), run)
