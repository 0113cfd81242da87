"""`flexeval coverage`: which problems one run solves and the other does not."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from flexeval.cli import pair, stored

if TYPE_CHECKING:
    from rich.table import Table

    from flexeval.stats.coverage import Coverage

_EPILOG = """\
examples:
  flexeval coverage RUN RUN
  flexeval coverage RUN RUN --limit 100 --num-samples 16 --json coverage.json

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
    stored.add_output(parser, rows="one row a part: problems, and their share in percent")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, count, print and write."""
    from flexeval.cli import output
    from flexeval.cli.units import with_units
    from flexeval.stats.coverage import coverage, coverage_frame

    output.check_targets({"--json": args.json, "--csv": args.csv})
    runs = pair.read_pair(args)
    found = coverage(*(run.counts() for run in runs))
    labels = runs.labels()

    console = output.console(stdout_taken=args.json == "-")
    console.print(f"Problems solved by at least one of n = {found.n} samples", soft_wrap=True)
    console.print(_table(found, labels))
    for line in (*_conclusions(found, labels), *stored.introduction(labels, runs)):
        console.print(line, soft_wrap=True)
    output.write_json(args.json, {"runs": stored.about(labels, runs), **_as_json(found)})
    output.write_csv(args.csv, with_units(coverage_frame(found), percent=["share"]))
    return 0


def _as_json(found: Coverage) -> dict[str, Any]:
    import pandas as pd

    from flexeval.cli.units import with_units

    content = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    if found.share_of_b is not None:
        share = pd.DataFrame([found.share_of_b.numbers()])
        (content["share_of_b"],) = stored.records(with_units(share, percent=["estimate", "low", "high"]))
    return content


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
    return [*lines, f"Of what {b} solves, {a} solves {share.text(scale=100, unit=' %')}"]
