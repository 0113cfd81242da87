"""Finished runs -> a folder of small files: tables of Pass@k and of claims, figures, report."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from flexeval import stats
from flexeval.claims import Finding, findings_frame, findings_markdown
from flexeval.records import SamplingConfig
from flexeval.runs.files import replace_file, to_json
from flexeval.runs.store import Run, RunSet

PASS_AT_K = "pass_at_k.csv"
CLAIMS = "claims"
FIGURES = "figures"
REPORT = "report.html"
_EVERY_RUN = ("gen_length", "block_length", "temperature", "seed")
"""Settings that the table has always; others only where they differ from their default."""


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
        of_run = [k for k in ks if k <= n] or stats.default_ks(n)
        summary = stats.summarize(run.config.order, run.counts(), run.samples["nfe"], run.effort, ks=of_run)
        frame = stats.summary_frame([summary]).drop(columns="order")
        for place, (name, value) in enumerate(_said(run, changed).items()):
            frame.insert(place, name, value)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def write_tables(runs: RunSet, findings: Sequence[Finding], out: Path, *, title: str, ks: Sequence[int]) -> None:
    """Write pass_at_k.csv, claims.csv, claims.json and claims.md. Raises OSError, old files untouched."""
    out.mkdir(parents=True, exist_ok=True)
    _write(out / PASS_AT_K, pass_at_k_frame(runs, ks).to_csv(index=False))
    frame = findings_frame(findings)
    _write(out / f"{CLAIMS}.csv", frame.to_csv(index=False))
    listed = [dataclasses.asdict(finding) for finding in findings]
    _write(out / f"{CLAIMS}.json", to_json({"claims": _without_nan(listed)}, indent=2) + "\n")
    _write(out / f"{CLAIMS}.md", f"# Claims: {title}\n\n{findings_markdown(findings)}\n{_RULE}")


def write_figures(runs: RunSet, out: Path) -> list[Path]:
    """Make every figure that these runs allow; the files."""
    from flexeval.figures import make_figures

    return make_figures(runs, out / FIGURES)


def write_report(runs: RunSet, out: Path) -> Path:
    """Write the page that holds everything; its path."""
    from flexeval.report import write_report as write_page

    path = out / REPORT
    write_page(runs, path)
    return path


_RULE = """\
A claim holds when the whole 95 % interval lies where the claim says, does not hold when all of it lies on the other
side, and is unresolved otherwise. "Not worse" has a stated margin. Intervals are over problems, paired where two orders
are compared. What each claim measures and where its bounds are stands in the docstrings of `flexeval.claims`.
"""


def _write(path: Path, text: str) -> None:
    replace_file(path, text.encode())


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


def _without_nan(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: None if value != value else value for key, value in row.items()} for row in rows]
