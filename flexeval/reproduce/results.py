"""Finished runs -> a folder of small files: tables of Pass@k and of claims, as CSV, JSON and Markdown."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from flexeval.claims import Finding, findings_frame, findings_markdown
from flexeval.claims.replicates import MEANS, Replicated, replicates_frame, replicates_table
from flexeval.records import CORRECT, SamplingConfig
from flexeval.runs.files import to_json
from flexeval.runs.store import Run, RunSet
from flexeval.runs.target import write_target
from flexeval.stats.intervals import interval_text
from flexeval.stats.pass_at_k import default_ks
from flexeval.stats.summary import summarize, summary_frame

PASS_AT_K = "pass_at_k"
CLAIMS = "claims"
REPLICATES = "replicates"
FIGURES = "figures"
REPORT = "report.html"
"""The names in a folder of results; tables come with several endings."""

_UNITS = """\
Pass@k in percent with its 95 % interval (bootstrap over problems). NFE: evaluations of the model a sample. TPF: tokens
of the texts over evaluations, both summed. "saved": the share of the evaluations that equal canvases of other samples
made unnecessary, in percent. A column with the name of another verdict ("sound"): the share of samples that it is true
of, in percent; that of correct ones is Pass@1.
"""
_RULE = """\
A claim holds when the whole interval lies where the claim says, does not hold when all of it lies on the other side,
and is unresolved otherwise. The intervals printed are of 95 %; verdicts are at a level corrected for the number of
claims. "Not worse" has a stated margin. Intervals are over problems, paired where two orders are compared, and a
difference from 0 must also pass the exact test of the problems that differ. The docstrings of `flexeval.claims` state
what each claim measures and where its bounds are.
"""
_EVERY_RUN = ("gen_length", "block_length", "temperature", "seed")
"""Settings that the table has always; others only where they differ from their default."""
_TABLES = ["model", "task", "temperature", "counted"]
"""One table for each combination of these."""
_SHARE = "_of_samples_percent"
"""The end of the columns with shares of other verdicts."""


def write_tables(runs: RunSet, findings: Sequence[Finding], out: str | Path, *, title: str, ks: Sequence[int]) -> None:
    """Write pass_at_k.csv and .md, claims.csv, .json and .md. Raises OSError, old files untouched."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    table = pass_at_k_frame(runs, ks)
    _write(out / f"{PASS_AT_K}.csv", table.to_csv(index=False))
    _write(out / f"{PASS_AT_K}.md", f"# Pass@k: {title}\n\n{_UNITS}\n{pass_at_k_markdown(table)}")
    write_claims(findings, out, title=title)


def write_claims(findings: Sequence[Finding], out: str | Path, *, title: str, name: str = CLAIMS) -> None:
    """Write the claims as `name`.csv, .json and .md. Raises OSError, old files untouched."""
    out = Path(out)
    _write(out / f"{name}.csv", findings_frame(findings).to_csv(index=False))
    listed = [dataclasses.asdict(finding) for finding in findings]
    _write(out / f"{name}.json", to_json({"claims": _without_nan(listed)}, indent=2) + "\n")
    _write(out / f"{name}.md", f"# Claims: {title}\n\n{findings_markdown(findings)}\n{_RULE}")


def write_replicates(replicated: Sequence[Replicated], out: str | Path, *, title: str, name: str = REPLICATES) -> None:
    """Write the replicates of claims as `name`.csv and .md. Raises OSError, old files untouched."""
    out = Path(out)
    _write(out / f"{name}.csv", replicates_frame(replicated).to_csv(index=False))
    heading, *lines = replicates_table(replicated)
    table = "".join(map(_line, [heading, ["---"] * len(heading), *lines]))
    _write(out / f"{name}.md", f"# Claims, training by training: {title}\n\n{table}\n{MEANS}\n")


def pass_at_k_frame(runs: RunSet, ks: Sequence[int]) -> pd.DataFrame:
    """One row a run and k: its settings, Pass@k with its interval in percent, NFE, tokens per forward, canvases saved;
    also the shares of samples, in percent, that other verdicts than the one that counts are true of.

    Args:
        runs: complete.
        ks: where, as far as a run has samples; empty for the powers of two up to n, and n.
    """
    changed = _changed(runs)
    frames = []
    for label, run in zip(runs.labels(), runs, strict=True):
        n = run.config.num_samples
        of_run = [k for k in ks if k <= n] or default_ks(n)
        summary = summarize(run.config.order, run.counts(), run.samples, run.effort, ks=of_run)
        frame = summary_frame([summary]).drop(columns="order")
        for name, number in run.tally().items():
            if name != run.counted:
                frame[f"{name}{_SHARE}"] = 100 * number / len(run.samples)
        for place, (name, value) in enumerate({"run": label, **_settings(run, changed)}.items()):
            frame.insert(place, name, value)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def pass_at_k_markdown(frame: pd.DataFrame) -> str:
    """What `pass_at_k_frame` gives, a table for each model, task and temperature with one line a run.

    A setting that is the same in all runs of a table is left out; k are columns.
    """
    settings = [name for name in frame.columns[: frame.columns.get_loc("k")] if name not in ("run", *_TABLES)]
    shares = [name for name in frame.columns if name.endswith(_SHARE)]
    parts = []
    for key, rows in frame.groupby(_TABLES, sort=False):
        columns = ["order", *(name for name in settings if name != "order" and rows[name].nunique(dropna=False) > 1)]
        ks = sorted(rows["k"].unique())
        others = [name for name in shares if rows[name].notna().any()]
        titles = [*columns, "problems", "n", *(f"@{k}" for k in ks)]
        titles += [*(name.removesuffix(_SHARE) for name in others), "NFE", "TPF", "saved"]
        lines = [_line(titles), _line(["---"] * len(titles))]
        for _, run in rows.groupby([*settings, "problems", "num_samples"], sort=False, dropna=False):
            first, at_k = run.iloc[0], {row.k: row for row in run.itertuples()}
            cells = [str(first[name]) for name in (*columns, "problems", "num_samples")]
            cells += [_interval(at_k[k]) if k in at_k else "" for k in ks]
            cells += ["" if pd.isna(first[name]) else f"{first[name]:.1f}" for name in others]
            saved = "" if pd.isna(first["saved_percent"]) else f"{first['saved_percent']:.0f}"
            lines.append(_line([*cells, f"{first['nfe']:.1f}", f"{first['tokens_per_forward']:.2f}", saved]))
        model, task, temperature, counted = key
        by = "" if counted == CORRECT else f", counted: {counted}"
        parts.append(f"## {model}, {task}, T = {temperature:g}{by}\n\n" + "".join(lines))
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


def _settings(run: Run, changed: Sequence[str]) -> dict[str, Any]:
    sampling = run.config.sampling
    return {
        "model": run.model,
        "task": run.config.task,
        "order": run.config.order,
        **{name: sampling.block if name == "block_length" else getattr(sampling, name) for name in _EVERY_RUN},
        **{name: getattr(sampling, name) for name in changed},
        "counted": run.counted,
    }


def _write(path: Path, text: str) -> None:
    write_target(path, text.encode())


def _without_nan(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: None if value != value else value for key, value in row.items()} for row in rows]
