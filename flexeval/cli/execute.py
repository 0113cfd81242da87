"""Sampling runs and making trainings on this machine: one model at a time, and a list of what failed."""

from __future__ import annotations

import argparse
import functools
import gc
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from flexeval.cli import endings, options, output
from flexeval.cli.formatting import of_run, run_names
from flexeval.errors import InputError, one_line

if TYPE_CHECKING:
    from flexeval.grpo.config import GRPOConfig
    from flexeval.models import MaskPredictor
    from flexeval.records import RunConfig
    from flexeval.reproduce.sweep import Outcome
    from flexeval.reproduce.trainings import Training, TrainingOutcome
    from flexeval.runs.storage import Progress
    from flexeval.runs.store import Run
    from flexeval.tasks import Task
    from flexeval.workers import Crew


class RunSampler:
    """Samples runs with the machine options of a command. It keeps the last model that it loaded, or its workers.

    Use it in a `with` block.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._batch_size = options.batch_size(args)
        self._loaded: dict[tuple[str | None, ...], MaskPredictor] = {}
        self._crew: Crew | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._crew is not None:
            close_crew(self._crew, error)

    def prepare(self, config: RunConfig) -> None:
        """Load the model of a run, or start the workers."""
        if options.several(self._args):
            self.crew()
        else:
            self.model(config)

    def crew(self) -> Crew:
        """The workers of the command. Raises InputError as `flexeval.workers.Crew`."""
        if self._crew is None:
            self._crew = make_crew(self._args, batch_size=self._batch_size)
        return self._crew

    def model(self, config: RunConfig) -> MaskPredictor:
        """The model of a run. Raises InputError as `flexeval.load_model`."""
        asked = config.model, config.attention, config.adapter
        if asked not in self._loaded:
            self._loaded.clear()
            args = argparse.Namespace(**{**vars(self._args), "attention": config.attention, "adapter": config.adapter})
            self._loaded[asked] = options.load_model(args, config.model)
        return self._loaded[asked]

    def seconds_per_sample(self, config: RunConfig, task: Task) -> float:
        """How long a sample of a run takes in this process, by a few that are drawn and forgotten."""
        from flexeval.runs.timing import seconds_per_sample, timed_prompts
        from flexeval.sampling import Sampler

        model = self.model(config)
        make = functools.partial(Sampler, batch_size=self._batch_size)
        return seconds_per_sample(config, model, timed_prompts(config, task, model), make)

    def __call__(self, config: RunConfig, folder: Path, task: Task, progress: Callable[[Progress], None]) -> Run:
        """As `flexeval.reproduce.sweep.SampleRun`."""
        if options.several(self._args):
            return self.crew().run(config, out=folder, shard=self._args.shard, progress=progress)
        # Only now: it imports torch, which complete runs do not need.
        from flexeval.runs.runner import run

        predictor = self.model(config)
        return run(
            config,
            out=folder,
            predictor=predictor,
            task=task,
            batch_size=self._batch_size,
            progress=progress,
            shard=self._args.shard,
        )

    def add_counterfactual(self, run: Run, progress: Callable[[int, int], None]) -> None:
        """Compute the AR counterfactual of a stored run and store it beside the run."""
        from flexeval.runs.counterfactual import add_counterfactual
        from flexeval.tasks import get_task

        predictor = self.model(run.config)
        add_counterfactual(
            run,
            predictor=predictor,
            task=get_task(run.config.task, data_dir=self._args.data_dir),
            batch_size=self._batch_size,
            progress=progress,
        )


def make_crew(args: argparse.Namespace, *, batch_size: int | None = None) -> Crew:
    """The workers that a command asks for. Raises InputError as `flexeval.workers.Crew`."""
    from flexeval.workers import Crew, Machine

    machine = Machine(
        device=args.device if "device" in args else "cpu",
        dtype=args.dtype if "dtype" in args else "auto",
        batch_size=batch_size,
        trust_remote_code=bool(getattr(args, "trust_remote_code", False)),
        data_dir=args.data_dir,
    )
    console = output.messages()
    return Crew(
        options.workers(args),
        address=args.ray_address,
        machine=machine,
        say=lambda line: console.print(f"flexeval: {line}", soft_wrap=True),
    )


def close_crew(crew: Crew, error: BaseException | None) -> None:
    """End the workers of a command, also on the way out of an error or of a signal."""
    with endings.unrepeated():
        crew.close(error)


# ----- runs -----


def check_verdict(args: argparse.Namespace, configs: Sequence[RunConfig]) -> None:
    """Raise InputError unless the task of every run gives the verdict that is to count."""
    from flexeval.tasks import get_task

    for spec in dict.fromkeys(config.task for config in configs):
        options.check_verdict(args, get_task(spec, data_dir=args.data_dir))


def make_runs(
    configs: Sequence[RunConfig], args: argparse.Namespace, out: Path, parameters: Mapping[str, float]
) -> list[Outcome]:
    """Sample every run that is not stored. A failure is printed when it happens, and the other runs go on.

    Args:
        configs: canonical, each run once.
        args: the machine options.
        out: the folder of run folders.
        parameters: model -> size, where it is known; it weighs runs of different models for the time left.

    Raises:
        InputError: before any run: a task, folder or machine option that cannot be used; see also `check_ahead`.
    """
    from flexeval.cli.progress import runs_watch
    from flexeval.reproduce.sweep import cells, run_cells
    from flexeval.tasks import get_task

    output.check_folder(out, what="the folder of runs")
    load_task = functools.cache(functools.partial(get_task, data_dir=args.data_dir))
    found = cells(configs, out=out, load_task=load_task, dtype=args.dtype, shard=args.shard)
    missing = [cell for cell in found if cell.stored is None]
    if missing and not options.several(args):
        options.check_device(args)
    output.check_run_folders(cell.folder for cell in missing)
    check_ahead([cell.config for cell in missing], load_task, args)
    for task in {cell.config.task: cell.task for cell in missing}.values():
        if not options.several(args):
            output.announce_isolation(task)
    with RunSampler(args) as sample, runs_watch(found, parameters) as watch:
        if missing and options.several(args):
            sample.crew()  # what is wrong with it is wrong for all runs
        return list(run_cells(found, sample=sample, watch=watch))


def check_ahead(configs: Sequence[RunConfig], load_task: Callable[[str], Task], args: argparse.Namespace) -> None:
    """Check runs before the first sample of any, as far as they can be told without their models.

    Args:
        configs: canonical, of runs that are not stored.
        load_task: task spec -> task with its data.
        args: the machine options.

    Raises:
        InputError: a model that is not there, damaged data, a shard without problems, settings or prompts that a model
            cannot have. It names the run where there are several.
    """
    from flexeval.reproduce.ahead import checker
    from flexeval.tasks.task import problems_of

    for config in configs:
        args.shard.require_problems(len(problems_of(load_task(config.task))[: config.limit]))
    check = checker(load_task)
    for config, name in zip(configs, run_names(configs), strict=True):
        with of_run(name, several=len(configs) > 1):
            check(config)


def report_failures(outcomes: Sequence[Outcome], trainings: Sequence[TrainingOutcome] = ()) -> int:
    """Print on stderr which trainings and runs failed, and why; the exit status, 0 or 1."""
    failed = [
        (f"training {one.training.name} failed, and its runs were left out", one.error)
        for one in trainings
        if one.error is not None
    ]
    names = run_names([one.cell.config for one in outcomes])
    runs = [
        (f"run {name} failed", one.error) for name, one in zip(names, outcomes, strict=True) if one.error is not None
    ]
    for what, error in (*failed, *runs):
        if not isinstance(error, InputError):
            traceback.print_exception(error)
        print(f"flexeval: error: {one_line(f'{what}: {one_line(error)}')}", file=sys.stderr)
    if runs:
        print(
            f"flexeval: {len(runs)} of {len(outcomes)} runs failed; the same command tries them again", file=sys.stderr
        )
    return 1 if failed or runs else 0


# ----- trainings -----


def check_training_device(device: str) -> None:
    """Raise InputError for a GPU by its number: accelerate gives each process of a training its own."""
    if ":" in device:
        raise InputError(
            f"trainings choose no GPU by its number, so --device is auto, cpu or cuda, not {device}; choose one with "
            f"CUDA_VISIBLE_DEVICES={device.partition(':')[2]}"
        )


def make_training(
    config: GRPOConfig, *, task: Task, out: Path, device: str, trackers: Sequence[str] | None = None
) -> Path:
    """Train, or continue a training, and show its progress.

    Args:
        config: canonical.
        task: of `config.task`, in its training split.
        out: the training folder.
        device: cpu, another kind as torch names it, or auto.
        trackers: as of `flexeval.grpo.training.train`.

    Returns:
        The checkpoint after the last step.

    Raises:
        InputError: a model that cannot be trained or is missing, a folder of another training, another device.
        OSError: the folder cannot be written.
    """
    import torch
    from accelerate import Accelerator

    from flexeval.cli.progress import training_report
    from flexeval.grpo.checkpoint import check_trainable
    from flexeval.grpo.record import require_place
    from flexeval.grpo.training import train
    from flexeval.models.files import find_checkpoint
    from flexeval.sampling.engine import run_for_good

    # By itself, accelerate takes MPS, where no model loads.
    cpu = device == "cpu" or not torch.cuda.is_available()
    accelerator = Accelerator(cpu=cpu, mixed_precision="bf16" if config.bf16 else "no")
    if device not in ("auto", accelerator.device.type):
        raise InputError(
            f"trainings run on {accelerator.device.type} here, not on {device!r}; give auto or cpu, and choose a GPU "
            "with CUDA_VISIBLE_DEVICES"
        )
    require_place(out, config)
    source = find_checkpoint(config.model, adapter=config.adapter)
    check_trainable(source)
    if accelerator.is_main_process:
        output.announce_isolation(task)
    predictor = _load(config, source, accelerator.device)
    try:
        with training_report(config, out, accelerator) as report:
            return train(
                config,
                out=out,
                predictor=predictor,
                source=source,
                task=task,
                accelerator=accelerator,
                report=report,
                workers=None if config.bf16 else run_for_good(predictor),
                trackers=trackers,
            )
    finally:
        # Trainer and accelerator refer to each other: without this, their memory would stay for what comes next.
        del predictor, accelerator
        gc.collect()


def _load(config: GRPOConfig, source: Any, device: Any) -> Any:
    """The model. What is trained is float32; weights that adapters leave alone may keep the checkpoint's type."""
    import flexeval
    from flexeval.models.families import blueprint_of

    # accelerate numbers the CPU, too.
    device = "cpu" if device.type == "cpu" else device
    model: Any = flexeval.load_model(
        config.model, adapter=config.adapter, device=device, dtype="auto" if config.lora_rank else "float32"
    )
    tied = blueprint_of(source.family, source.config).options["tie_word_embeddings"]
    if tied and not model.module.config.tie_word_embeddings:
        raise InputError(
            f"the adapter {config.adapter!r} gives {config.model!r} a head of its own, for which its checkpoints have "
            "no place; merge the two and train the merged model"
        )
    return model


def make_trainings(trainings: Sequence[Training], args: argparse.Namespace, runs: Path) -> list[TrainingOutcome]:
    """Make every training of a plan that lacks a checkpoint. A failure is printed when it happens; the others go on.

    Args:
        trainings: of a plan.
        args: the machine options.
        runs: the folder of runs.

    Raises:
        OSError: nothing can be written.
    """
    from flexeval.grpo.problems import training_task
    from flexeval.reproduce import trainings as plan
    from flexeval.tasks import get_task

    def make(training: Training, folder: Path) -> None:
        config = training.config
        print(f"training {training.name}", file=sys.stderr)
        task = training_task(get_task(config.task, data_dir=args.data_dir), config.task)
        make_training(config, task=task, out=folder, device=args.device)

    outcomes = []
    for outcome in plan.make_trainings(trainings, runs=runs, make=make):
        outcomes.append(outcome)
        if outcome.error is not None:
            print(f"training {outcome.training.name} failed; the others go on", file=sys.stderr)
    return outcomes
