"""`flexeval report`: one self-contained HTML page of stored runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from flexeval.cli import options, stored_runs

EPILOG = """\
examples:
  flexeval report runs/tiny/word-problems -o report.html
  flexeval report runs/tiny/word-problems/ar-* runs/tiny/word-problems/confidence-* -o two-orders.html

The page needs no network and no other file. Runs may be unfinished and may differ in task and settings. The runs of a
task are compared with its first run.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_stored_runs(parser)
    options.add_verdict(parser)
    options.add_out(parser, metavar="FILE", kind=str, default="report.html", help="The page. [default: report.html]")


def run(args: argparse.Namespace) -> int:
    """Read the runs and write the page."""
    from flexeval.cli import output
    from flexeval.report import write_report

    output.check_targets({"--out": args.out})
    write_report(stored_runs.read(args.runs).counting(args.verdict), Path(args.out))
    print(args.out)
    return 0
