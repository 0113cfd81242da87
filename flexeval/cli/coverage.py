"""`flexeval coverage`: which problems one run solves and the other does not."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flexeval.cli import formatting, options, stored_runs

if TYPE_CHECKING:
    from rich.table import Table

    from flexeval.runs.store import RunSet
    from flexeval.stats.coverage import Coverage

EPILOG = """\
examples:
  flexeval coverage RUN RUN
  flexeval coverage RUN RUN --limit 100 --num-samples 16 --json coverage.json

A problem is solved when one of its n samples is correct, or what --verdict says, so both runs must have the same n. The
p-value is from McNemar's exact test on the problems that only one run solves.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    stored_runs.add_pair(parser)
    options.add_files(
        parser.add_argument_group("output"), rows="one row for each part: problems, and their share in percent"
    )


def run(args: argparse.Namespace) -> int:
    """Read, count, print and write."""
    from flexeval.cli import output
    from flexeval.stats.coverage import coverage, coverage_frame

    output.check_targets({"--json": args.json, "--csv": args.csv})
    runs = stored_runs.read_pair(args)
    found = coverage(*(run.counts() for run in runs))
    content = {"runs": stored_runs.about(runs), "counted": args.verdict, **_as_json(found)}
    rows = formatting.described_pair(formatting.with_units(coverage_frame(found), percent=["share"]), runs)
    output.deliver(args, _shown(runs, found), content, rows)
    return 0


def _as_json(found: Coverage) -> dict[str, Any]:
    import pandas as pd

    content = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    if found.share_of_b is not None:
        share = pd.DataFrame([found.share_of_b.numbers()])
        (content["share_of_b"],) = formatting.json_rows(share, percent=["estimate", "low", "high"])
    return content


def _shown(runs: RunSet, found: Coverage) -> Iterator[str | Table]:
    a, b = runs.labels()
    parts = {f"{a} only": found.a_only, f"{b} only": found.b_only, "both": found.both, "neither": found.neither}
    rows = [[name, str(problems), f"{100 * problems / found.problems:.1f}"] for name, problems in parts.items()]
    yield f"Problems solved by at least one of n = {found.n} samples{formatting.counted(runs)}"
    yield formatting.table(["solved by", "problems", "percent"], rows, right=["problems", "percent"])
    yield f"McNemar's exact test of {found.a_only} against {found.b_only}: p = {found.p_value:.2g}"
    if (share := found.share_of_b) is None:
        yield f"{b} solves no problem"
    else:
        yield f"Of the problems that {b} solves, {a} solves {share.text(scale=100, unit=' %')}"
    yield from stored_runs.introduction(runs)
