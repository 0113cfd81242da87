"""Findings as a frame, as a Markdown table, and what stands below it. Computes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pandas as pd

from flexeval.claims.claim import Finding
from flexeval.claims.verdict import LEVEL

_HEADINGS = ("Claim", "Source", "Task", "Measured", "Reported", "p", "Verdict")


def findings_frame(findings: Sequence[Finding]) -> pd.DataFrame:
    """One row a finding, one column a field of `Finding`; fractions and nats."""
    fields = [field.name for field in dataclasses.fields(Finding)]
    return pd.DataFrame([dataclasses.asdict(finding) for finding in findings], columns=fields)


def findings_markdown(findings: Sequence[Finding]) -> str:
    """The claims table and what stands below it. A finding without a model is of no task that was run."""
    models = {finding.model for finding in findings if finding.model}
    rows = [_HEADINGS, ("---",) * len(_HEADINGS)]
    for finding in findings:
        where = f"{finding.task} ({finding.model})" if len(models) > 1 else finding.task
        p = "" if finding.p_holm is None else f"{finding.p_holm:.2g}"
        told = (finding.sentence, finding.source, where, finding.measured, finding.paper, p)
        cells = (*told, f"**{finding.verdict}**")
        rows.append(tuple("–" if not cell else cell.replace("|", "\\|") for cell in cells))
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return table + "".join(f"\n{line}\n" for line in findings_footer(findings))


def findings_footer(findings: Sequence[Finding]) -> list[str]:
    """What stands below a table of findings: how its verdicts are corrected, and which runs they are not about."""
    measured = sum(finding.p_holm is not None for finding in findings)
    lines = [
        f"Verdicts are corrected for the {measured} claims that were measured: p is by Holm's step-down over these, "
        f"and a claim whose p is above {LEVEL:g} is unresolved, also where its interval by itself excludes the bound."
    ]
    lines += dict.fromkeys(finding.left_out for finding in findings if finding.left_out)
    return lines if measured else lines[1:]
