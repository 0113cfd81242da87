"""Pass@k with matched entropy: each order at the temperature where its mean commit entropy equals AR's.

Between two sampled temperatures everything is interpolated; beyond them nothing is said.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Drawing

from flexeval.figures.curve_panels import curve_panels
from flexeval.figures.figure import Figure, Unavailable
from flexeval.figures.pass_at_k import BAND_NOTE, pass_at_k_axes
from flexeval.figures.selection import at_fixed_pace, common_ks, framed, largest_groups, token_rows
from flexeval.figures.settings import foot, stated
from flexeval.plots.layout import finish
from flexeval.records import SamplingConfig
from flexeval.runs.store import Run, RunSet
from flexeval.stats.bootstrap import Bootstrap
from flexeval.stats.curves import OutOfReach, match_entropy, matched_pass_at_k
from flexeval.stats.entropy import entropy_table

_NEEDS = (
    "figure 'matched-entropy' needs a run of order ar and runs of another order at temperatures on both sides of "
    "the one that gives AR's mean entropy, alike in all else"
)


class MatchedEntropy(Figure):
    """One row an order and k; `temperature` is the matched one, between the sampled `lower` and `upper`."""

    name = "matched-entropy"
    title = "Pass@k at AR's mean commit entropy"
    source = "ours, after arXiv:2504.13837"

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`. Orders whose temperatures do not reach AR's entropy are left out."""
        groups = largest_groups(
            runs, free={"order", "temperature"}, usable=lambda group: _with_ar(at_fixed_pace(group)), missing=_NEEDS
        )
        found = framed(groups, _group)
        if found.empty:
            raise Unavailable(_NEEDS)
        return found

    def drawing(self, data: pd.DataFrame) -> Drawing:
        """See `Figure.drawing`."""
        several = data["task"].nunique() * data["model"].nunique() > 1
        at = [f"{row.order} at T = {row.temperature:.2f}" for row in data.itertuples()]
        labels = data["order"] if several else at
        figure, drawn = curve_panels(data.assign(series=labels), x="k", series="series", height=2.2)
        pass_at_k_axes(drawn)
        matched = data.drop_duplicates(["model", "task", "order"]).groupby(["model", "task"], sort=False)
        where = ". ".join(_said(*rows.to_dict("records")) for _, rows in matched)
        return finish(figure, title=self.title, foot=foot(data, f"{where}. {BAND_NOTE}"))


def _said(ar: dict[Hashable, Any], *others: dict[Hashable, Any]) -> str:
    """Where the orders of a panel were matched, for the small print."""
    places = [f"{row['order']} {row['temperature']:.2f} ({row['lower']:g} to {row['upper']:g})" for row in others]
    return f"{ar['task']}: {ar['entropy']:.3f} nats at temperatures ar {ar['temperature']:g}, {', '.join(places)}"


def _with_ar(group: RunSet) -> RunSet:
    """The group, if it has a run in AR order and two of another order above temperature 0."""
    warm = RunSet(tuple(run for run in group if run.config.sampling.temperature > 0))
    others = [run.config.order for run in warm if run.config.order != "ar"]
    enough = len(warm.where(order="ar")) > 0 and len(set(others)) < len(others)
    return warm if enough else RunSet(())


def _group(group: RunSet) -> list[pd.DataFrame]:
    """The rows of AR order and of each order that reaches its entropy; none when no other does."""
    usual = SamplingConfig().temperature
    reference = min(group.where(order="ar"), key=lambda run: abs(run.config.sampling.temperature - usual))
    target, ks = _mean_entropy(reference), common_ks(group)
    rows = [_rows([reference], target, ks)]
    for order in dict.fromkeys(run.config.order for run in group if run.config.order != "ar"):
        with contextlib.suppress(OutOfReach):
            rows.append(_rows(group.where(order=order), target, ks))
    return rows if len(rows) > 1 else []


def _rows(runs: Sequence[Run], target: float, ks: Sequence[int]) -> pd.DataFrame:
    """Pass@k of one order where its mean entropy is the target. Raises OutOfReach where it is nowhere."""
    by_temperature = {run.config.sampling.temperature: run for run in runs}
    entropies = {temperature: _mean_entropy(run) for temperature, run in by_temperature.items()}
    match = match_entropy(entropies, target)
    lower, upper = by_temperature[match.lower], by_temperature[match.upper]
    curve = matched_pass_at_k(lower.counts(), upper.counts(), match, ks)
    rows = stated(curve, lower).assign(entropy=target, lower=match.lower, upper=match.upper)
    return rows.assign(temperature=match.temperature)


def _mean_entropy(run: Run) -> float:
    """Nats at commit, over all text tokens."""
    table = entropy_table(
        token_rows(run, "in_text", "entropy"), quantities=["entropy"], bootstrap=Bootstrap(replicates=1)
    )
    return float(table["estimate"].iloc[0])
