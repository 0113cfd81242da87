"""`flexeval report`: one self-contained HTML page of stored runs, or a site of several."""

from __future__ import annotations

import argparse
from pathlib import Path

from flexeval.cli import options, stored_runs

EPILOG = """\
examples:
  flexeval report runs/forks/forks -o report.html
  flexeval report runs/forks/forks/ar-* runs/forks/forks/confidence-* -o two-orders.html
  flexeval report runs --bundle site         a page for each model and task, and an index

The page needs no network and no other file. Runs may be unfinished and may differ in task and settings. The runs of a
task are compared with its first run. Its headline is about one pair of runs of each task, alike but for their order: AR
order and another, where it is there. A folder of --bundle can be put on a web server or a Hugging Face Space as it is.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_stored_runs(parser)
    options.add_verdict(parser)
    where = parser.add_mutually_exclusive_group()
    options.add_out(where, metavar="FILE", kind=str, default="report.html", help="The page. [default: report.html]")
    where.add_argument(
        "--bundle", metavar="DIR", type=Path, help="Instead of one page: a folder with one for each model and task."
    )


def run(args: argparse.Namespace) -> int:
    """Read the runs and write the page or the pages."""
    from flexeval.cli import output
    from flexeval.cli.progress import stages
    from flexeval.report import write_bundle, write_report

    if args.bundle is not None:
        output.check_folder(args.bundle, what="the folder of reports")
        with stages("report") as say:
            say("reading runs")
            runs = stored_runs.read(args.runs).counting(args.verdict)
            written = write_bundle(runs, args.bundle, say=say)
        for path in written:
            print(path)
        return 0
    output.check_targets({"--out": args.out})
    with stages("report") as say:
        say("reading runs")
        write_report(stored_runs.read(args.runs).counting(args.verdict), Path(args.out), say=say)
    print(args.out)
    return 0
