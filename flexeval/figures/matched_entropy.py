"""Pass@k with matched entropy: each order at the temperature where its mean commit entropy is the same.

Numbers are interpolated between two sampled temperatures, and never extrapolated beyond them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from flexeval.figures.pass_at_k import PassAtKFigure
from flexeval.figures.selection import PAIR, Unavailable, at_fixed_pace, common_ks, token_rows
from flexeval.figures.settings import foot, with_settings
from flexeval.records import SamplingConfig
from flexeval.runs.store import Run, RunSet
from flexeval.stats.bootstrap import Bootstrap
from flexeval.stats.curves import Match, OutOfReach, match_entropy, matched_pass_at_k
from flexeval.stats.entropy import entropy_table

_USUAL = SamplingConfig().temperature


class MatchedEntropy(PassAtKFigure):
    """One row an order and k; `temperature` is the matched one, between the sampled `lower` and `upper`."""

    name = "matched-entropy"
    title = "Pass@k at equal mean commit entropy"
    source = "ours, after arXiv:2504.13837"
    measured = True
    needs = (
        "a run of order ar and runs of another order at temperatures on both sides of the one that gives the same mean "
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
        """Those of the orders that reach one entropy: that of a run in AR order, or else in arbitrary order.

        It is the first such run, from the usual temperature on, whose entropy both orders reach; else the first that
        AR order and another one reach. None where there is none.
        """
        by_order: dict[str, dict[float, Run]] = {}
        for run in group:
            by_order.setdefault(run.config.order, {})[run.config.sampling.temperature] = run
        entropies = {order: {at: _mean_entropy(run) for at, run in own.items()} for order, own in by_order.items()}
        reached = {
            target: _reached(entropies, target)
            for order in PAIR
            for _, target in sorted(entropies.get(order, {}).items(), key=lambda own: abs(own[0] - _USUAL))
        }
        both = [own for own in reached.items() if {*PAIR} <= {*own[1]}]
        ar = [own for own in reached.items() if "ar" in own[1] and len(own[1]) > 1]
        if not (candidates := both or ar):
            return []
        entropy, found = candidates[0]
        missed = ", ".join(order for order in by_order if order not in found)
        return [
            _rows(match, by_order[order], common_ks(group)).assign(entropy=entropy, missed=missed)
            for order, match in found.items()
        ]

    def data(self, runs: RunSet) -> pd.DataFrame:
        """See `Figure.data`. Orders whose temperatures do not reach the entropy are left out."""
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


def _matched_at(*orders: dict[Hashable, Any]) -> str:
    """Where the orders of a panel were matched, for the small print."""
    places = [
        f"{row['order']} {row['temperature']:.2f}"
        + (f" ({row['lower']:g} to {row['upper']:g})" if row["lower"] < row["upper"] else "")
        for row in orders
    ]
    first = orders[0]
    missed = f"; not in reach of {first['missed']}" if first["missed"] else ""
    return f"{first['task']}: {first['entropy']:.3f} nats at temperatures {', '.join(places)}{missed}"


def _reached(entropies: Mapping[str, Mapping[float, float]], target: float) -> dict[str, Match]:
    """Order -> where its mean entropy is the target; without the orders where it nowhere is."""
    found = {}
    for order, own in entropies.items():
        with contextlib.suppress(OutOfReach):
            found[order] = match_entropy(own, target)
    return found


def _rows(match: Match, runs: Mapping[float, Run], ks: Sequence[int]) -> pd.DataFrame:
    """Pass@k of one order where its mean entropy is the target."""
    lower, upper = runs[match.lower], runs[match.upper]
    curve = matched_pass_at_k(lower.counts(), upper.counts(), match, ks)
    rows = with_settings(curve, lower).assign(lower=match.lower, upper=match.upper)
    return rows.assign(temperature=match.temperature)


def _mean_entropy(run: Run) -> float:
    """Nats at commit, over all text tokens."""
    table = entropy_table(
        token_rows(run, "in_text", "entropy"), quantities=["entropy"], bootstrap=Bootstrap(replicates=1)
    )
    return float(table["estimate"].iloc[0])
