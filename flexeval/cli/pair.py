"""What the verbs that take two runs share: reading them, cutting them, refusing two that cannot be compared."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from flexeval.cli import options
from flexeval.errors import InputError

if TYPE_CHECKING:
    from flexeval.runs.store import Run, RunSet


def add_pair(parser: argparse.ArgumentParser) -> None:
    """RUN RUN, and what part of them to look at."""
    parser.add_argument("runs", metavar="RUN", nargs=2, type=Path, help="A run folder; two of them.")
    parser.add_argument(
        "--limit", metavar="N", help="Use the first N problems of both. [default: all, which must be the same]"
    )
    parser.add_argument("--num-samples", metavar="N", help="Use the first N samples of every problem. [default: all]")


def read_pair(args: argparse.Namespace) -> RunSet:
    """Read two runs on the same problems, cut to what was asked for.

    Raises:
        InputError: not two run folders, one run given twice, runs on other tasks or problems, or runs of which less is
            there than was asked for.
    """
    from flexeval.runs.store import read_runs

    folders: list[Path] = args.runs
    if folders[0].resolve() == folders[1].resolve():
        raise InputError(f"{str(folders[0])!r} is given twice; give two runs")
    pair = read_runs(folders)
    if len(pair) != 2:
        raise InputError(f"two runs are compared, but there are {len(pair)} in the folders given; name two of them")
    a, b = pair
    if a.config.task != b.config.task:
        raise InputError(
            f"the runs are on different tasks, {a.config.task!r} and {b.config.task!r}; compare runs of one task"
        )
    if args.limit is not None:
        pair = _first_problems(pair, options.whole_number(args.limit, least=1, what="--limit"))
    if args.num_samples is not None:
        pair = _first_samples(pair, options.whole_number(args.num_samples, least=1, what="--num-samples"))
    _require_same_problems(*pair)
    return pair


def _first_problems(runs: RunSet, wanted: int) -> RunSet:
    fewest = min(len(run.problems) for run in runs)
    if fewest < wanted:
        raise InputError(f"--limit is {wanted}, but a run has {fewest} problems; keep it <= {fewest}")
    return dataclasses.replace(
        runs, runs=tuple(run.part(num_samples=run.config.num_samples, limit=wanted) for run in runs)
    )


def _first_samples(runs: RunSet, wanted: int) -> RunSet:
    from flexeval.runs.store import fewest_samples

    fewest = fewest_samples(*runs)
    if fewest < wanted:
        raise InputError(f"--num-samples is {wanted}, but a problem has {fewest} samples; keep it <= {fewest}")
    return dataclasses.replace(runs, runs=tuple(run.part(num_samples=wanted, limit=run.config.limit) for run in runs))


def _require_same_problems(a: Run, b: Run) -> None:
    ours, theirs = (run.problems.set_index("problem_id")[["question", "target"]] for run in (a, b))
    unpaired = ours.index.symmetric_difference(theirs.index)
    if len(unpaired):
        raise InputError(
            f"the runs are not on the same problems: {len(ours)} in one, {len(theirs)} in the other, {unpaired[0]!r} "
            "is in one only; compare the first of both with --limit, or sample both with the same"
        )
    changed = ours.index[(ours != theirs.loc[ours.index]).any(axis=1)]
    if len(changed):
        raise InputError(
            f"the runs call different problems {changed[0]!r}: the data changed between them; sample one of them again"
        )
