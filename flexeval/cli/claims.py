"""`flexeval claims`: what stored runs show of each claim of the literature."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flexeval.cli import formatting, options

if TYPE_CHECKING:
    from rich.table import Table

    from flexeval.claims import Finding

EPILOG = """\
examples:
  flexeval claims runs/tiny
  flexeval claims runs/tiny --verdict sound --json claims.json
  flexeval ls claims                                      their names, and what they measure

A folder stands for all runs in it. The lines below the table say how verdicts are corrected for the number of claims,
and which runs they are not about. No model is needed.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_stored_runs(parser)
    options.add_verdict(parser)
    options.add_files(parser.add_argument_group("output"), rows="one row for each claim, model and task")


def run(args: argparse.Namespace) -> int:
    """Read the runs, examine the claims, print and write."""
    from flexeval.claims import examine, findings_frame
    from flexeval.cli import output
    from flexeval.runs.store import read_runs

    output.check_targets({"--json": args.json, "--csv": args.csv})
    findings = examine(read_runs(args.runs).counting(args.verdict))
    frame = findings_frame(findings)
    content = {"counted": args.verdict, "claims": formatting.json_rows(frame)}
    output.deliver(args, shown(findings), content, frame)
    return 0


def shown(findings: Sequence[Finding]) -> Iterator[str | Table]:
    """The table of claims, and what stands below it."""
    from rich.table import Table

    from flexeval.claims import findings_footer
    from flexeval.stats.intervals import p_value_text

    table = Table(show_lines=True, title="Claims", title_justify="left")
    for name in ("claim", "task", "measured", "reported", "p", "verdict"):
        table.add_column(name, overflow="fold")
    for finding in findings:
        sentence = f"{finding.sentence}\n({finding.source})"
        p = "-" if finding.p_holm is None else p_value_text(finding.p_holm)
        table.add_row(sentence, finding.task or "-", finding.measured, finding.paper or "-", p, finding.verdict)
    yield table
    yield from findings_footer(findings)
