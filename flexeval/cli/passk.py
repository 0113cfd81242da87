"""`flexeval passk`: Pass@k of a model under one or several decoding orders."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexeval.cli import formatting, options, stored_runs
from flexeval.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from flexeval.records import RunConfig
    from flexeval.runs.store import Run
    from flexeval.stats.summary import RunSummary
    from flexeval.tasks import Task

EPILOG = """\
examples:
  flexeval passk --order ar
  flexeval passk --order ar --order confidence --order top_prob --num-samples 64 --limit none
  flexeval passk --order ar --order confidence --num-samples 1024 --dry-run
  flexeval passk --order ar --order confidence --verdict sound
  flexeval passk --order ar --order eb:gamma=0.1 --temperature 1 --json result.json --csv result.csv
  flexeval passk --model llada-8b-instruct --task gsm8k --data-dir data --order ar --order confidence
  flexeval passk --model llada-8b-instruct --task gsm8k --data-dir data --prompt wording.yaml

`flexeval ls` lists orders, models and tasks. Samples are stored as they finish: after a stop, the same command
continues, and with a larger --num-samples or --limit it draws only what is missing.
Intervals are 95 % bootstrap intervals over problems. The note below a table of differences explains its bands and
verdicts.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    run_options = parser.add_argument_group("run")
    options.add_run(run_options)
    options.add_prompt(run_options)
    options.add_ks(run_options)
    options.add_votes(run_options)
    options.add_verdict(run_options)
    options.add_sampling(parser)
    options.add_machine(parser, batch=True)
    options.add_division(parser)
    options.add_estimate(parser)
    output = parser.add_argument_group("output")
    options.add_runs_folder(output, "-o", "--out")
    options.add_files(output, rows="one row for each order and k")


def run(args: argparse.Namespace) -> int:
    """Sample, grade, summarise, print and write."""
    from flexeval.cli import output
    from flexeval.records import RunConfig
    from flexeval.tasks import task_spec

    # Refuse what can be refused without the model, before the model is loaded.
    wanted = RunConfig(**{"limit": options.DEFAULT_LIMIT, **options.given(args, RunConfig, skip=("order",))})
    ks = options.ks(args.k, wanted.num_samples, limit=f"--num-samples is {wanted.num_samples}")
    task = options.load_task(args, wanted.task)
    options.check_verdict(args, task)
    wanted = dataclasses.replace(wanted, task=task_spec(task), sampling=options.sampling_config(args, task))
    configs = _one_per_order(wanted, getattr(args, "order", [wanted.order]))
    options.check_machine(args)
    options.check_estimate(args)
    options.settle_shard(args)
    output.check_folder(args.out, what="--out")
    output.check_targets({"--json": args.json, "--csv": args.csv})
    if args.dry_run:
        from flexeval.cli.dry_run import dry_runs

        dry_runs(configs, args)
        return 0

    runs = stored_runs.whole(_sampled(configs, task, args), configs, args)
    if runs is not None:
        deliver([run.counting(args.verdict) for run in runs], ks, args)
    return 0


