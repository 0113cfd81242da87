"""Findings as a frame and as a Markdown table. Computes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pandas as pd

from flexeval.claims.claim import Finding

_HEADINGS = ("Claim", "Source", "Task", "Measured", "Reported", "Verdict")


def findings_frame(findings: Sequence[Finding]) -> pd.DataFrame:
    """One row a finding, one column a field of `Finding`; fractions and nats."""
    fields = [field.name for field in dataclasses.fields(Finding)]
    return pd.DataFrame([dataclasses.asdict(finding) for finding in findings], columns=fields)


def findings_markdown(findings: Sequence[Finding]) -> str:
    """The claims table. A finding without a model is of no task that was run."""
    models = {finding.model for finding in findings if finding.model}
    rows = [_HEADINGS, ("---",) * len(_HEADINGS)]
    for finding in findings:
        where = f"{finding.task} ({finding.model})" if len(models) > 1 else finding.task
        cells = (finding.sentence, finding.source, where, finding.measured, finding.paper, f"**{finding.verdict}**")
        rows.append(tuple("–" if not cell else cell.replace("|", "\\|") for cell in cells))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
