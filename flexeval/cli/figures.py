"""`flexeval figures`: the paper's figures, and ours, from stored runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from flexeval.cli import options

_EPILOG = """\
examples:
  flexeval figures runs/tiny                              every figure that these runs suffice for
  flexeval figures runs/tiny -o figures --only pass-at-k --only coverage
  flexeval ls figures                                     their names, and what they show

A folder stands for all runs in it. Each figure takes the largest group of runs that differ in nothing but what it
compares, and comes as NAME.png, NAME.pdf and NAME.csv, the numbers behind it. Needs no model.
"""


def add_parser(verbs: Any) -> None:
    """Register the verb."""
    verbs.add_parser(
        "figures",
        help="draw the paper's figures from stored runs",
        description="Draw figures from stored runs, with intervals, as PNG, PDF and CSV.",
        epilog=_EPILOG,
        declare=_declare,
    )


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="A run folder, or a folder of them.")
    parser.add_argument(
        "-o", "--out", metavar="DIR", type=Path, default=Path("figures"), help="Where to. [default: figures]"
    )
    parser.add_argument(
        "--only", metavar="NAME", action="append", help="This figure. May be given several times. [default: all]"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read the runs, draw, and print the path of each file."""
    from flexeval.figures import FIGURES
    from flexeval.figures.make import make_figures
    from flexeval.runs.store import read_runs

    names = None if args.only is None else [FIGURES.canonical(name) for name in args.only]
    options.check_folder(args.out, what="the folder of figures")
    for path in make_figures(read_runs(args.runs), args.out, names):
        print(path)
    return 0
