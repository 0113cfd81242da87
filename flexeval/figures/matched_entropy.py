"""Pass@k with matched entropy: each order at the temperature where its mean commit entropy equals AR's.

Numbers are interpolated between two sampled temperatures, and never extrapolated beyond them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import pandas as pd

from flexeval.figures.pass_at_k import PassAtKFigure
from flexeval.figures.selection import Unavailable, at_fixed_pace, common_ks, token_rows
from flexeval.figures.settings import foot, with_settings
from flexeval.records import SamplingConfig
from flexeval.runs.store import Run, RunSet
from flexeval.stats.bootstrap import Bootstrap
from flexeval.stats.curves import OutOfReach, match_entropy, matched_pass_at_k
from flexeval.stats.entropy import entropy_table


class MatchedEntropy(PassAtKFigure):
    """One row an order and k; `temperature` is the matched one, between the sampled `lower` and `upper`."""

    name = "matched-entropy"
    title = "Pass@k at AR's mean commit entropy"
    source = "ours, after arXiv:2504.13837"
    measured = True
    needs = (
        "a run of order ar and runs of another order at temperatures on both sides of the one that gives AR's mean "
        "entropy, alike in all else"
    )
    free = frozenset({"order", "temperature"})
    series, height = "series", 2.2

    def usable(self, group: RunSet) -> RunSet:
        """The runs above temperature 0, if one is in AR order and two are of another order."""
        warm = RunSet(tuple(run for run in at_fixed_pace(group) if run.config.sampling.temperature > 0))
        others = [run.config.order for run in warm if run.config.order != "ar"]
        enough = len(warm.where(order="ar")) > 0 and len(set(others)) < len(others)
        return warm if enough else RunSet(())

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """Those of AR order and of each order that reaches its entropy; none when no other does."""
        usual = SamplingConfig().temperature
        reference = min(group.where(order="ar"), key=lambda run: abs(run.config.sampling.temperature - usual))
        target, ks = _mean_entropy(reference), common_ks(group)
        rows = [_rows([reference], target, ks)]
        for order in dict.fromkeys(run.config.order for run in group if run.config.order != "ar"):
            with contextlib.suppress(OutOfReach):
                rows.append(_rows(group.where(order=order), target, ks))
        return rows if len(rows) > 1 else []

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`. Orders whose temperatures do not reach AR's entropy are left out."""
        found = super().data(runs)
        if found.empty:
            raise Unavailable(f"figure {self.name!r} needs {self.needs}")
        return found

    def labelled(self, data: pd.DataFrame) -> pd.DataFrame:
        """See `CurveFigure.labelled`."""
        several = data["task"].nunique() * data["model"].nunique() > 1
        at = [f"{row.order} at T = {row.temperature:.2f}" for row in data.itertuples()]
        return data.assign(series=data["order"] if several else at)

    def foot(self, data: pd.DataFrame) -> str:
        """See `Figure.foot`. It tells where the orders were matched."""
        matched = data.drop_duplicates(["model", "task", "order"]).groupby(["model", "task"], sort=False)
        where = ". ".join(_matched_at(*rows.to_dict("records")) for _, rows in matched)
        return foot(data, f"{where}. {self.note}")


def _matched_at(ar: dict[Hashable, Any], *others: dict[Hashable, Any]) -> str:
    """Where the orders of a panel were matched, for the small print."""
    places = [f"{row['order']} {row['temperature']:.2f} ({row['lower']:g} to {row['upper']:g})" for row in others]
    return f"{ar['task']}: {ar['entropy']:.3f} nats at temperatures ar {ar['temperature']:g}, {', '.join(places)}"


def _rows(runs: Sequence[Run], target: float, ks: Sequence[int]) -> pd.DataFrame:
    """Pass@k of one order where its mean entropy is the target. Raises OutOfReach where it is nowhere."""
    by_temperature = {run.config.sampling.temperature: run for run in runs}
    entropies = {temperature: _mean_entropy(run) for temperature, run in by_temperature.items()}
    match = match_entropy(entropies, target)
    lower, upper = by_temperature[match.lower], by_temperature[match.upper]
    curve = matched_pass_at_k(lower.counts(), upper.counts(), match, ks)
    rows = with_settings(curve, lower).assign(entropy=target, lower=match.lower, upper=match.upper)
    return rows.assign(temperature=match.temperature)


def _mean_entropy(run: Run) -> float:
    """Nats at commit, over all text tokens."""
    table = entropy_table(
        token_rows(run, "in_text", "entropy"), quantities=["entropy"], bootstrap=Bootstrap(replicates=1)
    )
    return float(table["estimate"].iloc[0])
