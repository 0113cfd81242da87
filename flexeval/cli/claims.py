"""`flexeval claims`: what stored runs show of each claim of the literature."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flexeval.cli import formatting, options, stored_runs

if TYPE_CHECKING:
    from rich.table import Table

    from flexeval.claims import Finding
    from flexeval.claims.replicates import Replicated

EPILOG = """\
examples:
  flexeval claims runs/forks
  flexeval claims runs/forks --verdict sound --json claims.json
  flexeval claims runs/seed0 runs/seed1 runs/seed2 --replicates      the same training with three seeds
  flexeval ls claims                                      their names, and what they measure

A folder stands for all runs in it. The lines below the table say how verdicts are corrected for the number of claims,
and which runs they are not about. With --replicates each model has its own table, corrected by itself, and a claim is
one line: in how many models it holds, and the mean of what was measured. No model is needed.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_stored_runs(parser)
    options.add_verdict(parser)
    parser.add_argument(
        "--replicates",
        action="store_true",
        help="The models differ in the seed of their training only: set their claims side by side.",
    )
    options.add_files(parser.add_argument_group("output"), rows="one row for each claim, model and task")


def run(args: argparse.Namespace) -> int:
    """Read the runs, examine the claims, print and write."""
    from flexeval.claims import examine, findings_frame
    from flexeval.claims.replicates import replicate, replicates_frame
    from flexeval.cli import output

    output.check_targets({"--json": args.json, "--csv": args.csv})
    runs = stored_runs.read(args.runs).counting(args.verdict)
    if args.replicates:
        replicated = replicate(runs)
        frame, lines = replicates_frame(replicated), replicates_shown(replicated)
    else:
        findings = examine(runs)
        frame, lines = findings_frame(findings), shown(findings)
    output.deliver(args, lines, {"counted": args.verdict, "claims": formatting.json_rows(frame)}, frame)
    return 0


def shown(findings: Sequence[Finding]) -> Iterator[str | Table]:
    """The table of claims, and what stands below it."""
    from flexeval.claims import findings_footer
    from flexeval.cli.narrow import KeyedTable
    from flexeval.stats.intervals import p_value_text

    table = KeyedTable(records=True, show_lines=True, title="Claims", title_justify="left")
    for name in ("claim", "task", "measured", "reported", "built in?", "p", "verdict"):
        table.add_column(name, overflow="fold")
    for finding in findings:
        sentence = f"{finding.sentence}\n({finding.source})"
        p = "-" if finding.p_holm is None else p_value_text(finding.p_holm)
        beside = (finding.measured, finding.paper or "-", finding.built_in or "-", p)
        table.add_row(sentence, finding.task or "-", *beside, finding.verdict)
    yield table
    yield from findings_footer(findings)


def replicates_shown(replicated: Sequence[Replicated]) -> Iterator[str | Table]:
    """The table of replicates, and what stands below it."""
    from flexeval.claims.replicates import MEANS, replicates_table

    columns, *rows = replicates_table(replicated)
    yield formatting.table(columns, rows, right=["T"], keys=3)
    yield MEANS
