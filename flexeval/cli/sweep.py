"""`flexeval sweep`: one run for every combination of settings."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexeval.cli import options
from flexeval.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from flexeval.runs.store import Run, RunSet

DEFAULT_LIMIT = 50

_EPILOG = """\
examples:
  flexeval sweep --over block_length=1,2,4,8,16,32 --order confidence
  flexeval sweep --over temperature=0.3,0.6,1.0 --order ar --order confidence --num-samples 32
  flexeval sweep --over order.gamma=0.05,0.1,0.5 --order eb --order ar
  flexeval sweep --over task.facts=2,3 --over block_length=8,whole --order confidence --order top_prob

--over NAME=VALUE,VALUE takes every setting of this page by its name, a parameter of an order or a task
(order.gamma, task.facts), and block_length=whole for the canvas. A parameter goes to the orders that have it.
Orders change fastest and the first --over slowest. Each run has its folder below --out, named by its settings, the
one that `flexeval passk` would use: what is there is not sampled again, and the same command continues after a stop.
A run that fails does not stop the others; the exit status is then 1.
"""


def add_parser(verbs: Any) -> None:
    """Register the verb."""
    verbs.add_parser(
        "sweep",
        help="sample a grid of settings, and print Pass@k of each",
        description="Sample what is missing of every combination of settings, and print Pass@k of each.",
        epilog=_EPILOG,
        declare=_declare,
    )


def _declare(parser: argparse.ArgumentParser) -> None:
    from flexeval.records import RunConfig

    grid = parser.add_argument_group("grid")
    grid.add_argument(
        "--over",
        metavar="NAME=V,V,...",
        action="append",
        default=[],
        help="A setting and its values. May be given several times: all combinations are run.",
    )
    options.add_fields(
        grid, RunConfig, skip=("sampling",), repeatable=("order",), defaults={"limit": str(DEFAULT_LIMIT)}
    )
    options.add_sampling(parser)
    options.add_machine(parser, batch=True)
    output = parser.add_argument_group("output")
    output.add_argument(
        "-o", "--out", metavar="DIR", type=Path, default=Path("runs"), help="Folder of run folders. [default: runs]"
    )
    output.add_argument("--csv", metavar="FILE", help="Also write one row a run and k.")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the runs, print the table, say what failed."""
    from flexeval.cli import cells, output
    from flexeval.reproduce.grid import expand
    from flexeval.reproduce.results import pass_at_k_frame
    from flexeval.runs.store import RunSet

    configs = expand({"limit": [str(DEFAULT_LIMIT)], **_settings(args)})
    options.check_machine(args)
    output.check_targets({"--csv": args.csv})
    outcomes = cells.make_runs(configs, args, args.out, parameters={})
    runs = RunSet(tuple(outcome.run for outcome in outcomes if outcome.run is not None))
    if len(runs):
        output.write_csv(args.csv, pass_at_k_frame(runs, ks=()))
        console = output.console()
        console.print("Pass@k in percent, with 95 % intervals over problems", soft_wrap=True)
        console.print(_table(runs))
    return cells.report_failures(outcomes)


def _settings(args: argparse.Namespace) -> dict[str, Sequence[str]]:
    """Name -> values: those of --over as they were given, then what the other options say, one value each."""
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
        raise InputError(f"{twice[0]} is given as an option and in --over; keep one of them")
    return {**settings, **alone}


def _over(text: str) -> tuple[str, list[str]]:
    name, equals, rest = text.partition("=")
    values = [value.strip() for value in rest.split(",")]
    name = name.strip().replace("-", "_")
    if not equals or not all(values):
        raise InputError(f"cannot read --over {text!r}; write a setting and its values, as in block_length=1,8,32")
    if name in ("num_samples", "limit"):
        flag = f"--{name.replace('_', '-')}"
        raise InputError(f"{name} says how much of a run to make, not which run; give the largest as {flag}")
    if len(set(values)) < len(values):
        raise InputError(f"--over {text!r} has a value twice; keep one")
    return name, values


def _table(runs: RunSet) -> Table:
    """A row a run: what differs between runs, Pass@1, Pass@n, and evaluations."""
    from rich.table import Table

    settings = runs.settings()
    columns = ["order", *(name for name in runs.varying() if name not in ("order", "problems"))]
    table = Table()
    for name in columns:
        table.add_column(name, justify="left" if name in ("order", "task", "model") else "right")
    ks = sorted({1, runs[0].config.num_samples})
    for name in (*(f"pass@{k}" for k in ks), "NFE per sample"):
        table.add_column(name, justify="right")
    for run, (_, values) in zip(runs, settings.iterrows(), strict=True):
        table.add_row(*(str(values[name]) for name in columns), *_numbers(run, ks))
    return table


def _numbers(run: Run, ks: Sequence[int]) -> list[str]:
    from flexeval.stats.bootstrap import interval
    from flexeval.stats.pass_at_k import pass_at_k_table

    at = interval(pass_at_k_table(run.counts(), ks))
    return [*(at[k].text(scale=100) for k in ks), f"{run.samples['nfe'].mean():.1f}"]
