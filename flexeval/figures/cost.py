"""What accuracy costs: orders at an equal number of evaluations, and accuracy over tokens per step (figure 8 of the
paper, which has the entropy-bounded order).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes

from flexeval.figures.curves import CurveFigure
from flexeval.figures.selection import PAIR, at_least, before_and_after, recipe_of, stages, token_rows
from flexeval.figures.settings import foot, with_settings
from flexeval.orders import get_order
from flexeval.plots.curves import powers_of_two
from flexeval.records import PACE
from flexeval.runs.store import Run, RunSet
from flexeval.stats.bootstrap import interval
from flexeval.stats.nfe import (
    accuracy_under_parallelism,
    default_budgets,
    pass_at_nfe,
    tokens_per_forward,
    tokens_per_step,
)
from flexeval.stats.pass_at_k import pass_at_k_table

ONE, SEVERAL = "one token a step", "several tokens a step"


class PassAtNFE(CurveFigure):
    """One row a run and budget; `series` is the order, and its steps where they differ; `pace` says how many tokens a
    step commits.

    Each curve goes from what one sample costs to what all of them did: runs of few samples end early.
    """

    name = "pass-at-nfe"
    title = "Pass@NFE: solved within a budget of evaluations"
    source = "ours, after arXiv:2609.39859"
    measured = True
    needs = "runs of two orders or more, alike in all else"
    note = "Curves end where the samples do. Bands are 95 % intervals at each budget (bootstrap over problems)."
    free = frozenset({"order", *PACE})
    x, series, height, columns = "nfe", "series", 2.4, 2
    by = ("model", "task", "pace")
    labels = ("evaluations spent on a problem (NFE)", "Pass@NFE, %")

    def usable(self, group: RunSet) -> RunSet:
        """See `Figure.usable`."""
        return at_least(group, 2)

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        paced = {*PACE} & set(group.varying())
        names = group.labels() if paced else [run.config.order for run in group]
        for run, name in zip(group, names, strict=True):
            curve = pass_at_nfe(run.outcomes(), default_budgets(run.samples))
            slow = run.config.sampling.per_step == 1 and not get_order(run.config.order).own_pace
            yield with_settings(curve, run).assign(series=name, pace=ONE if slow else SEVERAL)

    def labelled(self, data: pd.DataFrame) -> pd.DataFrame:
        """See `CurveFigure.labelled`. Orders with a pace of their own have a panel of their own, where the paper's two
        orders stand beside them.
        """
        frames = []
        for _, own in data.groupby(["model", "task"], sort=False):
            fast, main = own["pace"] == SEVERAL, own["order"].isin(PAIR)
            if not (fast | main).all() or not fast.any():
                frames.append(own[~fast])
            if fast.any():
                frames.append(own[fast | main].assign(pace=SEVERAL))
        return pd.concat(frames, ignore_index=True)

    def finish_panel(self, panel: Axes, rows: pd.DataFrame) -> None:
        """See `CurveFigure.finish_panel`."""
        powers_of_two(panel, rows["nfe"])


class TokensPerStep(CurveFigure):
    """One row a model and order: accuracy (Pass@1) and tokens per step, both with intervals; `family` is the order
    without its parameters. `confidence` is `parallel-1`. Further tokens per forward, and the AUP of each model and
    family (`flexeval.stats.nfe`, a fraction times tokens per forward), relative to the best accuracy on the task.

    Where a model was trained there is a panel for each recipe, which `recipe` names, with the model before it and the
    last checkpoint of each seed; so the rows of that model are there once for each recipe.
    """

    name = "tokens-per-step"
    title = "Accuracy over tokens per step"
    source = "paper, Figure 8"
    measured = True
    needs = (
        "runs of order eb with two values of gamma or more (eb:gamma=0.1, eb:gamma=1), or of parallel-2 and "
        "parallel-4, of one model or of two, alike in all else"
    )
    free = frozenset({"order", "model"})
    per = ("task",)
    x, by, series, height, bars = "tokens_per_step", ("task", "base", "recipe"), "series", 2.3, True
    columns = 2
    labels = ("tokens per step", "accuracy, %")

    def usable(self, group: RunSet) -> RunSet:
        """The runs of the models and families that have two or more; of a training, those of its last checkpoint."""
        paced = [run for run in group if _family(run) is not None]
        runs_of = Counter((run.model, _family(run)) for run in paced)
        several = RunSet(tuple(run for run in paced if runs_of[run.model, _family(run)] > 1))
        return RunSet(tuple(dict.fromkeys(run for panel in _panels(several) for run in panel.runs)))

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        point_of = {run: self._point(run) for run in group}
        for panel in _panels(group):
            for run in panel.runs:
                yield point_of[run].assign(base=panel.base, recipe=panel.recipe, stage=panel.stages[run.model])

    def _point(self, run: Run) -> pd.DataFrame:
        accuracy = interval(pass_at_k_table(run.counts(), [1]))[1]
        pace = tokens_per_step(token_rows(run), run.samples)
        row = {
            "family": _family(run),
            "tokens_per_step": pace.estimate,
            "tokens_per_step_low": pace.low,
            "tokens_per_step_high": pace.high,
            "tokens_per_forward": tokens_per_forward(run.samples).estimate,
            "estimate": accuracy.estimate,
            "low": accuracy.low,
            "high": accuracy.high,
        }
        return with_settings(pd.DataFrame([row]), run)

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        data = super().data(runs)
        best: dict[Any, float] = data.groupby("task")["estimate"].max().to_dict()
        aup = {
            (task, *method): accuracy_under_parallelism(
                list(own["tokens_per_forward"]), list(own["estimate"]), best=best[task]
            )
            for (task, *method), own in data.drop_duplicates(["task", "model", "order"]).groupby(_METHOD)
            if best[task] > 0
        }
        keys = data[_METHOD].itertuples(index=False, name=None)
        return data.assign(aup=[aup.get(key, float("nan")) for key in keys])

    def labelled(self, data: pd.DataFrame) -> pd.DataFrame:
        """See `CurveFigure.labelled`."""
        several = data["stage"].nunique() > 1
        return data.assign(series=data["family"] + ", " + data["stage"] if several else data["family"])

    def foot(self, data: pd.DataFrame) -> str:
        """See `Figure.foot`. It names the models before training, not each checkpoint."""
        orders = ", ".join(data["order"].unique())
        methods = data.drop_duplicates(_METHOD).dropna(subset="aup")
        tasks = data["task"].nunique() > 1
        named = [
            f"{row['model']}, {row['family']}{' on ' + row['task'] if tasks else ''} {100 * row['aup']:.0f}"
            for row in methods.to_dict("records")
        ]
        listed = f": {'; '.join(named)}" if len(named) <= _MOST_LISTED else " is a column of the data"
        aup = f" AUP (percent times tokens per forward, ICML 2026 d3LLM){listed}." if named else ""
        models = data["base"].where(data["base"] != "", data["model"])
        note = f"Orders {orders}. Bars are 95 % intervals (bootstrap over problems).{aup}"
        return foot(data.assign(model=models), note)


_METHOD = ["task", "model", "family"]
_MOST_LISTED = 8
"""Methods of which the small print gives the AUP."""


class _Panel(NamedTuple):
    """What stands together: a model before and after the trainings of one recipe, or models that nothing relates."""

    base: str
    """Empty for the latter."""
    recipe: str
    """Empty where there is nothing else."""
    stages: dict[str, str]
    """What each model is called."""
    runs: list[Run]


def _panels(runs: RunSet) -> list[_Panel]:
    """The panels of a task. Earlier checkpoints of a training are in none, where the model before it has runs."""
    found: dict[tuple[str, str], _Panel] = {}
    shown = set()
    for family in before_and_after(runs, by=_family):
        panel = found.setdefault(key := (family[0].model, recipe_of(family)), _Panel(*key, {}, []))
        panel.stages.update(stages(family))
        panel.runs.extend(family)
        shown.add((family[0].model, _family(family[0])))
    others = [run for run in runs if (run.lineage.base if run.lineage else run.model, _family(run)) not in shown]
    unrelated = _Panel("", "other models" if found else "", {run.model: run.model for run in others}, others)
    return [*found.values(), *([unrelated] if others else [])]


def _family(run: Run) -> str | None:
    """The order without its parameters; None for one that commits as many a step as the schedule says."""
    order = get_order(run.config.order)
    if order.name == "confidence":
        return "parallel-k"
    return order.name if order.own_pace else None
