"""A run folder: all steps of a training, its metrics and checkpoints. Continues wherever an earlier call stopped.

The folder holds

- `config.json`: the settings, fingerprints of the model and of the problems, and the package versions, git revision
  and device that it was begun with; also those that it was continued with, where they are others;
- `metrics.jsonl`: one line a step;
- `tensorboard/`: the same as TensorBoard events, and folders of other trackers that were asked for;
- `checkpoints/step-000025/`: a model folder after so many steps, for `load_model`;
- `state/step-000025/`: weights and optimiser, from which the run continues; only the newest is kept.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from flexeval.errors import InputError
from flexeval.grpo.checkpoint import check_state, check_trainable, save_state, write_model
from flexeval.grpo.config import GRPOConfig
from flexeval.grpo.layout import CHECKPOINTS, LOCK, PARTIAL, STATE, checkpoint_folder, step_folder
from flexeval.grpo.metrics import MetricsLog, StepMetrics, check_metrics, read_metrics
from flexeval.grpo.policy import Trainable
from flexeval.grpo.record import is_begun, problems_hash, read_record, require_place, steps_made, write_record
from flexeval.grpo.trackers import check_trackers, default_trackers
from flexeval.grpo.trainer import Trainer
from flexeval.models.files import Checkpoint
from flexeval.models.lineage import Lineage
from flexeval.models.names import model_name
from flexeval.runs.environment import environment
from flexeval.runs.files import locked
from flexeval.runs.identity import codes, require_same_model
from flexeval.tasks import Task


def train(
    config: GRPOConfig,
    *,
    out: str | Path,
    predictor: Trainable,
    source: Checkpoint,
    task: Task,
    accelerator: Accelerator,
    report: Callable[[StepMetrics], None] | None = None,
    workers: int | None = None,
    trackers: Sequence[str] | None = None,
) -> Path:
    """Train, or go on training.

    On one machine, a run that was stopped and continued ends with exactly the weights of one that was not; on a GPU up
    to the order in which its kernels add up gradients. Every process calls this; the first one writes.

    Args:
        config: the settings. `steps` may be larger than when the folder was made.
        out: the run folder: new, empty, or of the same training.
        predictor: the model of `config.model`, as it was before training.
        source: the folder it was loaded from.
        task: the task of `config.task`, in its training split.
        accelerator: accelerate's.
        report: called after every step, in the first process.
        workers: see `Sampler`.
        trackers: names of accelerate's trackers that get the metrics, too; None for TensorBoard where it is installed.

    Returns:
        The model folder after the last step.

    Raises:
        InputError: settings that exclude each other; a tracker that is unknown or not installed; a folder of another
            training, of another model under the same name or of other problems, one that is damaged, or one in use.
        OSError: the folder cannot be written.
    """
    out = Path(out)
    check_trainable(source)
    names = default_trackers() if trackers is None else trackers
    check_trackers(names)
    # Before adapters are added to it and earlier steps are loaded.
    fingerprint = predictor.fingerprint.as_dict()
    # Settings that are refused leave no folder behind.
    trainer = Trainer(predictor, task, config, accelerator=accelerator, workers=workers)
    with ExitStack() as stack:
        if accelerator.is_main_process:
            require_place(out, config)
            out.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(out / LOCK, busy=f"training folder {out}"))
            _open(out, trainer, predictor, fingerprint)
        accelerator.wait_for_everyone()

        # Continue from the newest state.
        done = steps_made(out)
        if done:
            accelerator.load_state(str(step_folder(out / STATE, done)))
        log = None
        if accelerator.is_main_process:
            log = stack.enter_context(
                MetricsLog(out, first_step=done, trackers=names, settings=dataclasses.asdict(config))
            )

        for number in range(done, config.steps):
            metrics = trainer.step(number)
            if log is not None:
                log.add(metrics)
                if report is not None:
                    report(metrics)
            if number + 1 in config.checkpoint_steps:
                _save(out, number + 1, trainer, source)
    return checkpoint_folder(out, config.steps)


def _open(out: Path, trainer: Trainer, predictor: Trainable, fingerprint: dict[str, Any]) -> None:
    """Make the folder this training's, or check that it is; it is locked."""
    config, accelerator = trainer.config, trainer.accelerator
    # Again, since another process may have used it before it was locked.
    require_place(out, config)
    made_with = {
        "environment": environment(device=str(accelerator.device), dtype=str(predictor.dtype).removeprefix("torch.")),
        "processes": accelerator.num_processes,
    }
    identity = {
        "model": fingerprint,
        "problems": problems_hash(trainer.task, trainer.problems),
        "code": codes(config.rollout_order, trainer.task),
    }
    record: dict[str, Any] = {"grpo": dataclasses.asdict(config), **identity, **made_with}
    if is_begun(out):
        record = _continued(out, config, identity, made_with)
        check_metrics(out, steps_made(out))
        if done := steps_made(out):
            check_state(step_folder(out / STATE, done))
    for parent in (out / CHECKPOINTS, out / STATE):
        for left in parent.glob(f"*{PARTIAL}"):
            shutil.rmtree(left)
    (out / CHECKPOINTS).mkdir(exist_ok=True)
    write_record(out, record)


