"""How a training is going, on stderr: a line a step, and a bar below them in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from flexeval.cli import output
from flexeval.grpo.metrics import has_tensorboard

if TYPE_CHECKING:
    from flexeval.grpo.config import GRPOConfig
    from flexeval.grpo.metrics import StepMetrics

HEADER = "  step  reward  solved  problems  skipped  length  entropy  gradient   rollout  reward  update"


@contextmanager
def training_report(config: GRPOConfig, out: Path, accelerator: Any) -> Iterator[Callable[[StepMetrics], None]]:
    """What `train` is to call after every step.

    Args:
        config: the settings.
        out: the run folder, which is named first.
        accelerator: accelerate's; processes but the first stay silent.
    """
    console = output.messages(quiet=not accelerator.is_main_process)
    processes = f", {accelerator.num_processes} processes" if accelerator.num_processes > 1 else ""
    for line in (
        f"{config.model} on {config.task}, {config.rollout_order}{' (fast)' if config.fast else ''}, "
        f"{config.steps} steps of {config.problems_per_step} problems x {config.group_size} samples, "
        f"{accelerator.device}{processes}",
        f"metrics and checkpoints: {out}" + ("" if has_tensorboard() else " (for TensorBoard, install tensorboard)"),
        HEADER,
    ):
        console.print(line, soft_wrap=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("steps"), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        bar = bars.add_task("", total=config.steps)

        def report(metrics: StepMetrics) -> None:
            console.print(line_of(metrics), soft_wrap=True)
            bars.update(bar, completed=metrics.step + 1)

        yield report


def line_of(metrics: StepMetrics) -> str:
    """One step below `HEADER`: shares in percent, entropy in nats, times in seconds."""
    groups = f"{metrics.skipped_groups:d}"
    return (
        f"{metrics.step + 1:6d}{metrics.reward:8.3f}{100 * metrics.solved:7.1f}%{100 * metrics.solved_problems:9.1f}%"
        f"{groups:>9}{metrics.length:8.1f}{_number(metrics.entropy):>9}{_number(metrics.grad_norm):>10}"
        f"{metrics.rollout_seconds:9.1f}s{metrics.reward_seconds:7.1f}s{metrics.update_seconds:7.1f}s"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
