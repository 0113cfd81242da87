"""What `flexeval grpo` and `flexeval reproduce` share: making a training on this machine, with its progress."""

from __future__ import annotations

import argparse
import gc
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexeval.cli import options
from flexeval.errors import InputError, one_line

if TYPE_CHECKING:
    from flexeval.grpo.config import GRPOConfig
    from flexeval.reproduce.trainings import Training, TrainingOutcome
    from flexeval.tasks import Task


def make_training(config: GRPOConfig, *, task: Task, out: Path, device: str) -> Path:
    """Train, or go on training, and show it.

    Args:
        config: canonical.
        task: of `config.task`, in its training split.
        out: the training folder.
        device: cpu, another kind as torch names it, or auto.

    Returns:
        The checkpoint after the last step.

    Raises:
        InputError: a model that cannot be trained or is not there, a folder of another training, another device.
        OSError: the folder cannot be written.
    """
    import torch
    from accelerate import Accelerator

    from flexeval.cli import output
    from flexeval.cli.training_progress import training_report
    from flexeval.grpo.checkpoint import check_trainable
    from flexeval.grpo.training import train
    from flexeval.models.files import find_checkpoint

    # Left to itself, accelerate takes MPS, on which no model loads.
    cpu = device == "cpu" or not torch.cuda.is_available()
    accelerator = Accelerator(cpu=cpu, mixed_precision="bf16" if config.bf16 else "no")
    if device not in ("auto", accelerator.device.type):
        raise InputError(
            f"trainings run on {accelerator.device.type} here, not on {device!r}; give auto or cpu, and choose among "
            "GPUs by CUDA_VISIBLE_DEVICES"
        )
    source = find_checkpoint(config.model)
    check_trainable(source)
    if accelerator.is_main_process:
        output.announce_isolation(task)
    predictor = _load(config, accelerator.device)
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
                workers=1 if config.bf16 else options.side_by_side(predictor),
            )
    finally:
        # Trainer and accelerator refer to each other: without this, their memory would stay for what comes next.
        del predictor, accelerator
        gc.collect()


def _load(config: GRPOConfig, device: Any) -> Any:
    """The model. What is trained is float32; weights that adapters leave alone may keep the checkpoint's type."""
    import flexeval

    # accelerate numbers the processor, too.
    device = "cpu" if device.type == "cpu" else device
    return flexeval.load_model(config.model, device=device, dtype="auto" if config.lora_rank else "float32")


# ----- the trainings of a plan -----


def make_trainings(trainings: Sequence[Training], args: argparse.Namespace, runs: Path) -> list[TrainingOutcome]:
    """Every training that lacks a checkpoint, made; failures are printed as they come, and the rest goes on.

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


def report_failures(outcomes: Sequence[TrainingOutcome]) -> int:
    """Say on stderr which trainings failed and why; the exit status, 0 or 1."""
    failed = [(outcome.training, outcome.error) for outcome in outcomes if outcome.error is not None]
    for training, error in failed:
        if not isinstance(error, InputError):
            traceback.print_exception(error)
        reason = f"training {training.name} failed, and its runs were left out: {one_line(error)}"
        print(f"flexeval: error: {one_line(reason)}", file=sys.stderr)
    return 1 if failed else 0
