"""The numbers that papers published, for drawing them over measured ones.

Only where the setting is the same: model, benchmark, order, temperature and, unless it changes nothing, block length.
The files beside this one name the source of each number.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import PurePath

import pandas as pd

from flexeval.figures.settings import stated
from flexeval.registry import parse_spec
from flexeval.runs.store import Run

PAPER = "arXiv:2601.15165"
_WITHOUT_BLOCK = {"ar", "random"}
"""Orders whose published block length does not decide whether a number is overlaid: it changes nothing for AR order,
and is not stated for the random one."""


def published_pass_at_k(run: Run) -> pd.DataFrame:
    """The published Pass@k of a run's setting, with the run's settings before it.

    Returns:
        The stated settings, source, k, estimate (a fraction), low and high (NaN: no paper gives them). No rows where
        nothing is published. A table's number is preferred to one that was read off a plot, and "The Flexibility
        Trap" to papers that repeat its setting.
    """
    sampling = run.config.sampling
    rows = _of_run(_table("pass_at_k"), run)
    same = (rows["order"] == run.config.order) & (rows["temperature"] == sampling.temperature)
    if run.config.order not in _WITHOUT_BLOCK:
        same &= rows["block_length"] == sampling.block
    rows = rows[same]
    of_paper = rows["source"].str.startswith(PAPER)
    rows = rows[of_paper] if of_paper.any() else rows
    tables_first = rows.assign(read_off=rows["source"].str.contains("read off")).sort_values("read_off", kind="stable")
    rows = tables_first.drop_duplicates("k").sort_values("k")
    estimates = rows[["source", "k"]].assign(estimate=rows["pass_at_k_percent"] / 100, low=float("nan"))
    return stated(estimates.assign(high=float("nan")), run)


def published_coverage(run: Run) -> pd.DataFrame:
    """The published shares of problems that only AR order, and only the `confidence` order, solved.

    Returns:
        source, k (samples of each problem), ar_only, confidence_only (fractions). No rows where nothing is published.
    """
    rows = _of_run(_table("coverage"), run)
    return pd.DataFrame(
        {
            "source": rows["source"],
            "k": rows["k"],
            "ar_only": rows["ar_only_percent"] / 100,
            "confidence_only": rows["confidence_only_percent"] / 100,
        }
    ).reset_index(drop=True)


@cache
def _table(name: str) -> pd.DataFrame:
    with (files("flexeval.figures") / "paper" / f"{name}.csv").open(encoding="utf-8") as lines:
        return pd.read_csv(lines)


def _of_run(table: pd.DataFrame, run: Run) -> pd.DataFrame:
    """The rows of a run's model, whether it is called by its short name, hub id or folder, and of its task."""
    model = PurePath(run.config.model).name.lower()
    task, _ = parse_spec(run.config.task)
    return table[(table["model"].str.lower() == model) & (table["benchmark"] == task)]
