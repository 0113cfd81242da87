"""Pass@k of a model before and after training with rollouts in AR order: does the whole curve rise, or its start?"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curve_panels import curve_panels, sources
from flexeval.figures.figure import Figure
from flexeval.figures.pass_at_k import BAND_NOTE, PAIR, pass_at_k_axes, pass_at_k_rows
from flexeval.figures.selection import common_ks, largest_groups
from flexeval.figures.settings import foot
from flexeval.plots.layout import finish
from flexeval.plots.style import crossed_looks
from flexeval.runs.store import Run, RunSet


class TrainedPassAtK(Figure):
    """One row a model, order and k; the models are `base` and its last checkpoint of exact training in AR order."""

    name = "trained-pass-at-k"
    title = "Pass@k before and after training in AR order"
    source = "ours, after arXiv:2504.13837"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        groups = largest_groups(
            runs,
            free={"model", "order"},
            per=("task",),
            usable=lambda group: RunSet(tuple(run for order in PAIR for run in _pairs(group.where(order=order)))),
            missing="figure 'trained-pass-at-k' needs a run of order ar or confidence of a model, and one of what "
            "`flexeval grpo` made of it with rollouts in AR order, alike in all else",
        )
        pairs = [group[start : start + 2] for group in groups for start in range(0, len(group), 2)]
        return pd.concat([_curves(pair) for pair in pairs], ignore_index=True)

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        look = {model: own for (model, _), own in crossed_looks(data["model"], [""]).items()}
        figure, drawn = curve_panels(data, x="k", by=("base", "task", "order"), series="model", look=look)
        pass_at_k_axes(drawn)
        return finish(figure, title=self.title, foot=foot(data, BAND_NOTE + sources(data)))


def _pairs(runs: RunSet) -> list[Run]:
    """Of each model the run before training and that of its last checkpoint, one after the other."""
    drawn = [(run.lineage, run) for run in runs if run.lineage]
    exact = [(lineage, run) for lineage, run in drawn if lineage.rollout_order == "ar" and not lineage.fast]
    found = []
    for before in runs:
        after = {lineage.samples: run for lineage, run in exact if lineage.base == before.model}
        if after:
            found += [before, after[max(after)]]
    return found


def _curves(pair: RunSet) -> pd.DataFrame:
    ks = common_ks(pair)
    return pd.concat([pass_at_k_rows(run, ks) for run in pair], ignore_index=True).assign(base=pair[0].model)
