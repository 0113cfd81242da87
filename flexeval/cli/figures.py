"""`flexeval figures`: the paper's figures, and ours, from stored runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from flexeval.cli import options, stored_runs

EPILOG = """\
examples:
  flexeval figures runs/forks                              every figure that these runs suffice for
  flexeval figures runs/forks -o figures --only pass-at-k --only coverage
  flexeval figures runs/a runs/b --compare model          two models, or a model and its checkpoints, in one panel
  flexeval figures runs/forks --format html                pages that show values and intervals under the pointer
  flexeval ls figures                                     their names, and what they show

A folder stands for all runs in it. Each figure takes one group of runs that differ only in what it compares: at the
paper's settings where there is one, else the largest. It is written as NAME.png and NAME.pdf, with its numbers in
NAME.csv. No model is needed.
"""
FORMATS = ("png", "pdf", "csv", "html")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_stored_runs(parser)
    options.add_verdict(parser)
    options.add_out(parser, metavar="DIR", default=Path("figures"), help="Folder for them. [default: figures]")
    parser.add_argument(
        "--compare",
        choices=("order", "model"),
        default="order",
        help="What shares a panel: decoding orders, or models and checkpoints. [default: order]",
    )
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        action="append",
        choices=FORMATS,
        help=f"Write this kind of file: {', '.join(FORMATS)}. May be given several times. [default: png, pdf and csv]",
    )
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        help="Draw only this one. May be given several times. [default: all]",
    )


def run(args: argparse.Namespace) -> int:
    """Read the runs, draw, and print the path of each file."""
    from flexeval.cli import output
    from flexeval.figures import FIGURES
    from flexeval.figures.make import FORMATS as PLAIN
    from flexeval.figures.make import make_figures
    from flexeval.report.figures import figure_page

    makers = {**PLAIN, "html": figure_page}
    formats = {suffix: makers[suffix] for suffix in args.format or PLAIN}
    names = None if args.only is None else [FIGURES.canonical(name) for name in args.only]
    output.check_folder(args.out, what="the folder of figures")
    runs = stored_runs.read(args.runs).counting(args.verdict)
    for path in make_figures(runs, args.out, names, compare=args.compare, formats=formats):
        print(path)
    return 0
