"""The settings that every figure states: beside each number in its data, and in words at its foot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from flexeval.runs.store import Run, seeds

MEASURED = "measured"
"""The `source` of rows that come from the runs; others name the publication that they come from."""
NO_BREAK = "\N{NO-BREAK SPACE}"
STATED = ("model", "task", "order", "temperature", "gen_length", "block_length", "num_samples", "problems", "seed")
"""The columns that say which run a row is of."""


def stated(rows: pd.DataFrame, run: Run) -> pd.DataFrame:
    """The rows with the settings of their run before them."""
    sampling = run.config.sampling
    values = {
        "model": run.model,
        "task": run.config.task,
        "order": run.config.order,
        "temperature": sampling.temperature,
        "gen_length": sampling.gen_length,
        "block_length": sampling.block,
        "num_samples": run.config.num_samples,
        "problems": len(run.problems),
        "seed": seeds(run),
    }
    rows = rows.reset_index(drop=True)
    return pd.concat([pd.DataFrame(values, index=rows.index, columns=list(STATED)), rows], axis=1)


def foot(data: pd.DataFrame, note: str) -> str:
    """The small print: the settings of the measured rows, then what intervals and marks mean.

    A setting with several values is given as a list, or as a range when it is long. The block length of AR order is
    left out beside other orders, since it changes nothing there. What could have been shown instead is told last.
    """
    rows = data[data["source"] == MEASURED] if "source" in data else data
    others = rows[rows["order"] != "ar"]
    blocks = others if len(others) else rows
    names = f"model {_values(rows['model'], str)}, task {_values(rows['task'], str)}"
    numbers = [
        f"n = {_values(rows['num_samples'])}",
        f"{_values(rows['problems'])} problems",
        f"T = {_values(rows['temperature'])}",
        f"block {_values(blocks['block_length'])}",
        f"length {_values(rows['gen_length'])}",
        f"seed {_values(rows['seed'].astype(str), str)}",
    ]
    # No line break inside a number's part, nor between a number and its unit.
    held = ", ".join(part.replace(" ", NO_BREAK) for part in numbers)
    return f"{names}, {held}.\n{note.replace(' %', NO_BREAK + '%')}{_left_out(data)}"


def _left_out(data: pd.DataFrame) -> str:
    """The line on runs that are not shown; empty where all are."""
    told = [part for part in data["left_out"].unique() if part] if "left_out" in data else []
    return f"\nNot shown: {'; '.join(told)}." if told else ""


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _values(column: pd.Series[Any], write: Callable[[Any], str] = _number) -> str:
    values = list(dict.fromkeys(write(value) for value in sorted(column.unique())))
    if len(values) > 6 and write is _number:
        return f"{values[0]} to {values[-1]}"
    *before, last = values
    return f"{', '.join(before)} and {last}" if before else last
