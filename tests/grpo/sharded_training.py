"""Run by test_grpo_processes.py in two processes: sharded bfloat16 training through accelerate, saved and continued.

accelerate shards on GPUs only, so its state is told that this is such a run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from grpo_toys import ToyTask

from flexeval import load_model
from flexeval.grpo.checkpoint import save_state
from flexeval.grpo.config import GRPOConfig
from flexeval.grpo.layout import step_folder
from flexeval.grpo.sharding import whole_weights
from flexeval.grpo.trainer import Trainer

CONFIG = GRPOConfig(group_size=4, problems_per_step=4, gen_length=3, learning_rate=1e-2, tokens_per_forward=128)
TASK = ToyTask(right=lambda problem, text: sum(text.encode()) % 2 == 1)


def sharding_accelerator() -> Accelerator:
    accelerator = Accelerator(cpu=True, mixed_precision="bf16")
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap", reshard_after_forward=True,
        state_dict_type="SHARDED_STATE_DICT", cpu_ram_efficient_loading=False,
    )  # fmt: skip
    plugin.set_mixed_precision("bf16")
    accelerator.state.fsdp_plugin = plugin
    PartialState().distributed_type = accelerator.state.distributed_type = DistributedType.FSDP
    return accelerator


def weights_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    with whole_weights(trainer.policy):
        pass  # Afterwards all are sharded, which a forward alone does not leave them.
    return {name: weight.full_tensor().clone() for name, weight in trainer.policy.named_parameters()}


def main() -> None:
    torch.set_num_threads(1)
    accelerator = sharding_accelerator()
    trainer = Trainer(load_model(sys.argv[1], device="cpu"), TASK, CONFIG, accelerator=accelerator)
    before = weights_of(trainer)
    metrics = trainer.step(0)
    assert metrics.grad_norm > 0
    # Sampling and training agree to the resolution of bfloat16.
    assert metrics.drift < 0.03
    after = weights_of(trainer)
    assert {weight.dtype for weight in after.values()} == {torch.float32}
    assert any(not torch.equal(weight, before[name]) for name, weight in after.items())
    whole = accelerator.get_state_dict(trainer.policy)
    if accelerator.is_main_process:
        assert all(torch.equal(whole[name], weight) for name, weight in after.items())

    # Weights and optimiser come back.
    save_state(accelerator, Path("state"), 1)
    trainer.step(1)
    once = weights_of(trainer)
    accelerator.load_state(str(step_folder(Path("state"), 1)))
    assert all(torch.equal(weight, after[name]) for name, weight in weights_of(trainer).items())
    trainer.step(1)
    assert all(torch.equal(weight, once[name]) for name, weight in weights_of(trainer).items())

    # Many equal gradients add up to so many times one of them; in bfloat16, 300 would be 256.
    rollout = trainer.roll_out(2)
    update = trainer.prepare(rollout, torch.tensor([1.0, -1.0] * 2).expand(2, 4).numpy())
    ratios = []
    for count in (1, 300):
        trainer.optimizer.zero_grad()
        for turn in range(count):
            trainer.policy.set_requires_gradient_sync(turn == count - 1)
            trainer.policy(update.batches[0]).sum().backward()
        ratios.append(torch.cat([w.grad.full_tensor().flatten() for w in trainer.policy.parameters()]).norm())
    assert abs(ratios[1] / ratios[0] / 300 - 1) < 0.01
    accelerator.end_training()


if __name__ == "__main__":
    main()
