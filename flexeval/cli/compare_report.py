"""A comparison of two runs as tables for a terminal, as JSON and as rows. Computes nothing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from flexeval.cli import stored
from flexeval.cli.units import with_units
from flexeval.runs.store import RunSet, machine_differences
from flexeval.stats.curves import Crossing
from flexeval.stats.intervals import bounds_text, interval_text

_COMPARED = {"percent": ["a", "b"], "points": ["difference", "low", "high", "band_low", "band_high"]}
_OF_A_RUN = {"percent": ["estimate", "low", "high"]}
_CALLED = {"distinct_answers": "distinct answers", "distinct_texts": "distinct texts", "self_bleu": "self-BLEU"}

_JUDGED = (
    "The band holds all rows of its table at once with 95 %, and verdicts are of the band; of one row it is the "
    "interval. p is of the exact test of the problems that differ, each row by itself; at k = n it is McNemar's. Above "
    "0.05 nothing is resolved."
)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The first run (a) against the second (b); fractions, as `flexeval.stats.curves.comparison` gives them."""

    ks: list[int]
    """The grid of Pass@k and CoverageAUC."""
    pass_at_k: pd.DataFrame
    crossing: Crossing | None
    """None for a single k."""
    area: pd.DataFrame
    potential: pd.DataFrame
    """run, and the columns of `potential_at_k`."""
    pass_at_nfe: pd.DataFrame
    diversity: pd.DataFrame | None
    """None where it was not asked for."""
    extrapolation: pd.DataFrame | None
    """run, and the columns of `extrapolate`; None where it was not asked for."""


def show(console: Console, runs: RunSet, report: Comparison) -> None:
    """Print the tables and, below them, what they are about."""
    labels = runs.labels()
    console.print("Pass@k in percent; difference in points, paired by problem, with 95 % interval", soft_wrap=True)
    console.print(_table(report.pass_at_k, "pass@{}", labels))
    if report.crossing is not None:
        console.print(_crossing(report.crossing, labels, report.ks), soft_wrap=True)
    grid = ", ".join(map(str, report.ks))
    console.print(f"CoverageAUC in percent, over k = {grid}", soft_wrap=True)
    console.print(_table(report.area, "CoverageAUC", labels))
    if len(report.potential):
        console.print("Potential@k in percent: of single samples that fail, those that k samples save", soft_wrap=True)
        console.print(_by_run(report.potential, "Potential@{}", labels))
    console.print("pass@NFE in percent: solved within a budget of mask-predictor evaluations", soft_wrap=True)
    console.print(_table(report.pass_at_nfe, "NFE {}", labels))
    if report.diversity is not None:
        console.print("Diversity in percent: distinct ones among the samples of a problem; self-BLEU", soft_wrap=True)
        console.print(_table(report.diversity.replace({"measure": _CALLED}), "{}", labels))
    if report.extrapolation is not None:
        console.print(
            "EXTRAPOLATED Pass@k in percent, by a beta-binomial fit from n on: it leans on a shape of the problems' "
            "chances that n samples hardly see, and its intervals do not cover a wrong shape",
            soft_wrap=True,
        )
        console.print(_by_run(report.extrapolation, "fitted pass@{}", labels))
    console.print(_JUDGED, soft_wrap=True)
    for line in stored.introduction(labels, runs):
        console.print(line, soft_wrap=True)
    if difference := _machines(runs):
        console.print(difference, soft_wrap=True)


