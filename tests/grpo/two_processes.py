"""Run by test_grpo_processes.py under `accelerate launch`: the gradients of all processes together, to a file."""

from __future__ import annotations

import gc
import sys

import torch
from accelerate import Accelerator
from grpo_toys import ToyPredictor, ToyTask, gradients, idle_turns, make_trainer, odd_sum_of_the_first


def main() -> None:
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == 2
    # With four problems a step and some groups without variation, the processes have different amounts to score.
    trainer = make_trainer(ToyPredictor(), ToyTask(), problems_per_step=4, group_size=4, tokens_per_forward=40)
    found = gradients(trainer)
    # With one problem that varies, one of them has nothing at all.
    task = ToyTask(right=odd_sum_of_the_first)
    one_sided = make_trainer(ToyPredictor(), task, problems_per_step=6, group_size=4, tokens_per_forward=40)
    of_one = gradients(one_sided)
    idle = accelerator.gather(torch.tensor([[idle_turns(trainer), idle_turns(one_sided)]])).tolist()
    metrics = make_trainer(ToyPredictor(), ToyTask(), problems_per_step=4, group_size=4).step(0)
    if accelerator.is_main_process:
        results = {"gradients": found, "of_one": of_one, "idle": idle}
        torch.save({**results, "solved": metrics.solved, "skipped": metrics.skipped_groups}, sys.argv[1])
    # A gradient reducer that is freed after the group of processes waits for it for ever, now and then.
    del trainer, one_sided
    gc.collect()
    accelerator.end_training()


if __name__ == "__main__":
    main()
