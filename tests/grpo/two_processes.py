"""Run by test_grpo_processes.py under `accelerate launch`: the gradients of all processes together, to a file."""

from __future__ import annotations

import sys

import torch
from accelerate import Accelerator
from grpo_toys import ToyPredictor, ToyTask, gradients, make_trainer


def main() -> None:
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == 2
    # With four problems a step and some groups without variation, the processes have different amounts to score.
    found = gradients(make_trainer(ToyPredictor(), ToyTask(), problems_per_step=4, group_size=4, tokens_per_forward=40))
    metrics = make_trainer(ToyPredictor(), ToyTask(), problems_per_step=4, group_size=4).step(0)
    if accelerator.is_main_process:
        torch.save({"gradients": found, "solved": metrics.solved, "skipped": metrics.skipped_groups}, sys.argv[1])
    accelerator.end_training()


if __name__ == "__main__":
    main()
