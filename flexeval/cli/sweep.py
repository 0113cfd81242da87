"""`flexeval sweep`: one run for every combination of settings."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flexeval.cli import formatting, options, stored_runs
from flexeval.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from flexeval.runs.store import Run, RunSet

EPILOG = """\
examples:
  flexeval sweep --over block_length=1,2,4,8,16,32 --order confidence
  flexeval sweep --over temperature=0.3,0.6,1.0 --order ar --order confidence --num-samples 32
  flexeval sweep --over order.gamma=0.05,0.1,0.5 --order eb --order ar
  flexeval sweep --over task.facts=2,3 --over block_length=8,whole --order confidence --order top_prob

--over NAME=VALUE,VALUE takes any setting of this page by its name, and parameters of orders and tasks (order.gamma,
task.facts), which go to those that have them. block_length=whole is the whole canvas. Orders vary fastest, the first
--over slowest. Each run has the folder below --out that `flexeval passk` would use: what is stored is not sampled
again, and after a stop the same command continues. A combination that cannot be drawn is refused before the first
sample, as far as that can be told without the weights. If a run fails, the others go on, and the exit status is 1.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    grid = parser.add_argument_group("grid")
    grid.add_argument(
        "--over",
        metavar="NAME=V,V,...",
        action="append",
        default=[],
        help="A setting and its values. May be given several times; every combination is run.",
    )
    options.add_run(grid)
    options.add_sampling(parser)
    options.add_machine(parser, batch=True)
    options.add_division(parser)
    options.add_estimate(parser)
    output = parser.add_argument_group("output")
    options.add_runs_folder(output, "-o", "--out")
    options.add_files(output, rows="one row for each run and k")
    options.add_verdict(output)


def run(args: argparse.Namespace) -> int:
    """Make the runs, print the table, and report what failed."""
    from flexeval.cli import execute, output
    from flexeval.reproduce.grid import expand
    from flexeval.reproduce.results import pass_at_k_frame
    from flexeval.runs.store import RunSet

    configs = expand({"limit": [str(options.DEFAULT_LIMIT)], **_settings(args)})
    options.check_machine(args)
    options.check_estimate(args)
    options.settle_shard(args)
    execute.check_verdict(args, configs)
    output.check_targets({"--json": args.json, "--csv": args.csv})
    if args.dry_run:
        from flexeval.cli.dry_run import dry_runs

        dry_runs(configs, args)
        return 0
    outcomes = execute.make_runs(configs, args, args.out, parameters={})
    made = [outcome for outcome in outcomes if outcome.run is not None]
    found = stored_runs.whole([o.run for o in made if o.run], [outcome.cell.config for outcome in made], args)
    runs = RunSet(tuple(found or ())).counting(args.verdict)
    if len(runs):
        title = f"Pass@k in percent, with 95 % intervals over problems{formatting.counted(runs)}"
        rows = pass_at_k_frame(runs, ks=())
        content = {"runs": stored_runs.about(runs), "counted": args.verdict, "pass_at_k": formatting.json_rows(rows)}
        output.deliver(args, [title, _table(runs)], content, rows)
    return execute.report_failures(outcomes)


def _settings(args: argparse.Namespace) -> dict[str, Sequence[str]]:
    """Name -> values: first those of --over, as given, then the other options, with one value each."""
    from flexeval.records import RunConfig, SamplingConfig

    settings: dict[str, Sequence[str]] = {}
    for text in args.over:
        name, values = _over(text)
        if name in settings:
            raise InputError(f"--over {name} is given twice; write all values in one, as in --over {name}=1,2,3")
        settings[name] = values
    fixed = {
        **options.given(args, RunConfig, skip=("sampling", "order")),
        **options.given(args, SamplingConfig),
    }
    alone = {name: [str(value)] for name, value in fixed.items()}
    if "order" in args:
        alone["order"] = args.order
    if twice := sorted(settings.keys() & alone.keys()):
        raise InputError(f"{twice[0]} is given as an option and in --over; keep one of the two")
    return {**settings, **alone}


def _over(text: str) -> tuple[str, list[str]]:
    name, equals, rest = text.partition("=")
    values = [value.strip() for value in rest.split(",")]
    name = name.strip().replace("-", "_")
    if not equals or not all(values):
        raise InputError(f"cannot read --over {text!r}; write a setting and its values, as in block_length=1,8,32")
    if name in ("num_samples", "limit"):
        flag = f"--{name.replace('_', '-')}"
        raise InputError(
            f"--over cannot vary {name}: a smaller run is part of a larger one; give the largest as {flag}"
        )
    if len(set(values)) < len(values):
        raise InputError(f"--over {text!r} has a value twice; keep it once")
    return name, values


def _table(runs: RunSet) -> Table:
    """One row for each run: what differs between runs, Pass@1, Pass@n, other verdicts, evaluations."""
    settings = runs.settings()
    columns = ["order", *(name for name in runs.varying() if name not in ("order", "problems"))]
    ks = sorted({1, runs[0].config.num_samples})
    others = formatting.other_verdicts(runs)
    numbers = [*(f"pass@{k}" for k in ks), *(f"{name}, %" for name in others), "NFE per sample"]
    rows = [
        [*(str(values[name]) for name in columns), *_pass(run, ks), *shares, f"{run.samples['nfe'].mean():.1f}"]
        for run, (_, values), *shares in zip(runs, settings.iterrows(), *others.values(), strict=True)
    ]
    right = [*(name for name in columns if name not in ("order", "task", "model")), *numbers]
    return formatting.table([*columns, *numbers], rows, right=right, keys=len(columns))


def _pass(run: Run, ks: Sequence[int]) -> list[str]:
    from flexeval.stats.bootstrap import interval
    from flexeval.stats.pass_at_k import pass_at_k_table

    at = interval(pass_at_k_table(run.counts(), ks))
    return [at[k].text(scale=100) for k in ks]
