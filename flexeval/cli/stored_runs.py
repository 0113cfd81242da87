"""Stored runs as input: reading two that can be compared, and describing each run."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexeval.cli import options
from flexeval.errors import InputError, printable

if TYPE_CHECKING:
    from flexeval.records import RunConfig
    from flexeval.runs.store import Run, RunSet


def read(folders: Sequence[Path]) -> RunSet:
    """As `flexeval.runs.store.read_runs`; says on stderr what is missing of runs that lie there as shards."""
    from flexeval.runs.store import read_runs

    runs = read_runs(folders)
    for run in runs:
        say_what_is_missing(run)
    return runs


def say_what_is_missing(run: Run) -> None:
    """Say on stderr which shards of a run are missing or unfinished, if any."""
    if run.lacking:
        line = printable(f"flexeval: {run.folder} lacks {run.lacking}", keep="")
        print(line, file=sys.stderr, flush=True)


def whole(parts: Sequence[Run], configs: Sequence[RunConfig], args: argparse.Namespace) -> Sequence[Run] | None:
    """The runs that a command has made: whole where they were not divided, and else once all shards are there.

    Args:
        parts: what the command has made.
        configs: of each.
        args: with the shard.

    Returns:
        None where shards are missing; stderr then says which.
    """
    from flexeval.runs.shards import WHOLE
    from flexeval.runs.store import read_run

    if args.shard == WHOLE:
        return parts
    together = []
    for part, config in zip(parts, configs, strict=True):
        line = f"shard {args.shard}: {len(part.samples)} samples, {part.tally()['correct']} correct, {part.folder}"
        print(printable(line, keep=""), file=sys.stderr if args.json == "-" else sys.stdout)
        run = read_run(part.folder.parent)
        say_what_is_missing(run)
        together.append(run.part(num_samples=config.num_samples, limit=config.limit))
    if all(run.complete for run in together):
        return together
    files = [f"--{name}" for name in ("json", "csv") if getattr(args, name) is not None]
    unwritten = f"; {' and '.join(files)} {'are' if files[1:] else 'is'} not written before" if files else ""
    print(f"The tables come with the last of the shards, or after `flexeval merge`{unwritten}.", file=sys.stderr)
    return None


# ----- two runs -----

_LISTED = 6
"""Folders in a message, at most."""


def add_pair(parser: argparse.ArgumentParser) -> None:
    """RUN RUN, and how much of them to use."""
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="Two run folders, or a folder with two.")
    parser.add_argument(
        "--limit", metavar="N", help="Use the first N problems of both. [default: all, which must be the same]"
    )
    parser.add_argument("--num-samples", metavar="N", help="Use the first N samples of every problem. [default: all]")
    options.add_verdict(parser)


def read_pair(args: argparse.Namespace, *, cut: bool = True) -> RunSet:
    """Read two runs on the same problems, cut to what was asked for.

    Args:
        args: with `runs` and `verdict`; with `limit` and `num_samples` if they are cut.
        cut: whether the command has options that cut them.

    Raises:
        InputError: not two run folders, the same run twice, runs on different tasks or problems, a problem without a
            sample, or runs with fewer problems or samples, or without the verdict, that were asked for.
    """
    from flexeval.runs.store import fewest_samples

    folders: list[Path] = args.runs
    met: set[Path] = set()
    for folder in folders:
        if folder.resolve() in met:
            raise InputError(f"{str(folder)!r} is given twice; give two runs")
        met.add(folder.resolve())
    pair = read(folders)
    if len(pair) != 2:
        held = ", ".join(str(run.folder) for run in pair[:_LISTED]) + (", ..." if len(pair) > _LISTED else "")
        raise InputError(f"two runs are compared, not {len(pair)}; name two folders ({held})")
    a, b = pair
    if a.config.task != b.config.task:
        raise InputError(
            f"the runs are on different tasks, {a.config.task!r} and {b.config.task!r}; compare runs of one task"
        )
    if cut and args.limit is not None:
        wanted = options.whole_number(args.limit, least=1, what="--limit")
        fewest = min(len(run.problems) for run in pair)
        if fewest < wanted:
            raise InputError(f"--limit is {wanted}, but a run has {fewest} problems; use at most {fewest}")
        pair = dataclasses.replace(pair, runs=tuple(run.first(wanted) for run in pair))
    for run in pair:
        require_samples(run)
    if cut and args.num_samples is not None:
        wanted = options.whole_number(args.num_samples, least=1, what="--num-samples")
        fewest = fewest_samples(*pair)
        if fewest < wanted:
            raise InputError(f"--num-samples is {wanted}, but a problem has {fewest} samples; use at most {fewest}")
        parts = (run.part(num_samples=wanted, limit=run.config.limit) for run in pair)
        pair = dataclasses.replace(pair, runs=tuple(parts))
    _require_same_problems(*pair, cut=cut)
    return pair.counting(args.verdict)


def require_samples(run: Run) -> None:
    """Raise InputError for a run that has no sample of some problem yet."""
    counts = run.counts()
    without = counts.loc[counts["n"] == 0, "problem_id"].tolist()
    if without:
        raise InputError(f"run {run.folder} has no sample of {without[0]!r} yet; let `flexeval passk` finish it")


def _require_same_problems(a: Run, b: Run, *, cut: bool) -> None:
    from flexeval.runs.store import changed_problem, changed_text

    ours, theirs = (set(run.problems["problem_id"]) for run in (a, b))
    unpaired = sorted(ours ^ theirs)
    if unpaired:
        first = "compare the first problems of both with --limit, or " if cut else ""
        raise InputError(
            f"the runs are not on the same problems: one has {len(ours)}, the other {len(theirs)}, and only one has "
            f"{unpaired[0]!r}; {first}sample both with the same --limit"
        )
    if (changed := changed_problem((a, b))) is not None:
        raise InputError(changed_text(changed))


# ----- what a run is -----


def about(runs: RunSet) -> list[dict[str, Any]]:
    """The settings of each run as JSON values."""
    return [
        {
            "run": label,
            "folder": str(run.folder),
            "model": run.model,
            "task": run.config.task,
            "order": run.config.order,
            "temperature": run.config.sampling.temperature,
            "block_length": run.config.sampling.block,
            "gen_length": run.config.sampling.gen_length,
            "pace": run.config.sampling.pace,
            "other_settings": run.config.sampling.unusual,
            "seed": run.config.sampling.seed,
            "problems": len(run.problems),
            "samples": len(run.samples),
            "verdicts": run.tally(),
        }
        for label, run in zip(runs.labels(), runs, strict=True)
    ]


def introduction(runs: RunSet) -> Sequence[str]:
    """The settings of each run on one line."""
    return [
        f"{row['run']}: model {row['model']}, task {row['task']}, {row['problems']} problems, "
        f"{row['samples']} samples ({_tally(row['verdicts'])}), T = {row['temperature']:g}, "
        f"gen_length {row['gen_length']}, block_length {row['block_length']}, {row['pace']}, seed {row['seed']}, "
        f"{''.join(f'{setting}, ' for setting in row['other_settings'])}{row['folder']}"
        for row in about(runs)
    ]


def _tally(verdicts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in verdicts.items())
