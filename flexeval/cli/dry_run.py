"""`--dry-run`: what a command would draw, what is stored of it, and what the rest takes."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexeval.cli import formatting, options, output

if TYPE_CHECKING:
    from rich.table import Table

    from flexeval.grpo.config import GRPOConfig
    from flexeval.records import RunConfig
    from flexeval.reproduce.estimate import Estimate, Machine
    from flexeval.reproduce.plan import Plan
    from flexeval.runs.store import RunSet
    from flexeval.tasks import Task

MOST_WEIGHTS = 1e8
"""Of a model that is loaded to be timed."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One run of a plan."""

    config: RunConfig
    problems: int
    cost: Estimate
    """Of all of it."""
    left: Estimate
    """Of what is not stored."""
    minutes: float | None
    """All of it on this machine; None where the model is not here, or too large to be timed."""
    divided: bool
    """Whether it lies there in shards, and the whole is asked for."""

    @property
    def stored_samples(self) -> int:
        """How many of its samples are stored."""
        return self.cost.samples - self.left.samples

    @property
    def stored(self) -> bool:
        """Whether all of it is."""
        return not self.left.samples

    @property
    def minutes_left(self) -> float | None:
        """What is not stored on this machine."""
        return None if self.minutes is None else self.minutes * self.left.samples / self.cost.samples


def dry_run(plan: Plan, machine: Machine, args: argparse.Namespace) -> None:
    """Print what a plan would make, and write it where --json and --csv say."""
    from flexeval.reproduce.trainings import base_model, with_folders

    placed = with_folders(plan.configs, plan.trainings, args.runs)
    models = [base_model(config.model, plan.trainings) for config in plan.configs]
    made = len(plan.trainings)
    trainings = f"{made} training{'s' if made > 1 else ''}, " if made else ""
    before: list[str | Table] = [f"{plan.title}: {trainings}{len(plan.configs)} runs"]
    before += [plan.description] if plan.description else []
    before += [_trainings_table(plan, args.runs)] if plan.trainings else []
    runs = list(_planned(list(zip(plan.configs, placed, models, strict=True)), plan.parameters, machine, args))
    uncounted = " Trainings are not counted." if plan.trainings else ""
    content = {"plan": plan.name, "trainings": len(plan.trainings)}
    _deliver(runs, before, content, machine, args, uncounted=uncounted)


def dry_runs(configs: Sequence[RunConfig], args: argparse.Namespace) -> None:
    """Print what some runs would take, and write it where --json and --csv say.

    Args:
        configs: canonical.
        args: the options of a verb with `options.add_estimate`; `out` is the folder of runs.
    """
    args = argparse.Namespace(**{**vars(args), "runs": args.out})
    machine, sizes = options.estimated_machine(args), options.sizes(args, {config.model for config in configs})
    runs = list(_planned([(config, config, config.model) for config in configs], sizes, machine, args))
    _deliver(runs, [f"{len(runs)} run{'s' if len(runs) > 1 else ''}"], {}, machine, args)


def _planned(
    runs: Sequence[tuple[RunConfig, RunConfig, str]],
    parameters: Mapping[str, float],
    machine: Machine,
    args: argparse.Namespace,
) -> Iterator[Planned]:
    """What is known of runs: each as it is called, as its folder is, and the model to go by."""
    from flexeval.reproduce.ahead import checker
    from flexeval.reproduce.estimate import count_parameters, count_problems, estimate
    from flexeval.runs.reuse import run_folder, stored_extent
    from flexeval.runs.timing import evaluations_per_sample
    from flexeval.tasks import get_task

    timed = _Timed(args)
    load_task = functools.cache(functools.partial(get_task, data_dir=args.data_dir))
    check = checker(load_task)
    names = formatting.run_names([config for config, _, _ in runs])
    for name, (config, placed, base) in zip(names, runs, strict=True):
        task = load_task(config.task)
        folder = run_folder(args.runs, placed)
        stored = stored_extent(folder, placed, shard=args.shard, dtype=args.dtype)
        undivided = count_problems(config, task) if stored.problems is None else stored.problems
        args.shard.require_problems(undivided)
        problems = len(args.shard.of(range(undivided)))
        samples, size = problems * config.num_samples, count_parameters(base, parameters)
        missing = max(samples - stored.samples, 0)
        if missing:
            output.check_run_folders([folder])
            with formatting.of_run(name, several=len(runs) > 1):
                check(dataclasses.replace(config, model=base))
        cost, left = (estimate(config, samples=count, parameters=size, machine=machine) for count in (samples, missing))
        per_evaluation = timed.seconds_per_evaluation(config, base, task)
        seconds = None if per_evaluation is None else samples * evaluations_per_sample(config) * per_evaluation
        minutes = None if seconds is None else seconds / 60
        yield Planned(config=config, problems=problems, cost=cost, left=left, minutes=minutes, divided=stored.divided)


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
        from flexeval.reproduce.estimate import count_parameters
        from flexeval.runs.timing import evaluations_per_sample

        config = dataclasses.replace(config, model=model)
        asked, sampling = (model, config.attention, config.adapter, config.task), config.sampling
        key = (*asked, sampling.gen_length, sampling.cache, sampling.batch_invariant)
        if key not in self._known:
            size = count_parameters(model, {})
            if size is None or size > MOST_WEIGHTS:
                self._known[key] = None
            else:
                self._known[key] = self._sampler.seconds_per_sample(config, task) / evaluations_per_sample(config)
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
        "operations_at_most": run.cost.operations,
        "disk_bytes": run.cost.disk_bytes,
        "gpu_hours": run.cost.gpu_hours,
        "minutes_here": run.minutes,
        "stored": run.stored,
        "stored_samples": run.stored_samples,
    }


