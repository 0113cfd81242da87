"""`flexeval reproduce --dry-run`: what a plan would make, what is stored of it, and what the rest takes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from flexeval.reproduce.estimate import Machine
    from flexeval.reproduce.plan import Plan


def show(console: Console, plan: Plan, machine: Machine, args: argparse.Namespace) -> None:
    """Trainings and runs in order, with what each run takes at most."""
    trainings = f"{len(plan.trainings)} trainings, " if plan.trainings else ""
    console.print(f"{plan.title}: {trainings}{len(plan.configs)} runs", soft_wrap=True)
    if plan.description:
        console.print(plan.description, soft_wrap=True)
    if plan.trainings:
        _show_trainings(console, plan, args.runs)
    _show_runs(console, plan, machine, args)


def _show_trainings(console: Console, plan: Plan, runs: Path) -> None:
    from rich.table import Table

    from flexeval.reproduce.trainings import missing_checkpoints

    table = Table()
    for name in ("training", "steps", "samples", "checkpoints", "stored"):
        table.add_column(name, justify="left" if name in ("training", "stored") else "right")
    for training in plan.trainings:
        config = training.config
        samples = config.steps * config.problems_per_step * config.group_size
        wanted, missing = len(config.checkpoint_steps), len(missing_checkpoints(training, runs))
        stored = f"{wanted - missing} of them" if missing < wanted else ""
        table.add_row(
            f"{training.name}: {config.model} {config.task} {config.rollout_order}{' (fast)' if config.fast else ''}",
            str(config.steps), f"{samples:,}", str(wanted), stored if missing else "yes",
        )  # fmt: skip
    console.print(table)


def _show_runs(console: Console, plan: Plan, machine: Machine, args: argparse.Namespace) -> None:
    from rich.table import Table

    from flexeval.cli.cells import label
    from flexeval.reproduce.estimate import count_parameters, count_problems, estimate
    from flexeval.reproduce.trainings import base_model, with_folders
    from flexeval.runs.store import default_folder_name, read_finished_run
    from flexeval.tasks import get_task

    table = Table()
    for name in ("run", "problems", "n", "samples", "NFE at most", "GPU-hours", "stored"):
        table.add_column(name, justify="left" if name in ("run", "stored") else "right")
    costs, missing = [], []
    for config, placed in zip(plan.configs, with_folders(plan.configs, plan.trainings, args.runs), strict=True):
        problems = count_problems(config, get_task(config.task, data_dir=args.data_dir))
        size = count_parameters(base_model(config.model, plan.trainings), plan.parameters)
        cost = estimate(config, problems=problems, parameters=size, machine=machine)
        stored = read_finished_run(args.runs / default_folder_name(placed), placed) is not None
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
        "canvases and orders that commit several tokens a step make it less."
        + (" Trainings are not counted." if plan.trainings else ""),
        soft_wrap=True,
    )


def _hours(hours: float | None) -> str:
    return "-" if hours is None else f"{hours:,.1f}" if hours >= 0.05 else f"{hours:.1g}"
