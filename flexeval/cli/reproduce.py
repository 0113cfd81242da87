"""`flexeval reproduce`: a whole plan of runs, their figures, and which claims hold."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flexeval.cli import claims, formatting, options, stored_runs
from flexeval.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from flexeval.reproduce.estimate import Estimate, Machine
    from flexeval.reproduce.plan import Plan

EPILOG = """\
examples:
  flexeval reproduce --quick                          the bundled model, a few runs
  flexeval reproduce                                  the bundled model, the whole plan
  flexeval reproduce --preset tiny-grpo               the bundled model before and after GRPO, which it trains
  flexeval reproduce --preset llada --data-dir data   the paper's models and benchmarks, on a GPU
  flexeval reproduce --preset llada --dry-run         what that would take
  flexeval reproduce --preset replication             at which block length coverage is lost (--quick: bundled model)
  flexeval reproduce --plan mine.yaml                 your own

Makes the trainings and runs of a plan that are not stored, and from all runs the Pass@k tables, figures, report.html
and the table of claims. Run folders, which are large, go to --runs, trainings to its subfolder grpo, and the results,
which are small, to --out. After a stop the same command continues. If a run or a training fails, the others go on, and
the exit status is 1. To train on several GPUs, run `accelerate launch -m flexeval grpo ... --out RUNS/grpo/NAME` first.

A plan is a YAML file: flexeval/reproduce/plan.py says what it may contain, flexeval/reproduce/plans has the presets.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from flexeval.reproduce.estimate import Machine
    from flexeval.reproduce.plan import PRESETS

    plan = parser.add_argument_group("plan")
    which = plan.add_mutually_exclusive_group()
    which.add_argument("--preset", metavar="|".join(PRESETS), help=f"One of our plans. [default: {PRESETS[0]}]")
    which.add_argument("--plan", metavar="FILE", type=Path, help="A plan of your own.")
    plan.add_argument("--quick", action="store_true", help="The small version of the preset.")
    output = parser.add_argument_group("output")
    output.add_argument(
        "-o", "--out", metavar="DIR", type=Path, help="Folder of the results. [default: results/ and the plan's name]"
    )
    options.add_runs_folder(output, "--runs")
    options.add_verdict(output, of_plan=True)
    options.add_machine(parser, batch=True)
    options.add_division(parser)
    estimate = parser.add_argument_group("estimate")
    estimate.add_argument(
        "--dry-run", action="store_true", help="Print what would be made and what it takes, then stop."
    )
    options.add_fields(estimate, Machine)


def run(args: argparse.Namespace) -> int:
    """Make trainings and runs, then everything that is made from them."""
    from flexeval.cli import execute, output
    from flexeval.reproduce.estimate import Machine
    from flexeval.reproduce.plan import PRESETS, read_plan, read_preset
    from flexeval.reproduce.trainings import with_folders, without_failed

    if args.plan is not None and args.quick:
        raise InputError("--quick is for presets; leave it out, or write a smaller plan")
    plan = read_preset(args.preset or PRESETS[0], quick=args.quick) if args.plan is None else read_plan(args.plan)
    args.verdict = args.verdict or plan.verdict
    out = args.out or Path("results") / plan.name
    machine = Machine(**options.given(args, Machine))
    options.check_machine(args)
    options.settle_shard(args)
    execute.check_verdict(args, plan.configs)
    output.check_folder(args.runs, what="--runs")
    output.check_folder(out, what="--out")
    if args.dry_run:
        output.show(_dry_run(plan, machine, args))
        return 0

    if not options.several(args):
        options.check_device(args)
    _require_trained(plan, args)
    trained = execute.make_trainings(plan.trainings, args, args.runs)
    configs = with_folders(without_failed(plan.configs, trained), plan.trainings, args.runs)
    outcomes = execute.make_runs(configs, args, args.runs, plan.parameters)
    outcomes_made = [outcome for outcome in outcomes if outcome.run is not None]
    parts = [outcome.run for outcome in outcomes_made if outcome.run is not None]
    made = stored_runs.whole(parts, [outcome.cell.config for outcome in outcomes_made], args)
    if made:
        from flexeval.claims import examine
        from flexeval.figures import make_figures
        from flexeval.report import write_report
        from flexeval.reproduce import results
        from flexeval.runs.store import RunSet

        runs = RunSet(tuple(made)).counting(args.verdict)
        findings = examine(runs)
        results.write_tables(runs, findings, out, title=plan.title, ks=plan.ks)
        for other in runs.other_verdicts():
            seen_by = examine(runs.counting(other))
            results.write_claims(seen_by, out, title=plan.title, name=f"{results.CLAIMS}-{other}")
        figures = make_figures(runs, out / results.FIGURES)
        write_report(runs, out / results.REPORT)

        output.show(claims.shown(findings))
        files = f"{len(figures)} figure files, {results.PASS_AT_K}.md and {results.CLAIMS}.md are in {out}"
        output.show([files, f"report: {out / results.REPORT}"])
    return execute.report_failures(outcomes, trained)