def dry_counterfactuals(runs: RunSet, args: argparse.Namespace) -> None:
    """Print what the AR counterfactuals would take that stored runs lack: a forward for each token of their texts.

    Prefixes that samples share are evaluated once, so it is an upper bound.
    """
    import pandas as pd

    from flexeval.reproduce.estimate import count_parameters, operations_of
    from flexeval.runs.counterfactual import require_counterfactual
    from flexeval.runs.counterfactual_table import BYTES_PER_TOKEN, has_counterfactual
    from flexeval.runs.identity import require_continuable

    machine, sizes = options.estimated_machine(args), options.sizes(args, {run.config.model for run in runs})
    rows = []
    for label, run in zip(runs.labels(), runs, strict=True):
        if run.imported or has_counterfactual(run):
            continue
        output.check_run_folders([run.folder])
        require_counterfactual(run)
        require_continuable(run.record, dtype=args.dtype, folder=f"run folder {run.folder}")
        forwards = int(run.samples["length"].sum())
        length = float(run.problems["prompt_length"].mean()) + run.config.sampling.gen_length
        operations = operations_of(forwards, count_parameters(run.config.model, sizes), length)
        rows.append(_Work(label, forwards, operations, forwards * BYTES_PER_TOKEN, machine.hours(operations)))
    shown: list[str | Table] = [_work_table(rows), of_workers([row.gpu_hours for row in rows], args)]
    content = {"counterfactuals": [dataclasses.asdict(row) for row in rows]}
    output.deliver(args, shown if rows else ["all runs have it"], content, pd.DataFrame(rows, columns=_WORK))


def dry_training(config: GRPOConfig, task: Task, out: Path, args: argparse.Namespace) -> None:
    """Print what a training would take: its rollouts, and its updates, in which every position that is scored is read
    off a canvas of its own; a gradient counts as two more forwards. Steps that its folder has made do not count.
    """
    from flexeval.grpo.record import steps_made
    from flexeval.records import RunConfig
    from flexeval.reproduce.estimate import count_parameters, operations_of
    from flexeval.runs.timing import evaluations_per_sample

    machine = options.estimated_machine(args)
    size = count_parameters(config.model, options.sizes(args, {config.model}))
    drawn = RunConfig(order=config.rollout_order, sampling=config.sampling(task))
    length = drawn.sampling.gen_length
    made = steps_made(out)
    samples = (config.steps - made) * config.problems_per_step * config.group_size
    scored = samples * math.ceil(length * (config.fast_share if config.fast else 1.0)) * config.updates_per_rollout
    # Weights and AdamW's two moments in float32, of the newest step; and a model folder for each checkpoint.
    left = [steps for steps in config.checkpoint_steps if steps > made]
    disk = 4 * (size or 0) * ((0 if config.lora_rank or made else 3) + len(left))
    rows = []
    for name, forwards, times, stored in (
        ("rollouts", samples * evaluations_per_sample(drawn), 1, 0),
        ("updates", scored, 3, int(disk)),
    ):
        operations = operations_of(times * forwards, size, machine.prompt_tokens + length)
        rows.append(_Work(name, forwards, operations, stored, machine.hours(operations)))
    about = f"{config.steps} steps of {config.problems_per_step} problems x {config.group_size} samples"
    about += f", {made} of them made" if made else ""
    bound = (
        f"Upper bounds, with {machine.prompt_tokens} prompt tokens, at {100 * machine.utilization:g} % of "
        f"{machine.peak_tflops:g} TFLOP/s: texts that end early, finished prefixes and groups of equal rewards take "
        "less."
    )
    output.show([about, _work_table(rows), bound, of_workers([row.gpu_hours for row in rows], args)])


@dataclass(frozen=True)
class _Work:
    """A stretch of work that is no run."""

    name: str
    forwards: int
    operations: float | None
    disk_bytes: int
    gpu_hours: float | None


_WORK = [field.name for field in dataclasses.fields(_Work)]


def _work_table(rows: Sequence[_Work]) -> Table:
    columns = ["", "forwards at most", "operations", "disk", "GPU-hours"]
    cells = [
        [
            row.name,
            f"{row.forwards:,}",
            "-" if row.operations is None else f"{row.operations:.1e}",
            bytes_text(row.disk_bytes),
            few(row.gpu_hours),
        ]
        for row in rows
    ]
    return formatting.table(columns, cells, right=columns[1:])