def deliver(runs: Sequence[Run], ks: Sequence[int], args: argparse.Namespace) -> None:
    """Summarise runs of several orders, print them, and write them where --json and --csv say."""
    import pandas as pd

    from flexeval.cli import output
    from flexeval.runs.store import RunSet
    from flexeval.stats.curves import comparison
    from flexeval.stats.pass_at_k import pass_at_k_table
    from flexeval.stats.summary import difference_frame, endings_frame, summarize, summary_frame

    # Summarise, and compare every order with the first.
    summaries = [summarize(run.config.order, run.counts(), run.samples, run.effort, ks=ks) for run in runs]
    first, *others = (pass_at_k_table(run.counts(), ks) for run in runs)
    differences = [comparison(other, first, largest=1.0, family=len(others)) for other in others]

    summary = summary_frame(summaries).assign(counted=runs[0].counted)
    endings = pd.concat([endings_frame(run.config.order, run.endings()) for run in runs], ignore_index=True)
    votes = _votes(runs, ks) if args.votes else None
    compared = [
        formatting.json_rows(difference_frame(other.order, summaries[0].order, at))
        for other, at in zip(summaries[1:], differences, strict=True)
    ]
    content = {
        **_settings(runs, summaries[0]),
        "pass_at_k": formatting.json_rows(summary),
        "differences": [row for rows in compared for row in rows],
        "endings": formatting.json_rows(endings),
        "votes": None if votes is None else formatting.json_rows(votes, percent=["estimate", "low", "high"]),
    }
    together = RunSet(tuple(runs))
    labels = dict(zip((run.config.order for run in runs), together.labels(), strict=True))
    rows = summary.copy()
    rows.insert(0, "run", summary["order"].map(labels))
    rows = formatting.described(rows, together)
    output.deliver(args, _shown(runs, summaries, differences, endings, votes), content, rows)


def _votes(runs: Sequence[Run], ks: Sequence[int]) -> pd.DataFrame:
    """maj@k and all@k of each run: order, measure, k, estimate, low, high; fractions."""
    import pandas as pd

    from flexeval.stats.bootstrap import interval
    from flexeval.stats.pass_at_k import all_at_k_table
    from flexeval.stats.votes import majority_table

    rows = []
    for run in runs:
        for measure, table in (("maj", majority_table(run.outcomes(), ks)), ("all", all_at_k_table(run.counts(), ks))):
            found = interval(table)
            rows += [(run.config.order, measure, k, found[k].estimate, found[k].low, found[k].high) for k in ks]
    return pd.DataFrame(rows, columns=["order", "measure", "k", "estimate", "low", "high"])


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
    """The complete run of each configuration. The model is loaded once, and only if something is missing."""
    from flexeval.cli import output
    from flexeval.cli.execute import RunSampler, check_ahead
    from flexeval.cli.progress import sampling_bars
    from flexeval.runs.reuse import run_folder
    from flexeval.runs.store import reusable_run

    folders: list[Path] = [run_folder(args.out, config) for config in configs]
    stored = [
        reusable_run(folder, config, task, dtype=args.dtype, shard=args.shard)
        for folder, config in zip(folders, configs, strict=True)
    ]
    finished = [run for run in stored if run is not None]
    if len(finished) == len(stored):
        return finished

    missing = [config for config, run in zip(configs, stored, strict=True) if run is None]
    output.check_run_folders(folder for folder, run in zip(folders, stored, strict=True) if run is None)
    check_ahead(missing, lambda _: task, args)
    if not options.several(args):
        output.announce_isolation(task)
    with RunSampler(args) as sample:
        sample.prepare(configs[0])
        with sampling_bars() as bar:
            return [
                run or sample(config, folder, task, bar(config.order))
                for run, config, folder in zip(stored, configs, folders, strict=True)
            ]


def _settings(runs: Sequence[Run], summary: RunSummary) -> dict[str, Any]:
    """Settings and run folders as JSON values."""
    config = runs[0].config
    return {
        "model": config.model,
        "adapter": config.adapter,
        "task": config.task,
        "problems": summary.problems,
        "num_samples": config.num_samples,
        "counted": runs[0].counted,
        "sampling": dataclasses.asdict(config.sampling),
        "runs": [
            {
                "order": run.config.order,
                "folder": str(run.folder),
                "verdicts": run.tally(),
                "device": run.record["environment"]["device"],
                "dtype": run.record["environment"]["dtype"],
            }
            for run in runs
        ],
    }


# ----- the terminal -----


