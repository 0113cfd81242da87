"""`flexeval grpo`: train a model with GRPO in AR order, or in another order that selects before it draws."""

from __future__ import annotations

import argparse
from pathlib import Path

from flexeval.cli import endings, options

EPILOG = """\
examples:
  flexeval grpo --config forks                                   settings that fit the bundled model forks
  flexeval grpo --config tiny --rollout-order top_prob           ... and tiny, on word problems
  flexeval grpo --config tiny --fast --steps 40
  flexeval grpo --config tiny --log tensorboard,wandb            also to Weights & Biases, offline
  flexeval grpo --model tiny --task word-problems                the paper's settings, which are the defaults
  flexeval grpo --model llada-8b-instruct --task gsm8k --lora-rank 128 --bf16 --gradient-checkpointing
  flexeval passk --model runs/grpo/NAME/checkpoints/step-000060 --order ar --order confidence

A training is stored as it goes: after a stop, the same command continues, and a larger --steps trains further.
Several processes: `accelerate launch -m flexeval grpo ...`. Weights sharded over the GPUs of a machine (FSDP):
  accelerate launch --config_file "$(python -m flexeval.grpo.fsdp)" --num_processes 8 -m flexeval grpo --bf16 ...
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from flexeval.grpo.config import GRPOConfig, shipped_configs

    training = parser.add_argument_group("training")
    training.add_argument(
        "--config",
        metavar="NAME|FILE",
        help="A YAML file of settings, which the options below override, or the name of one that comes with flexeval: "
        f"{', '.join(shipped_configs())}.",
    )
    together = {
        "model": "`forks`, or `tiny` for another task than `forks`",
        "task": "`forks`, or `word-problems` for a model other than `forks` and `tiny-block`",
    }
    options.add_fields(training, GRPOConfig, defaults=together)
    options.add_prompt(training)
    machine = parser.add_argument_group("machine")
    machine.add_argument("--cpu", action="store_true", help="Train on the CPU, also where there is an accelerator.")
    options.add_data_dir(machine)
    options.add_estimate(parser)
    output = parser.add_argument_group("output")
    output.add_argument(
        "--log",
        metavar="NAME,...",
        help="Trackers of accelerate that get the metrics beside metrics.jsonl: tensorboard, wandb, trackio, mlflow, "
        "...; or none. Those with a server write offline unless their environment says otherwise (WANDB_MODE=online). "
        "[default: tensorboard, where it is installed]",
    )
    options.add_out(
        output,
        metavar="DIR",
        help="Folder of metrics and checkpoints. [default: runs/grpo/ and a name made from the settings]",
    )


def run(args: argparse.Namespace) -> int:
    """Train, and print where the last checkpoint is."""
    from flexeval.cli import output
    from flexeval.cli.execute import make_training
    from flexeval.grpo.config import GRPOConfig, default_folder_name, read_settings
    from flexeval.grpo.problems import canonical_training, check_ahead
    from flexeval.grpo.record import require_place
    from flexeval.records import RunConfig

    # Refuse what can be refused without the model, before the model is loaded.
    settings = read_settings(args.config) if args.config is not None else {}
    settings |= options.given(args, GRPOConfig)
    if settings.keys() & {"model", "task"}:
        # The one goes by the other, as for runs.
        named = RunConfig(model=settings.get("model") or "", task=settings.get("task") or "")
        settings = {"model": named.model, "task": named.task, **settings}
    config = GRPOConfig(**settings)
    config, task = canonical_training(config, options.load_task(args, config.task))
    options.check_estimate(args)
    out = args.out or Path("runs", "grpo", default_folder_name(config))
    output.check_folder(out, what="--out")
    require_place(out, config)
    trackers = _trackers(args.log)
    check_ahead(config, task, fetch=not args.dry_run)
    if args.dry_run:
        from flexeval.cli.dry_run import dry_training

        dry_training(config, task, out, args)
        return 0
    device = "cpu" if args.cpu else "auto"
    checkpoint = make_training(config, task=task, out=out, device=device, trackers=trackers)

    from accelerate import PartialState

    if PartialState().is_main_process:
        evaluate = f"flexeval passk --model {checkpoint} --task {task.name} --order ar"
        output.show([f"checkpoint: {checkpoint}", f"evaluate it: {evaluate}"])
    endings.leave_together()
    return 0


def _trackers(text: str | None) -> list[str] | None:
    """The names of --log; None where it is not given. Raises InputError for one that cannot be used."""
    if text is None:
        return None
    from flexeval.grpo.trackers import check_trackers

    names = [] if text.strip() == "none" else list(dict.fromkeys(name.strip() for name in text.split(",")))
    check_trackers(names)
    return names
