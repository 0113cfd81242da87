"""`flexeval reproduce --dry-run`: what a plan would make, what is stored of it, and how long the rest takes."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexeval.cli import formatting, output

if TYPE_CHECKING:
    from rich.table import Table

    from flexeval.records import RunConfig
    from flexeval.reproduce.estimate import Estimate, Machine
    from flexeval.reproduce.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One run of a plan."""

    config: RunConfig
    problems: int
    cost: Estimate
    minutes: float | None
    """On this machine; None where the model is not here, or too large to be timed."""
    stored: bool


def dry_run(plan: Plan, machine: Machine, args: argparse.Namespace) -> None:
    """Print it, and write it where --json and --csv say."""
    import pandas as pd

    runs = list(_planned(plan, machine, args))
    rows = [_row(run) for run in runs]
    content = {"plan": plan.name, "trainings": len(plan.trainings), "runs": rows}
    output.deliver(args, _shown(plan, machine, args, runs), content, pd.DataFrame(rows))


def _planned(plan: Plan, machine: Machine, args: argparse.Namespace) -> Iterator[Planned]:
    from flexeval.reproduce.estimate import count_parameters, count_problems, estimate, evaluations_per_sample
    from flexeval.reproduce.trainings import base_model, with_folders
    from flexeval.runs.store import default_folder_name, read_finished_run
    from flexeval.tasks import get_task

    timed = _Timed(args)
    for config, placed in zip(plan.configs, with_folders(plan.configs, plan.trainings, args.runs), strict=True):
        task = get_task(config.task, data_dir=args.data_dir)
        problems = count_problems(config, task)
        base = base_model(config.model, plan.trainings)
        size = count_parameters(base, plan.parameters)
        cost = estimate(config, problems=problems, parameters=size, machine=machine)
        per_evaluation = timed.seconds_per_evaluation(config, base, task) if base not in plan.parameters else None
        seconds = None if per_evaluation is None else cost.samples * evaluations_per_sample(config) * per_evaluation
        yield Planned(
            config=config,
            problems=problems,
            cost=cost,
            minutes=None if seconds is None else seconds / 60,
            stored=read_finished_run(args.runs / default_folder_name(placed), placed) is not None,
        )


class _Timed:
    """Draws a few samples of each model and task, once."""

    def __init__(self, args: argparse.Namespace) -> None:
        from flexeval.cli.execute import RunSampler

        self._sampler = RunSampler(args)
        self._known: dict[tuple[Any, ...], float | None] = {}

    def seconds_per_evaluation(self, config: RunConfig, model: str, task: Any) -> float | None:
        """Seconds for each evaluation that is counted of a sample; early ends and shared canvases make it less than
        one evaluation takes. None where the model is not timed.
        """
        from flexeval.reproduce.estimate import count_parameters, evaluations_per_sample
        from flexeval.reproduce.timing import MOST_WEIGHTS, seconds_per_sample

        config = dataclasses.replace(config, model=model)
        asked, sampling = (model, config.attention, config.adapter, config.task), config.sampling
        key = (*asked, sampling.gen_length, sampling.cache, sampling.batch_invariant)
        if key not in self._known:
            size = count_parameters(model, {})
            if size is None or size > MOST_WEIGHTS:
                self._known[key] = None
            else:
                seconds = seconds_per_sample(config, task, self._sampler.model(config))
                self._known[key] = seconds / evaluations_per_sample(config)
        return self._known[key]


def _row(run: Planned) -> dict[str, Any]:
    sampling = run.config.sampling
    return {
        "run": run.config.order,
        "order": run.config.order,
        "model": run.config.model,
        "task": run.config.task,
        "temperature": sampling.temperature,
        "gen_length": sampling.gen_length,
        "block_length": sampling.block,
        "seed": sampling.seed,
        "problems": run.problems,
        "num_samples": run.config.num_samples,
        "samples": run.cost.samples,
        "nfe_at_most": run.cost.evaluations,
        "gpu_hours": run.cost.gpu_hours,
        "minutes_here": run.minutes,
        "stored": run.stored,
    }


# ----- the terminal -----


def _shown(plan: Plan, machine: Machine, args: argparse.Namespace, runs: Sequence[Planned]) -> Iterator[str | Table]:
    trainings = f"{len(plan.trainings)} trainings, " if plan.trainings else ""
    yield f"{plan.title}: {trainings}{len(plan.configs)} runs"
    if plan.description:
        yield plan.description
    if plan.trainings:
        yield _trainings_table(plan, args.runs)
    yield _runs_table(runs)
    uncounted = " Trainings are not counted." if plan.trainings else ""
    yield (
        f"GPU-hours: NFE x 2 x parameters x (gen_length + {machine.prompt_tokens} prompt tokens) operations, at "
        f"{100 * machine.utilization:g} % of {machine.peak_tflops:g} TFLOP/s. This is an upper bound: texts that end "
        f"early, equal canvases, and orders that commit several tokens a step take less.{uncounted}"
    )
    yield _line_of_minutes(runs) + uncounted


def _line_of_minutes(runs: Sequence[Planned]) -> str:
    missing = [run.minutes for run in runs if not run.stored]
    known = [minutes for minutes in missing if minutes is not None]
    if not missing:
        return "On this machine: nothing is left to draw."
    if not known:
        return "On this machine: not known; only models of up to 100 million weights that are here are timed."
    rest = f", and {len(missing) - len(known)} runs of models that are not timed" if len(known) < len(missing) else ""
    return (
        f"On this machine: about {_few(sum(known))} minutes for what is not stored{rest}. A few samples of each model "
        "and task were drawn and timed; grading is left out."
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


def _runs_table(runs: Sequence[Planned]) -> Table:
    rows: list[list[str] | None] = []
    for run in runs:
        counts = [str(run.problems), str(run.config.num_samples), f"{run.cost.samples:,}", f"{run.cost.evaluations:,}"]
        takes = [_few(run.cost.gpu_hours), _few(run.minutes)]
        rows.append([formatting.run_name(run.config), *counts, *takes, "yes" if run.stored else ""])
    rows += [None, _total("all", runs), _total("not stored", [run for run in runs if not run.stored])]
    columns = ["run", "problems", "n", "samples", "NFE at most", "GPU-hours", "minutes here", "stored"]
    return formatting.table(columns, rows, right=columns[1:7])


def _total(name: str, runs: Sequence[Planned]) -> list[str]:
    samples, evaluations = (sum(getattr(run.cost, part) for run in runs) for part in ("samples", "evaluations"))
    hours, minutes = _sum([run.cost.gpu_hours for run in runs]), _sum([run.minutes for run in runs])
    return [name, "", "", f"{samples:,}", f"{evaluations:,}", hours, minutes, ""]


def _sum(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if values and not known:
        return "-"
    return _few(sum(known)) + ("" if len(known) == len(values) else " and unknown")


def _few(value: float | None) -> str:
    """Hours or minutes in a few digits."""
    return "-" if value is None else f"{value:,.1f}" if value >= 0.05 or value == 0 else f"{value:.1g}"
