"""`flexeval export`: stored runs as files of other tools."""

from __future__ import annotations

import argparse
from pathlib import Path

from flexeval.cli import options, stored_runs
from flexeval.errors import did_you_mean

FORMS = {"inspect": Path("logs"), "hub-folder": Path("hub")}
"""What can be written -> its folder, unless the user names one."""

EPILOG = """\
examples:
  flexeval export runs/forks --to inspect -o logs        then: inspect view --log-dir logs
  flexeval export runs/forks --to hub-folder -o hub      then: hf upload NAME/DATASET hub --repo-type dataset

inspect: one log of inspect_ai a run, for its viewer; needs that package (pip install "flexeval-dllm[export]").
hub-folder: Parquet files and a card, which `datasets.load_dataset("hub", "samples")` loads; also `tokens` and `runs`.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_stored_runs(parser)
    parser.add_argument("--to", metavar="|".join(FORMS), required=True, help="What to write.")
    options.add_out(parser, metavar="DIR", help="Folder for it. [default: logs for inspect, hub for hub-folder]")
    options.add_verdict(parser)


def run(args: argparse.Namespace) -> int:
    """Read the runs, write, and print the path of each file."""
    from flexeval.cli import output

    if args.to not in FORMS:
        raise did_you_mean("form in --to", args.to, FORMS)
    out = args.out or FORMS[args.to]
    output.check_folder(out, what="--out")
    runs = stored_runs.read(args.runs).counting(args.verdict)

    from flexeval.export import write_hub_folder, write_inspect_logs

    write = write_inspect_logs if args.to == "inspect" else write_hub_folder
    for path in write(runs, out):
        print(path)
    return 0
