"""What training does: held-out accuracy by time and by rollouts (figure 9 of the paper, for all rollout orders), and
Pass@k before and after training in AR order: does the whole curve rise, or its start?
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curves import by_panel
from flexeval.figures.figure import Figure
from flexeval.figures.pass_at_k import BAND_NOTE, PassAtKFigure, pass_at_k_frames, verdicts_note
from flexeval.figures.selection import PAIR, before_and_after, common_ks, recipe_of, stages
from flexeval.figures.settings import foot, sources, with_settings
from flexeval.models.lineage import Lineage
from flexeval.plots.curves import curve, percent
from flexeval.plots.layout import panels
from flexeval.plots.style import looks
from flexeval.runs.store import Run, RunSet
from flexeval.stats.curves import pass_at_k_differences
from flexeval.stats.pass_at_k import pass_at_k_table

_AXES = {"minutes": "minutes of training", "rollouts": "rollouts drawn"}


class TrainingTime(Figure):
    """One row a checkpoint, and one of the model before it for each training: `minutes` of training and `rollouts`
    drawn until then, Pass@1 of order `ar`, and what was gained since the model before, paired by problem: its interval
    is that of `gain`, and moved up by the Pass@1 before it, as far as 0 and 1, that of the estimate.
    """

    name = "training-time"
    title = "Accuracy over the training"
    source = "paper, Figure 9"
    needs = "a run of order ar of a model, and one of a checkpoint that `flexeval grpo` made of it, alike in all else"
    note = (
        "Pass@1 on held-out problems. Curves begin at the model before training; their names are those of the "
        "trainings. Bands are 95 % intervals of the difference to that model, paired by problem (bootstrap)."
    )
    free = frozenset({"model"})
    per = ("task",)

    def usable(self, group: RunSet) -> RunSet:
        """The runs in AR order of the untrained models that have checkpoints, and of these."""
        runs = group.where(order="ar")
        models = {run.model for run in runs if not run.lineage}
        bases = {run.lineage.base for run in runs if run.lineage} & models
        return RunSet(tuple(run for run in runs if (run.lineage.base if run.lineage else run.model) in bases))

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        before = {run.model: run for run in group if not run.lineage}
        trainings: dict[Lineage, list[tuple[Lineage, Run]]] = {}
        for run in group:
            if run.lineage:
                trainings.setdefault(run.lineage.of_training, []).append((run.lineage, run))
        names = Counter((one.base, one.training) for one in trainings)
        for one, checkpoints in trainings.items():
            base, training = one.base, one.training
            if names[base, training] > 1:
                training = f"{training}, seed {one.seed}"
            points = [(before[base], 0.0, 0)]
            points += [(run, lineage.seconds / 60, lineage.samples) for lineage, run in checkpoints]
            for run, minutes, rollouts in points:
                row = {"minutes": minutes, "rollouts": rollouts, **_gained(run, before[base])}
                yield with_settings(pd.DataFrame([row]), run).assign(base=base, training=training)

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        look = looks(data["training"])
        parts = by_panel(data, ("base", "task"))
        titles = [f"{name}, at equal {over}" for name in parts.titles for over in ("time", "rollouts")]
        figure, axes = panels(titles, height=2.3, columns=2)
        of_panel = [(rows, x) for rows in parts.rows for x in _AXES]
        for panel, (rows, x) in zip(axes, of_panel, strict=True):
            for training, own in rows.groupby("training", sort=False):
                curve(panel, own, x, look[str(training)], label=str(training), crowd=len(look))
            percent(panel)
            panel.set_xlabel(_AXES[x])
            panel.set_ylabel("accuracy, %")
        return figure

    def foot(self, data: pd.DataFrame) -> str:
        """See `Figure.foot`. It names the models before training, not each checkpoint."""
        return foot(data.assign(model=data["base"]), self.note)


class TrainedPassAtK(PassAtKFigure):
    """One row a model, order and k: `base`, and the last checkpoint of each exact training in AR order, of several
    seeds the last one that all have. There is a panel for each recipe and order, so the rows of `base` are there once
    for each recipe; `recipe` names its trainings.
    """

    name = "trained-pass-at-k"
    title = "Pass@k before and after training in AR order"
    source = "ours, after arXiv:2504.13837"
    needs = (
        "a run of order ar or confidence of a model, and one of what `flexeval grpo` made of it with rollouts in AR "
        "order, alike in all else"
    )
    note = f"Curves of one panel after training differ in its seed alone. {BAND_NOTE}"
    free = frozenset({"model", "order"})
    per = ("task",)
    by, series = ("base", "task", "recipe", "order"), "curve"
    columns = 2

    def usable(self, group: RunSet) -> RunSet:
        """The runs before and after each training."""
        paired = RunSet(tuple(run for order in PAIR for run in group.where(order=order)))
        exact = RunSet(tuple(run for run in paired if not run.lineage or run.lineage.exact_ar))
        return RunSet(tuple(dict.fromkeys(run for family in before_and_after(exact) for run in family)))

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        for family in before_and_after(group):
            curves = pd.concat(pass_at_k_frames(family, common_ks(family)), ignore_index=True)
            yield curves.assign(
                base=family[0].model, recipe=recipe_of(family), curve=curves["model"].map(stages(family))
            )

    def foot(self, data: pd.DataFrame) -> str:
        """See `Figure.foot`. It names the models before training, not each checkpoint."""
        return foot(data.assign(model=data["base"]), self.note + verdicts_note(data) + sources(data))


def _gained(run: Run, before: Run) -> dict[str, float]:
    """Pass@1 of a checkpoint, and what it gained on the model before it, each with the interval of the gain."""
    start = float(pass_at_k_table(before.counts(), [1])[1].mean())
    gain = pass_at_k_differences(run.counts(), before.counts(), ks=[1])[1]
    return {
        "estimate": start + gain.estimate,
        "low": max(start + gain.low, 0.0),
        "high": min(start + gain.high, 1.0),
        "gain": gain.estimate,
        "gain_low": gain.low,
        "gain_high": gain.high,
    }
