"""`flexeval passk`: Pass@k of a model under one or several decoding orders."""

from __future__ import annotations

import argparse
import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexeval.cli import options
from flexeval.errors import InputError

if TYPE_CHECKING:
    from flexeval.records import RunConfig
    from flexeval.runs.store import Run
    from flexeval.tasks import Task

DEFAULT_LIMIT = 50

_EPILOG = """\
examples:
  flexeval passk --order ar
  flexeval passk --order ar --order confidence --order top_prob --num-samples 64 --limit none
  flexeval passk --order ar --order eb:gamma=0.1 --temperature 1 --json result.json --csv result.csv
  flexeval passk --model llada-8b-instruct --task gsm8k --data-dir data --order ar --order confidence
  flexeval passk --model llada-8b-instruct --task gsm8k --data-dir data --prompt wording.yaml

`flexeval ls` lists the names of orders, models and tasks. Samples are stored as they finish: the same
command continues after a stop, and a larger --num-samples or --limit draws only what is missing.
Intervals are 95 % bootstrap intervals over problems. The brackets of differences are bands that hold all of them,
over every k and every order, with 95 %. A verdict says above or below where the band does and the exact test of the
problems that differ agrees (p at most 0.05; at k = n it is McNemar's).
"""


def add_parser(verbs: Any) -> None:
    """Register the verb."""
    verbs.add_parser(
        "passk",
        help="sample a model under decoding orders, grade, and print Pass@k with intervals",
        description="Sample what is missing, grade it, and print Pass@k, with paired differences between orders.",
        epilog=_EPILOG,
        declare=_declare,
    )


def _declare(parser: argparse.ArgumentParser) -> None:
    from flexeval.records import RunConfig

    of_run = parser.add_argument_group("run")
    options.add_fields(
        of_run, RunConfig, skip=("sampling",), repeatable=("order",), defaults={"limit": str(DEFAULT_LIMIT)}
    )
    options.add_prompt(of_run)
    of_run.add_argument("--k", metavar="K,K,...", help="Where to take Pass@k. [default: powers of two up to n, and n]")
    options.add_sampling(parser)
    options.add_machine(parser, batch=True)
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("runs"), help="Folder of run folders. [default: runs]"
    )
    output.add_argument("--json", metavar="FILE", help="Also write settings and numbers as JSON; - for stdout.")
    output.add_argument("--csv", metavar="FILE", help="Also write one row an order and k.")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Sample, grade, summarise, print and write."""
    from flexeval.cli import output, passk_report
    from flexeval.records import RunConfig
    from flexeval.stats.curves import comparison
    from flexeval.stats.pass_at_k import pass_at_k_table
    from flexeval.stats.summary import summarize, summary_frame
    from flexeval.tasks import task_spec

    # Everything that can be refused without the model, before the model is loaded.
    wanted = RunConfig(**{"limit": DEFAULT_LIMIT, **options.given(args, RunConfig, skip=("order",))})
    ks = _ks(args.k, wanted.num_samples)
    task = options.load_task(args, wanted.task)
    wanted = dataclasses.replace(wanted, task=task_spec(task), sampling=options.sampling_config(args, task))
    configs = _one_per_order(wanted, getattr(args, "order", [wanted.order]))
    options.check_machine(args)
    options.check_folder(args.out, what="--out")
    output.check_targets({"--json": args.json, "--csv": args.csv})

    runs = _sampled(configs, task, args)

    # Summarise; every order is compared with the first.
    summaries = [summarize(run.config.order, run.counts(), run.samples["nfe"], run.effort, ks=ks) for run in runs]
    first, *others = (pass_at_k_table(run.counts(), ks) for run in runs)
    differences = [comparison(other, first, largest=1.0, family=len(others)) for other in others]

    passk_report.show(output.console(stdout_taken=args.json == "-"), runs, summaries, differences)
    output.write_json(args.json, passk_report.as_json(runs, summaries, differences))
    output.write_csv(args.csv, summary_frame(summaries))
    return 0


def _ks(text: str | None, num_samples: int) -> list[int]:
    """The values of --k, ascending. Raises InputError unless they are whole numbers in 1..num_samples."""
    from flexeval.stats.pass_at_k import default_ks

    if text is None:
        return default_ks(num_samples)
    ks = sorted({options.whole_number(part.strip(), least=1, what="every k of --k") for part in text.split(",")})
    if ks[-1] > num_samples:
        raise InputError(
            f"pass@{ks[-1]} needs {ks[-1]} samples of every problem, but --num-samples is {num_samples}; "
            f"raise it, or keep k <= {num_samples}"
        )
    return ks


def _one_per_order(wanted: RunConfig, orders: list[str]) -> list[RunConfig]:
    """The run of each order. Raises InputError when two names stand for the same run."""
    from flexeval.runs.store import canonical_config

    configs: list[RunConfig] = []
    for order in orders:
        config = canonical_config(dataclasses.replace(wanted, order=order))
        if config in configs:
            raise InputError(f"order {order!r} is given twice (as {config.order!r}); keep one of them")
        configs.append(config)
    return configs


def _sampled(configs: list[RunConfig], task: Task, args: argparse.Namespace) -> list[Run]:
    """The run of each configuration, complete; the model is loaded once, and only if something is missing."""
    from flexeval.cli import output
    from flexeval.cli.progress import sampling_bars
    from flexeval.runs.store import default_folder_name, reusable_run
    from flexeval.tasks.task import problems_of

    batch_size = options.batch_size(args)
    folders = [args.out / default_folder_name(config) for config in configs]
    stored = [
        reusable_run(folder, config, task, dtype=args.dtype) for folder, config in zip(folders, configs, strict=True)
    ]
    finished = [run for run in stored if run is not None]
    if len(finished) == len(stored):
        return finished

    # Only now: it imports torch, which runs that are complete do not need.
    from flexeval.runs.runner import run as sample_run
    from flexeval.sampling import Sampler

    problems_of(task)  # which says what is wrong with its data before the model is loaded
    output.announce_isolation(task)
    predictor = options.load_model(args, configs[0].model)
    make_sampler = functools.partial(Sampler, workers=options.side_by_side(predictor))
    with sampling_bars() as bar:
        return [
            run
            or sample_run(
                config,
                out=folder,
                predictor=predictor,
                task=task,
                batch_size=batch_size,
                progress=bar(config.order),
                make_sampler=make_sampler,
            )
            for run, config, folder in zip(stored, configs, folders, strict=True)
        ]
