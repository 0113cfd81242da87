"""`flexeval reproduce`: a whole plan of runs, their figures, and which claims they bear out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexeval.cli import options
from flexeval.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from flexeval.claims import Finding
    from flexeval.reproduce.estimate import Machine
    from flexeval.reproduce.plan import Plan

_EPILOG = """\
examples:
  flexeval reproduce --quick                          the bundled model, a few runs
  flexeval reproduce                                  the bundled model, the whole plan
  flexeval reproduce --preset llada --data-dir data   the paper's models and benchmarks, on a GPU
  flexeval reproduce --preset llada --dry-run         what that would take
  flexeval reproduce --plan mine.yaml                 your own

Makes the runs of a plan that are not stored, and from all of them Pass@k tables, figures, report.html and the claims
table. Run folders, which are large, go to --runs; the results, which are small, to --out. The same command continues
after a stop. A run that fails does not stop the others; the exit status is then 1.

A plan is a YAML file; flexeval/reproduce/plan.py says what it may hold, and flexeval/reproduce/plans has the presets.
"""


def add_parser(verbs: Any) -> None:
    """Register the verb."""
    verbs.add_parser(
        "reproduce",
        help="make every run of a plan, every figure, and the table of claims",
        description="Make what is missing of a plan, every figure, and the table that says which claims hold.",
        epilog=_EPILOG,
        declare=_declare,
    )


def _declare(parser: argparse.ArgumentParser) -> None:
    from flexeval.reproduce.estimate import Machine
    from flexeval.reproduce.plan import PRESETS

    what = parser.add_argument_group("plan")
    which = what.add_mutually_exclusive_group()
    which.add_argument("--preset", metavar="|".join(PRESETS), help=f"A plan of ours. [default: {PRESETS[0]}]")
    which.add_argument("--plan", metavar="FILE", type=Path, help="A plan of your own.")
    what.add_argument("--quick", action="store_true", help="The small version of the preset.")
    output = parser.add_argument_group("output")
    output.add_argument(
        "-o", "--out", metavar="DIR", type=Path, help="Folder of the results. [default: results/, and the plan's name]"
    )
    output.add_argument(
        "--runs", metavar="DIR", type=Path, default=Path("runs"), help="Folder of run folders. [default: runs]"
    )
    options.add_machine(parser, batch=True)
    estimate = parser.add_argument_group("estimate")
    estimate.add_argument("--dry-run", action="store_true", help="Print the runs and what they take, and stop.")
    options.add_fields(estimate, Machine)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the runs, then everything that is made of them."""
    from flexeval.cli import cells, output
    from flexeval.reproduce.estimate import Machine
    from flexeval.reproduce.plan import PRESETS, read_plan, read_preset

    if args.plan is not None and args.quick:
        raise InputError("--quick is for presets; leave it out, or write a smaller plan")
    plan = read_preset(args.preset or PRESETS[0], quick=args.quick) if args.plan is None else read_plan(args.plan)
    machine = Machine(**options.given(args, Machine))
    console = output.console()
    if args.dry_run:
        _show_estimate(console, plan, machine, args)
        return 0

    outcomes = cells.make_runs(plan.configs, args, args.runs, plan.parameters)
    made = [outcome.run for outcome in outcomes if outcome.run is not None]
    if not made:
        return cells.report_failures(outcomes)

    from flexeval.claims import examine
    from flexeval.reproduce import results
    from flexeval.runs.store import RunSet

    runs, out = RunSet(tuple(made)), args.out or Path("results") / plan.name
    findings = examine(runs)
    results.write_tables(runs, findings, out, title=plan.title, ks=plan.ks)
    figures = results.write_figures(runs, out)
    report = results.write_report(runs, out)

    _show_claims(console, findings)
    console.print(f"{len(figures)} figure files, {results.PASS_AT_K}.md and {results.CLAIMS}.md are in {out}")
    console.print(f"report: {report}")
    return cells.report_failures(outcomes)


def _show_claims(console: Console, findings: Sequence[Finding]) -> None:
    from rich.table import Table

    table = Table(show_lines=True, title="Claims", title_justify="left")
    for name in ("claim", "task", "measured", "reported", "verdict"):
        table.add_column(name, overflow="fold")
    for finding in findings:
        sentence = f"{finding.sentence}\n({finding.source})"
        table.add_row(sentence, finding.task or "-", finding.measured, finding.paper or "-", finding.verdict)
    console.print(table)


def _show_estimate(console: Console, plan: Plan, machine: Machine, args: argparse.Namespace) -> None:
    """The runs in order, with what each takes at most."""
    from rich.table import Table

    from flexeval.cli.cells import label
    from flexeval.reproduce.estimate import count_parameters, count_problems, estimate
    from flexeval.runs.store import default_folder_name, read_finished_run
    from flexeval.tasks import get_task

    console.print(f"{plan.title}: {len(plan.configs)} runs", soft_wrap=True)
    if plan.description:
        console.print(plan.description, soft_wrap=True)
    table = Table()
    for name in ("run", "problems", "n", "samples", "NFE at most", "GPU-hours", "stored"):
        table.add_column(name, justify="left" if name in ("run", "stored") else "right")
    costs, missing = [], []
    for config in plan.configs:
        problems = count_problems(config, get_task(config.task, data_dir=args.data_dir))
        size = count_parameters(config.model, plan.parameters)
        cost = estimate(config, problems=problems, parameters=size, machine=machine)
        stored = read_finished_run(args.runs / default_folder_name(config), config) is not None
        costs.append(cost)
        missing += [] if stored else [cost]
        table.add_row(
            label(config), str(problems), str(config.num_samples), f"{cost.samples:,}",
            f"{cost.evaluations:,}", _hours(cost.gpu_hours), "yes" if stored else "",
        )  # fmt: skip
    table.add_section()
    for name, some in (("all", costs), ("not stored", missing)):
        known = [cost.gpu_hours for cost in some if cost.gpu_hours is not None]
        hours = _hours(sum(known)) + ("" if len(known) == len(some) else " and unknown sizes")
        samples, evaluations = sum(cost.samples for cost in some), sum(cost.evaluations for cost in some)
        table.add_row(name, "", "", f"{samples:,}", f"{evaluations:,}", hours, "")
    console.print(table)
    console.print(
        f"GPU-hours: NFE x 2 x parameters x (gen_length + {machine.prompt_tokens} prompt tokens) operations, at "
        f"{100 * machine.utilization:g} % of {machine.peak_tflops:g} TFLOP/s. At most: texts that end early, equal "
        "canvases and orders that commit several tokens a step make it less.",
        soft_wrap=True,
    )


def _hours(hours: float | None) -> str:
    return "-" if hours is None else f"{hours:,.1f}" if hours >= 0.05 else f"{hours:.1g}"
