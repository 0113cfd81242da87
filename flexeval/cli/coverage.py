"""`flexeval coverage`: which problems one run solves and the other does not."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from flexeval.cli import options, pair, stored
from flexeval.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from flexeval.runs.store import RunSet
    from flexeval.stats import Coverage

_EPILOG = """\
examples:
  flexeval coverage runs/tiny/word-problems/ar-* runs/tiny/word-problems/confidence-*
  flexeval coverage RUN RUN --num-samples 16 --json coverage.json

A problem is solved when one of its n samples is correct, so both runs must have the same n. The p-value is of the
exact McNemar test on the problems that one run alone solves.
"""


def add_parser(verbs: Any) -> None:
    """Register the verb."""
    verbs.add_parser(
        "coverage",
        help="two runs: problems solved by one only, the other only, both, neither",
        description="Which problems two runs solve at n samples: one only, the other only, both, neither.",
        epilog=_EPILOG,
        declare=_declare,
    )


def _declare(parser: argparse.ArgumentParser) -> None:
    pair.add_pair(parser)
    parser.add_argument(
        "--num-samples", metavar="N", help="Use the first N samples of every problem. [default: all, which must agree]"
    )
    stored.add_output(parser, rows="one row a part: problems, and their share in percent")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, count, print and write."""
    from flexeval import stats
    from flexeval.cli import output

    for target in (args.json, args.csv):
        output.check_target(target)
    runs = pair.read_pair(args.runs)
    if args.num_samples is not None:
        runs = _first_samples(runs, options.whole_number(args.num_samples, least=1, what="--num-samples"))
    found = stats.coverage(*(run.counts() for run in runs))
    parts = stats.coverage_frame(found)
    parts = parts.assign(share=100 * parts["share"]).rename(columns={"share": "share_percent"})
    labels = runs.labels()

    console = output.console(stdout_taken=args.json == "-")
    console.print(f"Problems solved by at least one of n = {found.n} samples", soft_wrap=True)
    console.print(_table(found, labels))
    for line in (*_conclusions(found, labels), *stored.introduction(labels, runs)):
        console.print(line, soft_wrap=True)
    output.write_json(args.json, {"runs": stored.about(labels, runs), **dataclasses.asdict(found)})
    output.write_csv(args.csv, parts)
    return 0


def _first_samples(runs: RunSet, wanted: int) -> RunSet:
    """The first samples of every problem. Raises InputError where there are fewer."""
    fewest = int(min(run.counts()["n"].min() for run in runs))
    if fewest < wanted:
        raise InputError(f"--num-samples is {wanted}, but a problem has {fewest} samples; keep it <= {fewest}")
    return dataclasses.replace(runs, runs=tuple(run.part(num_samples=wanted, limit=None) for run in runs))


def _table(found: Coverage, labels: list[str]) -> Table:
    from rich.table import Table

    a, b = labels
    table = Table("solved by")
    for heading in ("problems", "percent"):
        table.add_column(heading, justify="right")
    for name, problems in (
        (f"{a} only", found.a_only),
        (f"{b} only", found.b_only),
        ("both", found.both),
        ("neither", found.neither),
    ):
        table.add_row(name, str(problems), f"{100 * problems / found.problems:.1f}")
    return table


def _conclusions(found: Coverage, labels: list[str]) -> list[str]:
    a, b = labels
    lines = [f"Exact McNemar test of {found.a_only} against {found.b_only}: p = {found.p_value:.2g}"]
    if (share := found.share_of_b) is None:
        return [*lines, f"{b} solves no problem"]
    bounds = f"[{100 * share.low:.1f}, {100 * share.high:.1f}]"
    return [*lines, f"Of what {b} solves, {a} solves {100 * share.estimate:.1f} % {bounds}"]
