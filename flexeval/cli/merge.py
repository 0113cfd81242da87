"""`flexeval merge`: one run folder of the shards of a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from flexeval.cli import options
from flexeval.errors import printable

if TYPE_CHECKING:
    from flexeval.runs.store import Run

EPILOG = """\
examples:
  flexeval merge runs/llada-8b-instruct/gsm8k/ar-T0.6-L256-B32-s0-1a2b3c4d
  flexeval merge runs                                  every run below that lies there as shards
  flexeval merge a/shard-0-of-2 b/shard-1-of-2 --out runs/merged

Shards are what --shard I/N of passk, sweep and reproduce makes. Samples of the merged run are those of an undivided
one, to the byte. What no shard has is missing in it, and is drawn by the command that made the shards, without --shard.
Shards that lie below the merged run are removed once it is whole. After a stop, the same command continues.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", type=Path, help="A run that lies in shards, a shard, or a folder of them."
    )
    options.add_out(parser, metavar="DIR", help="The merged run folder. [default: the folder that the shards lie in]")


def run(args: argparse.Namespace) -> int:
    """Merge the shards of each run."""
    from flexeval.cli import output
    from flexeval.runs.merge import find_shards, merge, require_apart

    # A folder has many names.
    shards = {shard.resolve(): shard for path in args.paths for shard in find_shards(path)}
    if args.out is not None:
        output.check_folder(args.out, what="--out", is_run=True)
    runs: dict[Path, list[Path]] = {}
    for shard in shards.values():
        runs.setdefault(args.out or shard.parent, []).append(shard)
    require_apart(runs)
    for out, own in runs.items():
        print(printable(_line(len(own), merge(own, out=out)), keep=""))
    return 0


def _line(shards: int, run: Run) -> str:
    wanted = len(run.problems) * run.config.num_samples
    state = "complete" if run.complete else f"{wanted - len(run.samples)} samples are missing"
    return f"{run.folder}: {shards} shards, {len(run.samples)} samples, {state}"
