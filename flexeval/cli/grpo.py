"""`flexeval grpo`: train a model with GRPO in AR order, or in another order that selects before it draws."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexeval.cli import options

if TYPE_CHECKING:
    from flexeval.grpo.config import GRPOConfig

_EPILOG = """\
examples:
  flexeval grpo --config tiny                                    settings that fit the bundled model
  flexeval grpo --config tiny --rollout-order top_prob
  flexeval grpo --config tiny --fast --steps 40
  flexeval grpo --model tiny --task word-problems                the paper's settings, which are the defaults
  flexeval grpo --model llada-8b-instruct --task gsm8k --lora-rank 128 --bf16 --gradient-checkpointing
  flexeval passk --model runs/grpo/NAME/checkpoints/step-000060 --order ar --order confidence

A run is stored as it goes: the same command continues after a stop, and a larger --steps goes on training.
Several processes: `accelerate launch -m flexeval grpo ...`. Weights sharded over the GPUs of a machine (FSDP):
  accelerate launch --config_file "$(python -m flexeval.grpo.fsdp)" --num_processes 8 -m flexeval grpo --bf16 ...
"""


def add_parser(verbs: Any) -> None:
    """Register the verb."""
    verbs.add_parser(
        "grpo",
        help="train a model with GRPO in AR order, or another order",
        description="Train a model with GRPO: sample groups of answers in a decoding order, grade them, and make the "
        "likelihood of the better ones larger.",
        epilog=_EPILOG,
        declare=_declare,
    )


def _declare(parser: argparse.ArgumentParser) -> None:
    from flexeval.grpo.config import GRPOConfig, shipped_configs

    training = parser.add_argument_group("training")
    training.add_argument(
        "--config",
        metavar="NAME|FILE",
        help="Settings from a YAML file, which the options below override; or one that comes with flexeval: "
        f"{', '.join(shipped_configs())}.",
    )
    options.add_fields(training, GRPOConfig)
    options.add_prompt(training)
    machine = parser.add_argument_group("machine")
    machine.add_argument("--cpu", action="store_true", help="Train on the CPU even where there is an accelerator.")
    options.add_data_dir(machine)
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="Where metrics and checkpoints go. [default: runs/grpo/ and a name made from the settings]",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train, and say where the checkpoints are."""
    from flexeval.cli import output
    from flexeval.grpo.config import GRPOConfig, default_folder_name, read_settings
    from flexeval.grpo.problems import training_task
    from flexeval.tasks import task_spec

    # Everything that can be refused without the model, before the model is loaded.
    settings = read_settings(args.config) if args.config is not None else {}
    config = GRPOConfig(**{**settings, **options.given(args, GRPOConfig)})
    task = training_task(options.load_task(args, config.task), config.task)
    config = dataclasses.replace(config, task=task_spec(task), rollout_order=config.order.spec)
    config.sampling(task)
    out = args.out or Path("runs", "grpo", default_folder_name(config))

    from accelerate import Accelerator

    from flexeval.cli.training_progress import training_report
    from flexeval.grpo.checkpoint import check_trainable
    from flexeval.grpo.training import train
    from flexeval.models.files import find_checkpoint

    accelerator = Accelerator(cpu=args.cpu, mixed_precision="bf16" if config.bf16 else "no")
    source = find_checkpoint(config.model)
    check_trainable(source)
    if accelerator.is_main_process:
        output.announce_isolation(task)
    predictor = _load(config, accelerator.device)
    with training_report(config, out, accelerator) as report:
        checkpoint = train(
            config,
            out=out,
            predictor=predictor,
            source=source,
            task=task,
            accelerator=accelerator,
            report=report,
            workers=1 if config.bf16 else options.side_by_side(predictor),
        )
    if accelerator.is_main_process:
        console = output.console()
        console.print(f"checkpoint: {checkpoint}", soft_wrap=True)
        console.print(f"evaluate it: flexeval passk --model {checkpoint} --task {task.name} --order ar", soft_wrap=True)
    return 0


def _load(config: GRPOConfig, device: Any) -> Any:
    """The model. What is trained is float32; weights that adapters leave alone may keep the checkpoint's type."""
    import flexeval

    # accelerate numbers the processor, too.
    device = "cpu" if device.type == "cpu" else device
    return flexeval.load_model(config.model, device=device, dtype="auto" if config.lora_rank else "float32")