# ----- the terminal -----


def _deliver(
    runs: Sequence[Planned],
    before: Sequence[str | Table],
    content: Mapping[str, Any],
    machine: Machine,
    args: argparse.Namespace,
    *,
    uncounted: str = "",
) -> None:
    import pandas as pd

    rows = [_row(run) for run in runs]
    missing = [run for run in runs if not run.stored]
    lines = [
        how_counted(machine) + uncounted,
        of_workers([run.left.gpu_hours for run in missing], args),
        f"Disk: about {bytes_text(sum(run.left.disk_bytes for run in missing))} for what is not stored.",
        _line_of_minutes(runs) + uncounted,
    ]
    if any(run.divided for run in missing):
        lines.append("Runs that lie in shards are continued with --shard, or after `flexeval merge`.")
    output.deliver(args, [*before, _runs_table(runs), *lines], {**content, "runs": rows}, pd.DataFrame(rows))


def how_counted(machine: Machine) -> str:
    """What GPU-hours are."""
    return (
        f"GPU-hours: NFE x 2 x parameters x (gen_length + {machine.prompt_tokens} prompt tokens) operations, at "
        f"{100 * machine.utilization:g} % of {machine.peak_tflops:g} TFLOP/s. This is an upper bound: texts that end "
        "early, equal canvases, and orders that commit several tokens a step take less."
    )


def of_workers(gpu_hours: Sequence[float | None], args: argparse.Namespace) -> str:
    """The hours that is with the workers that were asked for, a GPU each."""
    workers = options.workers(args) if "workers" in args else 1
    known = [hours for hours in gpu_hours if hours is not None]
    if len(known) < len(gpu_hours):
        return (
            "Models of unknown size are left out of operations and hours; state it with --parameters, or in the plan."
        )
    with_them = f"{workers} workers with such a GPU each" if workers > 1 else "one such GPU"
    return f"With {with_them}: at most {few(sum(known) / workers)} hours for what is not stored."


def bytes_text(count: float) -> str:
    """A size in its usual unit."""
    size, *larger = ("bytes", "kB", "MB", "GB", "TB")
    while count >= 1000 and larger:
        count, size = count / 1000, larger.pop(0)
    return f"{count:.0f} {size}" if count >= 10 or size == "bytes" else f"{count:.1f} {size}"


def _line_of_minutes(runs: Sequence[Planned]) -> str:
    missing = [run.minutes_left for run in runs if not run.stored]
    known = [minutes for minutes in missing if minutes is not None]
    if not missing:
        return "On this machine: nothing is left to draw."
    if not known:
        return "On this machine: not known; only models of up to 100 million weights that are here are timed."
    rest = f", and {len(missing) - len(known)} runs of models that are not timed" if len(known) < len(missing) else ""
    return (
        f"On this machine: about {few(sum(known))} minutes for what is not stored{rest}. A few samples of each model "
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
    for run, name in zip(runs, formatting.run_names([run.config for run in runs]), strict=True):
        counts = [str(run.problems), str(run.config.num_samples), f"{run.cost.samples:,}", f"{run.cost.evaluations:,}"]
        operations = "-" if run.cost.operations is None else f"{run.cost.operations:.1e}"
        takes = [operations, bytes_text(run.cost.disk_bytes), few(run.cost.gpu_hours), few(run.minutes)]
        some = f"{run.stored_samples:,} of {run.cost.samples:,}" if run.stored_samples else ""
        rows.append([name, *counts, *takes, "yes" if run.stored else some])
    missing = [run for run in runs if not run.stored]
    rows += [
        None,
        _total("all", [run.cost for run in runs], [run.minutes for run in runs]),
        _total("not stored", [run.left for run in missing], [run.minutes_left for run in missing]),
    ]
    columns = ["run", "problems", "n", "samples", "NFE at most", "operations", "disk", "GPU-hours", "minutes here"]
    return formatting.table([*columns, "stored"], rows, right=columns[1:])


def _total(name: str, costs: Sequence[Estimate], minutes: Sequence[float | None]) -> list[str]:
    samples, evaluations, disk = (
        sum(getattr(cost, part) for cost in costs) for part in ("samples", "evaluations", "disk_bytes")
    )
    operations = [cost.operations for cost in costs if cost.operations is not None]
    return [
        name, "", "", f"{samples:,}", f"{evaluations:,}", f"{sum(operations):.1e}" if operations else "-",
        bytes_text(disk), _sum([cost.gpu_hours for cost in costs]), _sum(minutes), "",
    ]  # fmt: skip


def _sum(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if values and not known:
        return "-"
    return few(sum(known)) + ("" if len(known) == len(values) else " and unknown")


def few(value: float | None) -> str:
    """Hours or minutes in a few digits."""
    return "-" if value is None else f"{value:,.1f}" if value >= 0.05 or value == 0 else f"{value:.1g}"
