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

_EPILOG = """\
examples:
  flexeval reproduce --quick                          the bundled model, a few runs
  flexeval reproduce                                  the bundled model, the whole plan
  flexeval reproduce --preset tiny-grpo               the bundled model before and after GRPO, which it trains
  flexeval reproduce --preset llada --data-dir data   the paper's models and benchmarks, on a GPU
  flexeval reproduce --preset llada --dry-run         what that would take
  flexeval reproduce --plan mine.yaml                 your own

Makes the trainings and runs of a plan that are not stored, and from all runs Pass@k tables, figures, report.html and
the claims table. Run folders, which are large, go to --runs, trainings to its folder grpo; the results, which are
small, to --out. The same command continues after a stop. A run or training that fails does not stop the others; the
exit status is then 1. Training on several GPUs: `accelerate launch -m flexeval grpo ... --out RUNS/grpo/NAME`, before.

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
    estimate.add_argument(
        "--dry-run", action="store_true", help="Print what would be made and what it takes, and stop."
    )
    options.add_fields(estimate, Machine)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make trainings and runs, then everything that is made of them."""
    from flexeval.cli import cells, dry_run, output, trainings
    from flexeval.reproduce.estimate import Machine
    from flexeval.reproduce.plan import PRESETS, read_plan, read_preset
    from flexeval.reproduce.trainings import with_folders, without_failed

    if args.plan is not None and args.quick:
        raise InputError("--quick is for presets; leave it out, or write a smaller plan")
    plan = read_preset(args.preset or PRESETS[0], quick=args.quick) if args.plan is None else read_plan(args.plan)
    machine = Machine(**options.given(args, Machine))
    options.check_machine(args)
    options.check_folder(args.runs, what="--runs")
    options.check_folder(args.out or Path("results") / plan.name, what="--out")
    console = output.console()
    if args.dry_run:
        dry_run.show(console, plan, machine, args)
        return 0

    options.check_device(args)
    trained = trainings.make_trainings(plan.trainings, args, args.runs)
    configs = with_folders(without_failed(plan.configs, trained), plan.trainings, args.runs)
    outcomes = cells.make_runs(configs, args, args.runs, plan.parameters)
    made = [outcome.run for outcome in outcomes if outcome.run is not None]
    if not made:
        return max(trainings.report_failures(trained), cells.report_failures(outcomes))

    from flexeval.claims import examine
    from flexeval.figures import make_figures
    from flexeval.report import write_report
    from flexeval.reproduce import results
    from flexeval.runs.store import RunSet

    runs, out = RunSet(tuple(made)), args.out or Path("results") / plan.name
    findings = examine(runs)
    results.write_tables(runs, findings, out, title=plan.title, ks=plan.ks)
    figures = make_figures(runs, out / results.FIGURES)
    write_report(runs, out / results.REPORT)

    _show_claims(console, findings)
    console.print(f"{len(figures)} figure files, {results.PASS_AT_K}.md and {results.CLAIMS}.md are in {out}")
    console.print(f"report: {out / results.REPORT}")
    return max(trainings.report_failures(trained), cells.report_failures(outcomes))


def _show_claims(console: Console, findings: Sequence[Finding]) -> None:
    from rich.table import Table

    from flexeval.claims import findings_footer
    from flexeval.cli.stored import p_value

    table = Table(show_lines=True, title="Claims", title_justify="left")
    for name in ("claim", "task", "measured", "reported", "p", "verdict"):
        table.add_column(name, overflow="fold")
    for finding in findings:
        sentence = f"{finding.sentence}\n({finding.source})"
        p = "-" if finding.p_holm is None else p_value(finding.p_holm)
        table.add_row(sentence, finding.task or "-", finding.measured, finding.paper or "-", p, finding.verdict)
    console.print(table)
    for line in findings_footer(findings):
        console.print(line, soft_wrap=True)
