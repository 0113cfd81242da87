"""`flexeval grade`: new verdicts on stored texts, without a model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexeval.cli import options

if TYPE_CHECKING:
    from flexeval.runs.store import Run

_EPILOG = """\
examples:
  flexeval grade runs/tiny/word-problems/*
  flexeval grade runs/llada-8b-instruct/gsm8k/* --data-dir data
"""


def add_parser(verbs: Any) -> None:
    """Register the verb."""
    verbs.add_parser(
        "grade",
        help="grade the stored texts of runs again",
        description="Grade every stored text of finished or unfinished runs again and replace the verdicts.",
        epilog=_EPILOG,
        declare=_declare,
    )


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="A run folder.")
    options.add_data_dir(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Regrade each run, and print what changed."""
    from flexeval.runs.regrade import regrade
    from flexeval.runs.store import read_run
    from flexeval.tasks import get_task

    for folder in args.runs:
        before = read_run(folder)
        after = regrade(folder, get_task(before.config.task, data_dir=args.data_dir))
        changed = int((before.samples["correct"] != after.samples["correct"]).sum())
        print(f"{folder}: {_correct(before)} correct before, {_correct(after)} correct now; {changed} verdicts changed")
    return 0


def _correct(run: Run) -> str:
    return f"{int(run.samples['correct'].sum())} of {len(run.samples)}"