def _continued(out: Path, config: GRPOConfig, identity: dict[str, Any], made_with: dict[str, Any]) -> dict[str, Any]:
    """What config.json is to say of a training that goes on. Raises InputError if it cannot."""
    stored, done = read_record(out), steps_made(out)
    dtype = made_with["environment"]["dtype"]
    require_same_model(stored, identity["model"], dtype=dtype, folder=f"training folder {out}")
    # Earlier versions recorded neither problems nor code.
    if stored.get("problems", identity["problems"]) != identity["problems"]:
        raise InputError(
            f"training folder {out} was made from other data: the problems of task {config.task!r} or their wording "
            "were others then; use another --out, or the data that it was made from"
        )
    if stored.get("code", identity["code"]) != identity["code"]:
        raise InputError(
            f"training folder {out} was made with other code of its order or task than there is now; use another "
            "--out, or the code that made it"
        )
    record = {**stored, **identity, "model": stored["model"], "grpo": dataclasses.asdict(config)}
    continued = stored.get("continued", [])
    last = (continued or [stored])[-1]
    if any(last.get(name) != value for name, value in made_with.items()):
        record["continued"] = [*continued, {"after_steps": done, **made_with}]
    return record


def lineage(out: Path, config: GRPOConfig, steps: int) -> Lineage:
    """Where the weights after so many steps come from, by the log of these steps."""
    logged = [row for row in read_metrics(out) if row["step"] < steps]
    return Lineage(
        base=model_name(config.model, config.adapter),
        training=out.resolve().name,
        rollout_order=config.rollout_order,
        fast=config.fast,
        step=steps,
        samples=sum(row["samples"] for row in logged),
        seconds=round(sum(row[f"{part}_seconds"] for row in logged for part in ("rollout", "reward", "update")), 1),
        recipe=config.recipe,
        basis=config.basis,
        seed=config.seed,
    )


def _save(out: Path, steps: int, trainer: Trainer, source: Checkpoint) -> None:
    """The model folder first: a state without its checkpoint would never get one."""
    weights: dict[str, Any] = trainer.accelerator.get_state_dict(trainer.policy)
    if trainer.accelerator.is_main_process:
        folder = checkpoint_folder(out, steps)
        if folder.exists():
            # From a call that was stopped between the two; the weights are the same. Under its name nothing is half.
            doomed = folder.with_name(f"{folder.name}.old{PARTIAL}")
            folder.rename(doomed)
            shutil.rmtree(doomed)
        plain = {name.removeprefix("module."): value for name, value in weights.items()}
        write_model(folder, plain, source, lineage(out, trainer.config, steps))
    save_state(trainer.accelerator, out / STATE, steps)
