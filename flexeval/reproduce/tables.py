"""Runs -> the table of Pass@k, as a frame and as Markdown."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from flexeval.records import SamplingConfig
from flexeval.runs.store import Run, RunSet
from flexeval.stats.intervals import interval_text
from flexeval.stats.pass_at_k import default_ks
from flexeval.stats.summary import summarize, summary_frame

_EVERY_RUN = ("gen_length", "block_length", "temperature", "seed")
"""Settings that the table has always; others only where they differ from their default."""
_TABLES = ["model", "task", "temperature"]
"""One table for each combination of these."""


def pass_at_k_frame(runs: RunSet, ks: Sequence[int]) -> pd.DataFrame:
    """One row a run and k: its settings, Pass@k with its interval in percent, NFE, canvases saved.

    Args:
        runs: complete.
        ks: where, as far as a run has samples; empty for the powers of two up to n, and n.
    """
    changed = _changed(runs)
    frames = []
    for run in runs:
        n = run.config.num_samples
        of_run = [k for k in ks if k <= n] or default_ks(n)
        summary = summarize(run.config.order, run.counts(), run.samples["nfe"], run.effort, ks=of_run)
        frame = summary_frame([summary]).drop(columns="order")
        for place, (name, value) in enumerate(_said(run, changed).items()):
            frame.insert(place, name, value)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def pass_at_k_markdown(frame: pd.DataFrame) -> str:
    """What `pass_at_k_frame` gives, a table for each model, task and temperature with one line a run.

    A setting that is the same in all runs of a table is left out; k are columns.
    """
    settings = [name for name in frame.columns[: frame.columns.get_loc("k")] if name not in _TABLES]
    parts = []
    for key, rows in frame.groupby(_TABLES, sort=False):
        told = ["order", *(name for name in settings if name != "order" and rows[name].nunique(dropna=False) > 1)]
        ks = sorted(rows["k"].unique())
        lines = [
            _line([*told, "problems", "n", *(f"@{k}" for k in ks), "NFE", "saved"]),
            _line(["---"] * (len(told) + len(ks) + 4)),
        ]
        for _, run in rows.groupby([*settings, "problems", "num_samples"], sort=False, dropna=False):
            first, at_k = run.iloc[0], {row.k: row for row in run.itertuples()}
            cells = [*(str(first[name]) for name in told), str(first["problems"]), str(first["num_samples"])]
            cells += [_interval(at_k[k]) if k in at_k else "" for k in ks]
            lines.append(
                _line(
                    [
                        *cells,
                        f"{first['nfe']:.1f}",
                        "" if pd.isna(first["saved_percent"]) else f"{first['saved_percent']:.0f}",
                    ]
                )
            )
        model, task, temperature = key
        parts.append(f"## {model}, {task}, T = {temperature:g}\n\n" + "".join(lines))
    return "\n".join(parts)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _interval(row: Any) -> str:
    return interval_text(row.pass_percent, row.low_percent, row.high_percent)


def _changed(runs: RunSet) -> list[str]:
    """Settings that are not at their default in some run, beside those that are always there."""
    defaults = SamplingConfig()
    named = [field.name for field in dataclasses.fields(SamplingConfig) if field.name not in _EVERY_RUN]
    return [
        name for name in named if any(getattr(run.config.sampling, name) != getattr(defaults, name) for run in runs)
    ]


def _said(run: Run, changed: Sequence[str]) -> dict[str, Any]:
    sampling = run.config.sampling
    return {
        "model": run.model,
        "task": run.config.task,
        "order": run.config.order,
        **{name: sampling.block if name == "block_length" else getattr(sampling, name) for name in _EVERY_RUN},
        **{name: getattr(sampling, name) for name in changed},
    }
