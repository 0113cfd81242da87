"""Run by test_grpo_processes.py in two processes: a policy with sharded weights (FSDP 2) samples and has gradients.

accelerate shards on GPUs only, so this shards as its FSDP plugin does: every layer, then the whole.
"""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import torch
from precision import assert_equal_but_rounding
from torch import distributed
from torch.distributed.fsdp import fully_shard

from flexeval import SamplingConfig, get_order, load_model
from flexeval.grpo.policy import Policy
from flexeval.grpo.scoring import idle_batch
from flexeval.grpo.sharding import whole_weights
from flexeval.sampling import Sampler, SampleRequest


def drawn(model, count):
    sampler = Sampler(model, get_order("ar"), SamplingConfig(gen_length=4, temperature=1.0))
    requests = [SampleRequest(problem_id="x", sample_index=n, prompt_ids=[1, 2, 3]) for n in range(count)]
    return {t.sample_index: t.token_ids_G.tolist() for t in sampler.run(requests)}


def main() -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    whole, sharded = (load_model(sys.argv[1], device="cpu") for _ in range(2))
    policy, alone = Policy(sharded), Policy(whole)
    for layer in sharded.module.model.layers:
        fully_shard(layer)
    fully_shard(policy)
    nothing = idle_batch(mask_id=whole.mask_id)
    batch = dataclasses.replace(nothing, row_M=np.array([0]), token_M=np.array([5]), reading_M=np.array([0]))
    with torch.no_grad():
        policy(nothing)
    for _ in range(2):
        # The processes sample different amounts: nothing in it may wait for the other.
        count = 1 + 3 * distributed.get_rank()
        with whole_weights(policy):
            assert drawn(sharded, count) == drawn(whole, count)
        for model in (policy, alone):
            model.zero_grad()
            model(batch).sum().backward()
        for ours, theirs in zip(policy.parameters(), alone.parameters(), strict=True):
            assert_equal_but_rounding(ours.grad.full_tensor(), theirs.grad)
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