def _require_trained(plan: Plan, args: argparse.Namespace) -> None:
    """Raise InputError where several shards would have to make the same training."""
    from flexeval.reproduce.trainings import missing_checkpoints
    from flexeval.runs.shards import WHOLE

    if args.shard != WHOLE and any(missing_checkpoints(training, args.runs) for training in plan.trainings):
        raise InputError(
            "the plan's trainings are not made yet, and each shard would make them; make them first, with --shard none "
            "or `flexeval grpo`"
        )


# ----- --dry-run: what a plan would make, what is stored of it, and what the rest takes -----


def _dry_run(plan: Plan, machine: Machine, args: argparse.Namespace) -> Iterator[str | Table]:
    trainings = f"{len(plan.trainings)} trainings, " if plan.trainings else ""
    yield f"{plan.title}: {trainings}{len(plan.configs)} runs"
    if plan.description:
        yield plan.description
    if plan.trainings:
        yield _trainings_table(plan, args.runs)
    yield _runs_table(plan, machine, args)
    yield (
        f"GPU-hours: NFE x 2 x parameters x (gen_length + {machine.prompt_tokens} prompt tokens) operations, at "
        f"{100 * machine.utilization:g} % of {machine.peak_tflops:g} TFLOP/s. This is an upper bound: texts that end "
        "early, equal canvases, and orders that commit several tokens a step take less."
        + (" Trainings are not counted." if plan.trainings else "")
    )


def _trainings_table(plan: Plan, runs: Path) -> Table:
    from flexeval.reproduce.trainings import missing_checkpoints

    rows = []
    for training in plan.trainings:
        config = training.config
        samples = config.steps * config.problems_per_step * config.group_size
        wanted, missing = len(config.checkpoint_steps), len(missing_checkpoints(training, runs))
        stored = f"{wanted - missing} of them" if missing < wanted else ""
        name = f"{training.name}: {config.model} {config.task} {config.rollout_order}{' (fast)' if config.fast else ''}"
        rows.append([name, str(config.steps), f"{samples:,}", str(wanted), stored if missing else "yes"])
    columns = ["training", "steps", "samples", "checkpoints", "stored"]
    return formatting.table(columns, rows, right=columns[1:4])


def _runs_table(plan: Plan, machine: Machine, args: argparse.Namespace) -> Table:
    from flexeval.reproduce.estimate import count_parameters, count_problems, estimate
    from flexeval.reproduce.trainings import base_model, with_folders
    from flexeval.runs.store import default_folder_name, read_finished_run
    from flexeval.tasks import get_task

    rows: list[list[str] | None] = []
    costs, missing = [], []
    for config, placed in zip(plan.configs, with_folders(plan.configs, plan.trainings, args.runs), strict=True):
        problems = count_problems(config, get_task(config.task, data_dir=args.data_dir))
        size = count_parameters(base_model(config.model, plan.trainings), plan.parameters)
        cost = estimate(config, problems=problems, parameters=size, machine=machine)
        stored = read_finished_run(args.runs / default_folder_name(placed), placed) is not None
        costs.append(cost)
        missing += [] if stored else [cost]
        counts = [str(problems), str(config.num_samples), f"{cost.samples:,}", f"{cost.evaluations:,}"]
        rows.append([formatting.run_name(config), *counts, _hours(cost.gpu_hours), "yes" if stored else ""])
    rows += [None, _total("all", costs), _total("not stored", missing)]
    columns = ["run", "problems", "n", "samples", "NFE at most", "GPU-hours", "stored"]
    return formatting.table(columns, rows, right=columns[1:6])


def _total(name: str, costs: Sequence[Estimate]) -> list[str]:
    known = [cost.gpu_hours for cost in costs if cost.gpu_hours is not None]
    hours = _hours(sum(known)) + ("" if len(known) == len(costs) else " and unknown sizes")
    samples, evaluations = sum(cost.samples for cost in costs), sum(cost.evaluations for cost in costs)
    return [name, "", "", f"{samples:,}", f"{evaluations:,}", hours, ""]


def _hours(hours: float | None) -> str:
    return "-" if hours is None else f"{hours:,.1f}" if hours >= 0.05 else f"{hours:.1g}"
