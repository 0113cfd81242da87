"""What accuracy costs: orders at an equal number of evaluations, and accuracy over tokens per step (figure 8 of the
paper, which has the entropy-bounded order).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from flexeval.figures.curves import CurveFigure
from flexeval.figures.selection import PAIR, at_least, token_rows
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
    x, by, series, height, bars = "tokens_per_step", ("task",), "series", 2.3, True
    labels = ("tokens per step", "accuracy, %")

    def usable(self, group: RunSet) -> RunSet:
        """The runs of the models and families that have two or more."""
        paced = [run for run in group if _family(run) is not None]
        runs_of = Counter((run.model, _family(run)) for run in paced)
        return RunSet(tuple(run for run in paced if runs_of[run.model, _family(run)] > 1))

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        for run in group:
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
            yield with_settings(pd.DataFrame([row]), run)

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`."""
        data = super().data(runs)
        best: dict[Any, float] = data.groupby("task")["estimate"].max().to_dict()
        aup = {
            (task, *method): accuracy_under_parallelism(
                list(own["tokens_per_forward"]), list(own["estimate"]), best=best[task]
            )
            for (task, *method), own in data.groupby(["task", "model", "family"])
            if best[task] > 0
        }
        keys = zip(data["task"], data["model"], data["family"], strict=True)
        return data.assign(aup=[aup.get(key, float("nan")) for key in keys])

    def labelled(self, data: pd.DataFrame) -> pd.DataFrame:
        """See `CurveFigure.labelled`."""
        several = data["model"].nunique() > 1
        return data.assign(series=data["family"] + ", " + data["model"] if several else data["family"])

    def foot(self, data: pd.DataFrame) -> str:
        """See `Figure.foot`."""
        orders = ", ".join(data["order"].unique())
        methods = data.drop_duplicates(["task", "model", "family"]).dropna(subset="aup")
        tasks = data["task"].nunique() > 1
        named = [
            f"{row['model']}, {row['family']}{' on ' + row['task'] if tasks else ''} {100 * row['aup']:.0f}"
            for row in methods.to_dict("records")
        ]
        aup = f" AUP (percent times tokens per forward, ICML 2026 d3LLM): {'; '.join(named)}." if named else ""
        return foot(data, f"Orders {orders}. Bars are 95 % intervals (bootstrap over problems).{aup}")


def _family(run: Run) -> str | None:
    """The order without its parameters; None for one that commits as many a step as the schedule says."""
    order = get_order(run.config.order)
    if order.name == "confidence":
        return "parallel-k"
    return order.name if order.own_pace else None
