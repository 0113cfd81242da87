"""`flexeval reproduce`: a whole plan of runs, their figures, and which claims hold."""

from __future__ import annotations

import argparse
import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from flexeval.cli import claims, formatting, options, stored_runs
from flexeval.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flexeval.reproduce.plan import Plan
    from flexeval.reproduce.trainings import Training
    from flexeval.tasks import Task

EPILOG = """\
examples:
  flexeval reproduce --quick                          bundled models, a few runs
  flexeval reproduce                                  bundled models, the whole plan
  flexeval reproduce --preset forks-grpo              a bundled model before and after GRPO, which it trains
  flexeval reproduce --preset llada --data-dir data   the paper's models and benchmarks, on a GPU
  flexeval reproduce --preset llada --dry-run         what that would take, there and on this machine
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
    from flexeval.reproduce.plan import PRESETS

    plan = parser.add_argument_group("plan")
    which = plan.add_mutually_exclusive_group()
    which.add_argument("--preset", metavar="|".join(PRESETS), help=f"One of our plans. [default: {PRESETS[0]}]")
    which.add_argument("--plan", metavar="FILE", type=Path, help="A plan of your own.")
    plan.add_argument("--quick", action="store_true", help="The small version of the preset.")
    output = parser.add_argument_group("output")
    options.add_out(output, metavar="DIR", help="Folder of the results. [default: results/ and the plan's name]")
    options.add_runs_folder(output, "--runs")
    options.add_verdict(output, of_plan=True)
    options.add_files(output, rows="one row for each claim, model and task; with --dry-run, for each run")
    options.add_machine(parser, batch=True)
    options.add_division(parser)
    options.add_estimate(parser, of_plan=True)


def run(args: argparse.Namespace) -> int:
    """Make trainings and runs, then everything that is made from them."""
    from flexeval.cli import execute, output
    from flexeval.reproduce.plan import PRESETS, read_plan, read_preset
    from flexeval.reproduce.trainings import lacking, with_folders, without_failed
    from flexeval.tasks import get_task

    if args.plan is not None and args.quick:
        raise InputError("--quick is for presets; leave it out, or write a smaller plan")
    plan = read_preset(args.preset or PRESETS[0], quick=args.quick) if args.plan is None else read_plan(args.plan)
    args.verdict = args.verdict or plan.verdict
    out = args.out or Path("results") / plan.name
    machine = options.estimated_machine(args)
    options.check_machine(args)
    options.check_estimate(args)
    options.settle_shard(args)
    execute.check_verdict(args, plan.configs)
    output.check_folder(args.runs, what="--runs")
    output.check_folder(out, what="--out")
    output.check_targets({"--json": args.json, "--csv": args.csv})
    load_task = functools.cache(functools.partial(get_task, data_dir=args.data_dir))
    to_make = lacking(plan.trainings, args.runs)
    if to_make:
        execute.check_training_device(args.device)
    _check_trainings(to_make, load_task, fetch=not args.dry_run)
    if args.dry_run:
        from flexeval.cli.dry_run import dry_run

        dry_run(plan, machine, args)
        return 0

    if not options.several(args):
        options.check_device(args)
    _require_trained(plan, args)
    if to_make:
        _check_runs(plan, to_make, load_task, args)
    trained = execute.make_trainings(plan.trainings, args, args.runs)
    configs = with_folders(without_failed(plan.configs, trained), plan.trainings, args.runs)
    outcomes = execute.make_runs(configs, args, args.runs, plan.parameters)
    outcomes_made = [outcome for outcome in outcomes if outcome.run is not None]
    parts = [outcome.run for outcome in outcomes_made if outcome.run is not None]
    made = stored_runs.whole(parts, [outcome.cell.config for outcome in outcomes_made], args)
    if made:
        from flexeval.claims import examine, findings_frame
        from flexeval.claims.replicates import are_replicated, replicate
        from flexeval.cli.progress import stages
        from flexeval.figures import make_figures
        from flexeval.report import write_report
        from flexeval.reproduce import results
        from flexeval.runs.store import RunSet

        runs = RunSet(tuple(made)).counting(args.verdict)
        with stages("results") as say:
            say("claims")
            findings = examine(runs)
            results.write_tables(runs, findings, out, title=plan.title, ks=plan.ks)
            replicated = replicate(runs) if are_replicated(runs) else []
            if replicated:
                results.write_replicates(replicated, out, title=plan.title)
            for other in runs.other_verdicts():
                seen_by = runs.counting(other)
                name = f"{results.CLAIMS}-{other}"
                results.write_claims(examine(seen_by), out, title=plan.title, name=name)
                if replicated:
                    name = f"{results.REPLICATES}-{other}"
                    results.write_replicates(replicate(seen_by), out, title=plan.title, name=name)
            say("figures")
            figures = make_figures(runs, out / results.FIGURES)
            write_report(runs, out / results.REPORT, say=lambda stage: say(f"the report, {stage}"))

        content = {"counted": args.verdict, "claims": formatting.json_rows(findings_frame(findings))}
        lines = [*claims.shown(findings), *(claims.replicates_shown(replicated) if replicated else [])]
        output.deliver(args, lines, content, findings_frame(findings))
        files = f"{len(figures)} figure files, {results.PASS_AT_K}.md and {results.CLAIMS}.md are in {out}"
        output.show([files, f"report: {out / results.REPORT}"], stdout_taken=args.json == "-")
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


def _check_trainings(to_make: Sequence[Training], load_task: Callable[[str], Task], *, fetch: bool) -> None:
    """Raise InputError for a training that can be told to be impossible before any is begun: they may take hours.

    Args:
        to_make: those that lack a checkpoint.
        load_task: task spec -> task with its data.
        fetch: look also at data that would have to be fetched from the hub.
    """
    from flexeval.grpo.problems import check_ahead, training_task

    for training in to_make:
        config = training.config
        try:
            check_ahead(config, training_task(load_task(config.task), config.task), fetch=fetch)
        except InputError as error:
            raise InputError(f"training {training.name}: {error}") from None


def _check_runs(
    plan: Plan, to_make: Sequence[Training], load_task: Callable[[str], Task], args: argparse.Namespace
) -> None:
    """Raise InputError for a run that can be told to be impossible before the trainings are made."""
    from flexeval.cli import output
    from flexeval.cli.execute import check_ahead
    from flexeval.reproduce.sweep import cells
    from flexeval.reproduce.trainings import base_model, find_training

    found = [(config, find_training(config.model, plan.trainings)) for config in plan.configs]
    apart = [config for config, training in found if training is None]
    stored = cells(apart, out=args.runs, load_task=load_task, dtype=args.dtype, shard=args.shard)
    missing = [cell for cell in stored if cell.stored is None]
    output.check_run_folders(cell.folder for cell in missing)
    # A checkpoint has the context and the vocabulary of the model that it is trained from.
    trained = [
        dataclasses.replace(config, model=base_model(config.model, plan.trainings))
        for config, training in found
        if training is not None and training[0] in to_make
    ]
    check_ahead([*(cell.config for cell in missing), *trained], load_task, args)