def as_json(runs: RunSet, report: Comparison) -> dict[str, Any]:
    """All of it as JSON values. A bound of the crossing beyond the largest k is null."""
    diversity, extrapolation = report.diversity, report.extrapolation
    return {
        "runs": stored.about(runs.labels(), runs),
        "machines": _machines(runs),
        "pass_at_k": stored.records(with_units(report.pass_at_k, **_COMPARED)),
        "crossing": None if report.crossing is None else _crossing_row(report.crossing),
        "coverage_auc": {"ks": report.ks, **stored.records(with_units(report.area, **_COMPARED))[0]},
        "potential_at_k": stored.records(with_units(report.potential, **_OF_A_RUN)),
        "pass_at_nfe": stored.records(with_units(report.pass_at_nfe, **_COMPARED)),
        "diversity": None if diversity is None else stored.records(with_units(diversity, **_COMPARED)),
        "extrapolation": None if extrapolation is None else stored.records(with_units(extrapolation, **_OF_A_RUN)),
    }


def rows(report: Comparison) -> pd.DataFrame:
    """All differences under each other: measure, at (k or evaluations), and the columns of `comparison`."""
    parts = {"pass_at_k": report.pass_at_k, "coverage_auc": report.area, "pass_at_nfe": report.pass_at_nfe}
    tables = []
    for measure, frame in parts.items():
        table = frame.rename(columns={frame.columns[0]: "at"})
        table["at"] = pd.to_numeric(table["at"], errors="coerce").astype("Int64")
        table.insert(0, "measure", measure)
        tables.append(table)
    if report.diversity is not None:
        tables.append(report.diversity)
    return with_units(pd.concat(tables, ignore_index=True), **_COMPARED)


def _machines(runs: RunSet) -> str | None:
    return machine_differences([environment for run in runs for environment in run.environments])


def _crossing_row(crossing: Crossing) -> dict[str, Any]:
    row = {name: None if value == math.inf else value for name, value in dataclasses.asdict(crossing).items()}
    del row["share"]
    return {**row, "share_percent": 100 * crossing.share}


def _table(frame: pd.DataFrame, name: str, labels: Sequence[str]) -> Table:
    """One row a column of the comparison; the band where it spans several."""
    table = Table("", *labels, " − ".join(labels))
    if len(frame) > 1:
        table.add_column("band over all")
    table.add_column("p", justify="right")
    table.add_column("verdict")
    for label, row in zip(frame.iloc[:, 0], frame.to_dict("records"), strict=True):
        cells = [name.format(label), f"{100 * row['a']:.1f}", f"{100 * row['b']:.1f}"]
        cells.append(interval_text(row["difference"], row["low"], row["high"], "+.1f", scale=100))
        if len(frame) > 1:
            cells.append(bounds_text(row["band_low"], row["band_high"], "+.1f", scale=100))
        table.add_row(*cells, stored.p_value(row["p_value"]), row["verdict"])
    return table


def _by_run(frame: pd.DataFrame, name: str, labels: Sequence[str]) -> Table:
    """One row a k, one column a run."""
    table = Table("", *labels)
    for k, of_k in frame.groupby("k", sort=True):
        table.add_row(name.format(k), *map(_estimate, of_k.to_dict("records")))
    return table


def _estimate(row: dict[Any, Any]) -> str:
    if math.isnan(row["estimate"]):
        return "-"
    return interval_text(row["estimate"], row["low"], row["high"], scale=100)


def _crossing(crossing: Crossing, labels: Sequence[str], ks: Sequence[int]) -> str:
    resamples = f"{100 * crossing.share:.0f} % of the resamples"
    if crossing.leader is None:
        return f"No crossing: the runs tie at k = {ks[0]}"
    leader, other = labels if crossing.leader == "a" else reversed(labels)
    if crossing.k_star is None or crossing.low is None or crossing.high is None:
        return f"No crossing: {leader} leads at k = {ks[0]} and is not overtaken by k = {ks[-1]} (it is in {resamples})"
    low = f"{crossing.low:.1f}" if crossing.low > 0 else f"below {ks[0]}"
    high = f"{crossing.high:.1f}" if math.isfinite(crossing.high) else f"beyond {ks[-1]}"
    return f"{other} overtakes {leader} at k* = {crossing.k_star:.1f} [{low}, {high}]; it does in {resamples}"
