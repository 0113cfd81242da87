"""`flexeval import`: texts that another program drew become a run folder."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from flexeval.cli import options

if TYPE_CHECKING:
    from flexeval.records import RunConfig
    from flexeval.tasks import Task

EPILOG = """\
examples:
  flexeval import samples.jsonl --task humaneval --model my-model --order ar --out runs/my-model/humaneval/ar
  flexeval import answers.jsonl --task gsm8k --data-dir data --model llada-8b-instruct --order confidence \\
      --temperature 0.6 --gen-length 256 --out runs/llada/gsm8k/confidence
  flexeval compare runs/my-model/humaneval/ar runs/my-model/humaneval/confidence

The file is one that `flexeval grade` reads, with equally many completions of each question. Texts and verdicts are
stored; `compare`, `coverage`, `figures`, `claims` and `report` work on them. Measurements of single tokens, and what a
sample cost, are not in the file: `entropy`, `bypass` and what else needs them say so.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    what = parser.add_argument_group("run")
    what.add_argument("file", metavar="FILE", type=Path, help="A file of completions; see `flexeval grade --help`.")
    what.add_argument("--task", metavar="NAME", required=True, help="The task that the completions answer.")
    what.add_argument("--model", metavar="NAME", required=True, help="The model that drew them; any name.")
    what.add_argument(
        "--order", metavar="NAME", required=True, help="The order they were decoded in; see `flexeval ls orders`."
    )
    what.add_argument(
        "--num-samples", metavar="N", help="Take the first N completions of each question. [default: all]"
    )
    options.add_ks(what)
    options.add_votes(what)
    options.add_data_dir(what)
    options.add_sampling(parser)
    output = parser.add_argument_group("output")
    options.add_out(output, metavar="DIR", required=True, help="The run folder to make.")
    options.add_files(output, rows="one row for each k")


def run(args: argparse.Namespace) -> int:
    """Read, grade, store, and print what `flexeval passk` prints of a run."""
    from flexeval.cli import output, passk
    from flexeval.runs.completions import grade_completions, read_completions
    from flexeval.runs.imported import check_new_folder, equally_many, import_run
    from flexeval.tasks import get_task

    # Refuse what can be refused before hours of grading.
    wanted = None if args.num_samples is None else options.whole_number(args.num_samples, least=1, what="--num-samples")
    output.check_folder(args.out, what="--out", is_run=True)
    check_new_folder(args.out)
    output.check_targets({"--json": args.json, "--csv": args.csv}, reads=[args.file])
    task = get_task(args.task, data_dir=args.data_dir)
    config = _config(args, task)
    found = read_completions(args.file, task)
    completions = equally_many(found.completions, wanted)
    num_samples = len(completions) // len(found.problems)
    ks = options.ks(args.k, num_samples, limit=f"a question has {num_samples} completions")
    output.announce_isolation(task)

    graded = grade_completions(completions, task)
    stored = import_run(
        dataclasses.replace(config, num_samples=num_samples),
        graded,
        found.problems,
        out=args.out,
        task=task,
        origin={"file": args.file.name, "sha256": found.fingerprint, "form": found.form},
    )
    passk.deliver([stored], ks, args)
    return 0


def _config(args: argparse.Namespace, task: Task) -> RunConfig:
    """What the samples are of, all but their number. Raises InputError for a setting that is refused."""
    from flexeval.records import RunConfig
    from flexeval.runs.store import canonical_config
    from flexeval.tasks import task_spec

    return canonical_config(
        RunConfig(
            model=args.model,
            task=task_spec(task),
            order=args.order,
            sampling=options.sampling_config(args, task),
        )
    )
