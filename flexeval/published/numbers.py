"""Published Pass@k and coverage for the runs that they may be compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd

from flexeval.published.comparable import benchmark, differing, is_model
from flexeval.runs.store import Run

PAPER = "arXiv:2601.15165"


@dataclass(frozen=True, kw_only=True, eq=False)
class Published:
    """What is published in the setting of some runs."""

    rows: pd.DataFrame
    """The rows of the file that agree in every setting."""
    why_none: str = ""
    """How the nearest published setting differs; empty if a row agrees, or if the model has no published numbers."""


def pass_at_k(run: Run) -> Published:
    """The published Pass@k of a run's setting: one row a k, ascending, with `source` and `pass_at_k_percent`.

    A table's number is preferred to one that was read off a plot, and "The Flexibility Trap" to papers that repeat its
    setting.
    """
    table = _table("pass_at_k")
    found = _of_setting(table[table["order"] == run.config.order], run, lambda row: differing(run, row))
    of_paper = found.rows["source"].str.startswith(PAPER)
    rows = found.rows[of_paper] if of_paper.any() else found.rows
    tables_first = rows.assign(read_off=rows["source"].str.contains("read off")).sort_values("read_off", kind="stable")
    best = tables_first.drop_duplicates("k").sort_values("k").drop(columns="read_off")
    return Published(rows=best.reset_index(drop=True), why_none=found.why_none)


def coverage(ar: Run, arbitrary: Run) -> Published:
    """The published shares of problems that only AR order, and only the `confidence` order, solved.

    Args:
        ar, arbitrary: the two runs as they are compared, on the same problems with equally many samples: a problem
            counts as solved by one of k samples, so that k has to agree, too.

    Returns:
        At most one row, with `source`, `k`, `ar_only_percent` and `confidence_only_percent`.
    """

    def different(row: Mapping[str, Any]) -> list[str]:
        found = differing(ar, {**row, "order": "ar"}) + differing(arbitrary, {**row, "order": "confidence"})
        drawn = {int(n) for run in (ar, arbitrary) for n in run.counts()["n"].unique()}
        if drawn != {row["k"]}:
            found.append(f"num_samples {', '.join(map(str, sorted(drawn)))} (published {row['k']})")
        return list(dict.fromkeys(found))

    return _of_setting(_table("coverage"), arbitrary, different)


def _of_setting(table: pd.DataFrame, run: Run, different: Callable[[Mapping[str, Any]], list[str]]) -> Published:
    of_model = table[table["model"].map(lambda name: is_model(run, name)).astype(bool)]
    rows = of_model[of_model["benchmark"] == benchmark(run)]
    if rows.empty:
        why = f"none for {benchmark(run)}" if len(of_model) else ""
        return Published(rows=rows, why_none=why)
    found = [different({str(name): value for name, value in row.items()}) for row in rows.to_dict("records")]
    nearest = min(found, key=len)
    return Published(rows=rows[pd.Series(found, index=rows.index).map(len) == 0], why_none=", ".join(nearest))


@cache
def _table(name: str) -> pd.DataFrame:
    with (files("flexeval.published") / f"{name}.csv").open(encoding="utf-8") as lines:
        return pd.read_csv(lines)
