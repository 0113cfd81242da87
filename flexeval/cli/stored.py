"""What the verbs that look at stored runs share: their arguments, and how a run is introduced."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from flexeval.runs.store import Run


def add_runs(parser: argparse.ArgumentParser) -> None:
    """RUN..."""
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", type=Path, help="A run folder, or a folder that holds run folders."
    )


def add_output(parser: argparse.ArgumentParser, *, rows: str) -> None:
    """--json and --csv; `rows` says what a line of the latter is."""
    output = parser.add_argument_group("output")
    output.add_argument("--json", metavar="FILE", help="Also write all numbers as JSON; - for stdout.")
    output.add_argument("--csv", metavar="FILE", help=f"Also write {rows}.")


def about(labels: Sequence[str], runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Each run's settings as JSON values."""
    return [
        {
            "run": label,
            "folder": str(run.folder),
            "model": run.model,
            "task": run.config.task,
            "order": run.config.order,
            "temperature": run.config.sampling.temperature,
            "block_length": run.config.sampling.block,
            "gen_length": run.config.sampling.gen_length,
            "seed": run.config.sampling.seed,
            "problems": len(run.problems),
            "samples": len(run.samples),
        }
        for label, run in zip(labels, runs, strict=True)
    ]


def introduction(labels: Sequence[str], runs: Sequence[Run]) -> list[str]:
    """A line a run: what the tables are about."""
    return [
        f"{row['run']}: model {row['model']}, task {row['task']}, {row['problems']} problems, "
        f"{row['samples']} samples, T = {row['temperature']:g}, gen_length {row['gen_length']}, "
        f"block_length {row['block_length']}, seed {row['seed']}, {row['folder']}"
        for row in about(labels, runs)
    ]


def named(label: str, table: pd.DataFrame) -> pd.DataFrame:
    """A run's table with the run in its first column."""
    table = table.copy()
    table.insert(0, "run", label)
    return table


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as JSON objects; a missing number is null."""
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return rows


def p_value(p: float) -> str:
    """A p-value, as far as it says something."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
