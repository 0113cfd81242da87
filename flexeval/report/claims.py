"""The section on claims: each with its source, what these runs say, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from flexeval.claims import Finding, findings_footer
from flexeval.report.page import Section, html
from flexeval.stats.intervals import p_value_text

_MARKS = {"holds": "✓", "does not hold": "✗", "unresolved": "?", "not measured": "–"}
_ABOUT = (
    "A claim holds, or does not hold, when the whole interval lies on one side of its bound at a level that is "
    "corrected for the number of claims. Otherwise it is unresolved."
)


def claims_section(findings: Sequence[Finding]) -> Section:
    """One row for each finding; those that were not measured are folded away."""
    count: Counter[str] = Counter(finding.verdict for finding in findings)
    body = html(
        "claims",
        counts=", ".join(f"{count[verdict]} {verdict}" for verdict in _MARKS if count[verdict]),
        measured=[finding for finding in findings if finding.verdict != "not measured"],
        missing=[finding for finding in findings if finding.verdict == "not measured"],
        marks=_MARKS,
        place=_place,
        p_value=p_value_text,
    )
    return Section(name="claims", title="Claims", about=" ".join([_ABOUT, *findings_footer(findings)]), parts=[body])


def _place(finding: Finding) -> str:
    """Model and task, before what was measured there."""
    where = ", ".join(filter(None, (finding.model, finding.task)))
    return f"{where}: " if where else ""
