"""Pass@k of several orders as tables for a terminal and as JSON. Computes nothing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from flexeval.cli.stored import p_value
from flexeval.records import SamplingConfig
from flexeval.stats.intervals import interval_text
from flexeval.stats.summary import RunSummary, difference_frame, summary_frame

if TYPE_CHECKING:
    import pandas as pd

    from flexeval.runs.store import Run


_JUDGED = (
    "The band holds every difference of the table at once with 95 %, and verdicts are of the band. p is of the exact "
    "test of the problems that differ, each k by itself; where k = n it is McNemar's. Above 0.05 nothing is resolved."
)


def show(
    console: Console, runs: Sequence[Run], summaries: Sequence[RunSummary], differences: Sequence[pd.DataFrame]
) -> None:
    """Print the tables and, below them, what they are about.

    Args:
        console: where to.
        runs: one an order.
        summaries: of each run.
        differences: `flexeval.stats.curves.comparison` of each run but the first with the first.
    """
    level = next(iter(summaries[0].pass_at_k.values())).level
    console.print(f"Pass@k in percent, with {100 * level:g} % intervals over problems", soft_wrap=True)
    console.print(_pass_table(summaries))
    if differences:
        first = summaries[0].order
        console.print(f"Difference to {first} in percentage points, paired by problem, with a band", soft_wrap=True)
        console.print(_difference_table(summaries, differences))
        console.print(_JUDGED, soft_wrap=True)
    for line in (_setting(runs[0], summaries[0]), *map(_provenance, runs)):
        console.print(line, soft_wrap=True)


def as_json(
    runs: Sequence[Run], summaries: Sequence[RunSummary], differences: Sequence[pd.DataFrame]
) -> dict[str, Any]:
    """Settings, numbers and run folders as JSON values; units stand in the keys."""
    config, first = runs[0].config, summaries[0].order
    compared = zip(summaries[1:], differences, strict=True)
    return {
        "model": config.model,
        "task": config.task,
        "problems": summaries[0].problems,
        "num_samples": config.num_samples,
        "sampling": dataclasses.asdict(config.sampling),
        "runs": [
            {
                "order": run.config.order,
                "folder": str(run.folder),
                "device": run.record["environment"]["device"],
                "dtype": run.record["environment"]["dtype"],
            }
            for run in runs
        ],
        "pass_at_k": _rows(summary_frame(summaries)),
        "differences": [row for other, at in compared for row in _rows(difference_frame(other.order, first, at))],
    }


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as JSON objects; a missing number is null."""
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return rows


# ----- tables -----


def _pass_table(summaries: Sequence[RunSummary]) -> Table:
    table = Table()
    table.add_column("")
    for summary in summaries:
        table.add_column(summary.order, justify="right")
    for k in summaries[0].pass_at_k:
        table.add_row(f"pass@{k}", *(summary.pass_at_k[k].text(scale=100) for summary in summaries))
    table.add_section()
    table.add_row("NFE per sample", *(f"{summary.nfe:.1f}" for summary in summaries))
    table.add_row("canvases saved, %", *(_or_dash(summary.saved, scale=100) for summary in summaries))
    table.add_row("samples per second", *(_or_dash(summary.samples_per_second) for summary in summaries))
    return table


def _difference_table(summaries: Sequence[RunSummary], differences: Sequence[pd.DataFrame]) -> Table:
    first, *others = summaries
    table = Table()
    table.add_column("")
    for other in others:
        table.add_column(f"{other.order} − {first.order}", justify="right")
        table.add_column("p", justify="right")
        table.add_column("verdict")
    by_k = [compared.set_index("k").to_dict("index") for compared in differences]
    for k in first.pass_at_k:
        cells = [cell for at in by_k for cell in (_band(at[k]), p_value(at[k]["p_value"]), at[k]["verdict"])]
        table.add_row(f"pass@{k}", *cells)
    return table


def _band(row: dict[Any, Any]) -> str:
    return interval_text(row["difference"], row["band_low"], row["band_high"], "+.1f", scale=100)


def _or_dash(value: float | None, scale: float = 1) -> str:
    return "-" if value is None else f"{scale * value:.1f}"


# ----- what the tables are about -----


def _setting(run: Run, summary: RunSummary) -> str:
    sampling = run.config.sampling
    named = ("temperature", "gen_length", "block_length", "steps", "tokens_per_step", "seed")
    changed = [
        f"{field.name} {getattr(sampling, field.name)}"
        for field in dataclasses.fields(SamplingConfig)
        if field.name not in named and getattr(sampling, field.name) != field.default
    ]
    return ", ".join(
        [
            f"model {run.model}",
            f"task {run.config.task}",
            f"{summary.problems} problems",
            f"n = {run.config.num_samples}",
            f"T = {sampling.temperature:g}",
            f"gen_length {sampling.gen_length}",
            f"block_length {sampling.block}",
            _pace(sampling),
            f"seed {sampling.seed}",
            *changed,
        ]
    )


def _pace(sampling: SamplingConfig) -> str:
    if sampling.steps is not None:
        return f"{sampling.steps} steps"
    per_step = sampling.tokens_per_step or 1
    return f"{per_step} token{'s' if per_step > 1 else ''} per step unless the order decides"


def _provenance(run: Run) -> str:
    made = run.record["environment"]
    return f"{run.config.order}: {made['dtype']} on {made['device']}, {run.folder}"
