"""The section on claims: each with its source, what these runs say, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from flexeval.claims import Finding, findings_footer
from flexeval.report.groups import p_value
from flexeval.report.markup import Markup, element, escape, join
from flexeval.report.page import Section

_MARKS = {"holds": "✓", "does not hold": "✗", "unresolved": "?", "not measured": "–"}


def claims_section(findings: Sequence[Finding]) -> Section:
    """One row a finding; those that nothing was measured for are folded away."""
    about = element(
        "p",
        "A claim holds or does not hold when the whole interval lies on one side of its bound at a level that is "
        "corrected for the number of claims, and is unresolved otherwise.",
        *(element("span", f" {line}") for line in findings_footer(findings)),
    )
    count: Counter[str] = Counter(finding.verdict for finding in findings)
    total = element("p", ", ".join(f"{count[verdict]} {verdict}" for verdict in _MARKS if count[verdict]) + ".")
    measured = [finding for finding in findings if finding.verdict != "not measured"]
    missing = [finding for finding in findings if finding.verdict == "not measured"]
    parts = [about, total]
    if measured:
        parts.append(_findings(measured))
    if missing:
        lines = [
            element(
                "li",
                f"{one.sentence} ({one.source}). ",
                element("span", _place(one), f"{one.measured}.", class_="source"),
            )
            for one in missing
        ]
        summary = element("summary", f"Not measured: {len(missing)}")
        parts.append(element("details", summary, element("ul", *lines)))
    return Section(name="claims", title="Claims", body=join(parts))


def _findings(findings: Sequence[Finding]) -> Markup:
    head = element("tr", *(element("th", name, scope="col") for name in ("claim", "measured", "paper", "p", "verdict")))
    rows = [
        element(
            "tr",
            element("th", one.sentence, element("br"), element("span", one.source, class_="source"), scope="row"),
            element("td", _place(one), one.measured),
            element("td", one.paper or "–"),
            element("td", "–" if one.p_holm is None else p_value(one.p_holm)),
            element("td", f"{_MARKS[one.verdict]} {one.verdict}", class_=one.verdict.replace(" ", "-")),
        )
        for one in findings
    ]
    caption = element("caption", "What these runs say of each claim")
    whole = element("table", caption, element("thead", head), element("tbody", *rows), class_="claims")
    return element("div", whole, class_="scroll", role="region", tabindex=0, aria_label="Claims")


def _place(finding: Finding) -> Markup:
    """Model and task before what was measured there."""
    where = ", ".join(filter(None, (finding.model, finding.task)))
    return escape(f"{where}: " if where else "")
