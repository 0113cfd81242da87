"""Finished runs -> a folder of small files: tables of Pass@k and of claims, figures, report."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flexeval.claims import Finding, findings_frame, findings_markdown
from flexeval.reproduce.tables import pass_at_k_frame, pass_at_k_markdown
from flexeval.runs.files import to_json
from flexeval.runs.store import RunSet
from flexeval.runs.target import write_target

PASS_AT_K = "pass_at_k"
CLAIMS = "claims"
FIGURES = "figures"
REPORT = "report.html"


def write_tables(runs: RunSet, findings: Sequence[Finding], out: Path, *, title: str, ks: Sequence[int]) -> None:
    """Write pass_at_k.csv and .md, claims.csv, .json and .md. Raises OSError, old files untouched."""
    out.mkdir(parents=True, exist_ok=True)
    table = pass_at_k_frame(runs, ks)
    _write(out / f"{PASS_AT_K}.csv", table.to_csv(index=False))
    _write(out / f"{PASS_AT_K}.md", f"# Pass@k: {title}\n\n{_UNITS}\n{pass_at_k_markdown(table)}")
    _write(out / f"{CLAIMS}.csv", findings_frame(findings).to_csv(index=False))
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


_UNITS = """\
Pass@k in percent with its 95 % interval (bootstrap over problems); NFE are evaluations of the model a sample, "saved"
is the share of them that equal canvases of other samples made unnecessary, in percent.
"""
_RULE = """\
A claim holds when the whole interval lies where the claim says, does not hold when all of it lies on the other side,
and is unresolved otherwise; the intervals printed are of 95 %, verdicts are at a level corrected for the number of
claims. "Not worse" has a stated margin. Intervals are over problems, paired where two orders are compared, and a
difference from 0 must also pass the exact test of the problems that differ. What each claim measures and where its
bounds are stands in the docstrings of `flexeval.claims`.
"""


def _write(path: Path, text: str) -> None:
    write_target(path, text.encode())


def _without_nan(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: None if value != value else value for key, value in row.items()} for row in rows]
