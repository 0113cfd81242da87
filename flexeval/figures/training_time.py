"""Held-out accuracy over the training, by time and by rollouts: figure 9 of the paper, for all rollout orders."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curve_panels import by_panel
from flexeval.figures.figure import Figure
from flexeval.figures.selection import framed, largest_groups
from flexeval.figures.settings import foot, stated
from flexeval.models.lineage import Lineage
from flexeval.plots.curves import curve, percent
from flexeval.plots.layout import finish, panels
from flexeval.plots.style import looks
from flexeval.runs.store import Run, RunSet
from flexeval.stats.curves import pass_at_k_differences
from flexeval.stats.pass_at_k import pass_at_k_table

_AXES = {"minutes": "minutes of training", "rollouts": "rollouts drawn"}


class TrainingTime(Figure):
    """One row a checkpoint, and one of the model before it for each training: `minutes` of training and `rollouts`
    drawn until then, Pass@1 of order `ar`, and what was gained since the model before, paired by problem: its interval
    is that of `gain`, and moved up by the Pass@1 before it that of the estimate.
    """

    name = "training-time"
    title = "Accuracy over the training"
    source = "paper, Figure 9"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        groups = largest_groups(
            runs,
            free={"model"},
            per=("task",),
            usable=_with_checkpoints,
            missing="figure 'training-time' needs a run of order ar of a model, and one of a checkpoint that "
            "`flexeval grpo` made of it, alike in all else",
        )
        return framed(groups, lambda group: [_rows(group)])

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        look = looks(data["training"])
        names, groups = by_panel(data, ("base", "task"))
        titles = [f"{name}, at equal {over}" for name in names for over in ("time", "rollouts")]
        figure, axes = panels(titles, height=2.3, columns=2)
        of_panel = [(rows, x) for rows in groups for x in _AXES]
        for panel, (rows, x) in zip(axes, of_panel, strict=True):
            for training, own in rows.groupby("training", sort=False):
                curve(panel, own, x, look[str(training)], label=str(training), crowd=len(look))
            percent(panel)
            panel.set_xlabel(_AXES[x])
            panel.set_ylabel("accuracy, %")
        note = (
            "Pass@1 on held-out problems. Curves begin at the model before training; their names are those of the "
            "trainings. Bands are 95 % intervals of the difference to that model, paired by problem (bootstrap)."
        )
        return finish(figure, title=self.title, foot=foot(data.assign(model=data["base"]), note))


def _with_checkpoints(group: RunSet) -> RunSet:
    """The runs in AR order of the untrained models that have checkpoints, and of these."""
    runs = group.where(order="ar")
    models = {run.model for run in runs if not run.lineage}
    bases = {run.lineage.base for run in runs if run.lineage} & models
    return RunSet(tuple(run for run in runs if (run.lineage.base if run.lineage else run.model) in bases))


def _rows(runs: RunSet) -> pd.DataFrame:
    before = {run.model: run for run in runs if not run.lineage}
    trainings: dict[tuple[str, str], list[tuple[Lineage, Run]]] = {}
    for run in runs:
        if run.lineage:
            trainings.setdefault((run.lineage.base, run.lineage.training), []).append((run.lineage, run))
    rows = []
    for (base, training), checkpoints in trainings.items():
        of_training = [_row(before[base], before[base], minutes=0.0, rollouts=0)]
        of_training += [
            _row(run, before[base], minutes=lineage.seconds / 60, rollouts=lineage.samples)
            for lineage, run in checkpoints
        ]
        rows += [row.assign(base=base, training=training) for row in of_training]
    return pd.concat(rows, ignore_index=True)


def _row(run: Run, before: Run, *, minutes: float, rollouts: int) -> pd.DataFrame:
    start = float(pass_at_k_table(before.counts(), [1])[1].mean())
    gain = pass_at_k_differences(run.counts(), before.counts(), ks=[1])[1]
    row = {
        "minutes": minutes,
        "rollouts": rollouts,
        "estimate": start + gain.estimate,
        "low": start + gain.low,
        "high": start + gain.high,
        "gain": gain.estimate,
        "gain_low": gain.low,
        "gain_high": gain.high,
    }
    return stated(pd.DataFrame([row]), run)
