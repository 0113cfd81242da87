"""`flexeval report`: one self-contained HTML page of stored runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_EPILOG = """\
examples:
  flexeval report runs/tiny/word-problems -o report.html
  flexeval report runs/tiny/word-problems/ar-* runs/tiny/word-problems/confidence-* -o two-orders.html

The page needs no network and no other file. Runs may be unfinished, of several tasks and of any settings; the first
run of a task is what its others are compared with.
"""


def add_parser(verbs: Any) -> None:
    """Register the verb."""
    verbs.add_parser(
        "report",
        help="write a page: settings, Pass@k, coverage, entropy, bypass, claims, decodes to play",
        description="Write one self-contained HTML page of stored runs, with a viewer that plays decodes step by step.",
        epilog=_EPILOG,
        declare=_declare,
    )


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", type=Path, help="A run folder, or a folder of run folders at any depth."
    )
    parser.add_argument("-o", "--out", metavar="FILE", default="report.html", help="The page. [default: report.html]")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read the runs and write the page."""
    from flexeval.cli import output
    from flexeval.report import write_report
    from flexeval.runs.store import read_runs

    output.check_targets({"--out": args.out})
    write_report(read_runs(args.runs), Path(args.out))
    print(args.out)
    return 0