def _shown(
    runs: Sequence[Run],
    summaries: Sequence[RunSummary],
    differences: Sequence[pd.DataFrame],
    endings: pd.DataFrame,
    votes: pd.DataFrame | None,
) -> Iterator[str | Table]:
    """The tables and, below them, the settings."""
    first = summaries[0]
    level = next(iter(first.pass_at_k.values())).level
    yield f"Pass@k in percent, with {100 * level:g} % intervals over problems{formatting.counted(runs)}"
    yield _pass_table(runs, summaries, endings)
    if differences:
        yield f"Difference to {first.order} in percentage points, paired by problem, with a band"
        yield _difference_table(summaries, differences)
        yield formatting.VERDICTS
    if votes is not None:
        yield "In percent: maj@k, the most frequent answer of k samples is right; all@k, k samples are all right"
        yield _votes_table(votes)
    yield _setting_line(runs[0], first)
    for run in runs:
        made = run.record["environment"]
        drawn = f"{made['dtype']} on {made['device']}"
        if run.imported:
            drawn = "imported from {file}, read as {form}".format(**run.record["imported"])
        yield f"{run.config.order}: {drawn}, {run.folder}"


def _pass_table(runs: Sequence[Run], summaries: Sequence[RunSummary], endings: pd.DataFrame) -> Table:
    orders = [summary.order for summary in summaries]
    rows: list[list[str] | None] = []
    for k in summaries[0].pass_at_k:
        rows.append([f"pass@{k}", *(summary.pass_at_k[k].text(scale=100) for summary in summaries)])
    rows += [
        None,
        *([f"{name}, % of samples", *shares] for name, shares in formatting.other_verdicts(runs).items()),
        ["NFE per sample", *(_or_dash(summary.nfe) for summary in summaries)],
        ["tokens per forward", *(_or_dash(summary.tokens_per_forward, form=".2f") for summary in summaries)],
        *(
            [f"{ending}, %", *(f"{share:.1f}" for share in own["percent"])]
            for ending, own in endings.groupby("ending", sort=False)
        ),
        ["canvases saved, %", *(_or_dash(summary.saved, scale=100) for summary in summaries)],
        ["samples per second", *(_or_dash(summary.samples_per_second) for summary in summaries)],
    ]
    return formatting.table(["", *orders], rows, right=orders)


def _difference_table(summaries: Sequence[RunSummary], differences: Sequence[pd.DataFrame]) -> Table:
    from flexeval.stats.intervals import p_value_text

    first, *others = summaries
    names = [f"{other.order} − {first.order}" for other in others]
    rows = []
    for k in first.pass_at_k:
        cells = [f"pass@{k}"]
        for compared in differences:
            at = compared.set_index("k").to_dict("index")[k]
            band = formatting.estimate(at["difference"], at["band_low"], at["band_high"], "+.1f")
            cells += [band, p_value_text(at["p_value"]), at["verdict"]]
        rows.append(cells)
    columns = ["", *(column for name in names for column in (name, "p", "verdict"))]
    return formatting.table(columns, rows, right=[*names, "p"])


def _votes_table(votes: pd.DataFrame) -> Table:
    """One row a measure and k, one column an order."""
    orders = list(dict.fromkeys(votes["order"]))
    rows: list[list[str] | None] = []
    for (measure, k), own in votes.groupby(["measure", "k"], sort=False):
        bounds = own[["estimate", "low", "high"]].itertuples(index=False)
        rows += [None] if rows and k == votes["k"].iloc[0] else []
        rows.append([f"{measure}@{k}", *(formatting.estimate(*of_run) for of_run in bounds)])
    return formatting.table(["", *orders], rows, right=orders)


def _or_dash(value: float | None, scale: float = 1, form: str = ".1f") -> str:
    return "-" if value is None else f"{scale * value:{form}}"


def _setting_line(run: Run, summary: RunSummary) -> str:
    sampling = run.config.sampling
    return ", ".join(
        [
            f"model {run.model}",
            f"task {run.config.task}",
            f"{summary.problems} problems",
            f"n = {run.config.num_samples}",
            f"T = {sampling.temperature:g}",
            f"gen_length {sampling.gen_length}",
            f"block_length {sampling.block}",
            sampling.pace,
            f"seed {sampling.seed}",
            *sampling.unusual,
        ]
    )
