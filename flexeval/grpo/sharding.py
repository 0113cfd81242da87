"""Weights that are sharded over processes (FSDP 2): the types that their sums have, and gathering them to sample."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from accelerate import Accelerator
from torch import nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy


def sum_in_float32(accelerator: Accelerator) -> None:
    """Sum gradients of sharded bfloat16 training in float32, and keep log-probabilities in it. Call before `prepare`.

    accelerate would use bfloat16 for both. A bfloat16 sum stops growing once it is 256 times as large as what is added.
    Other trainings are not changed.
    """
    if accelerator.is_fsdp2 and accelerator.mixed_precision == "bf16":
        accelerator.state.fsdp_plugin.mixed_precision_policy = BFLOAT16


BFLOAT16 = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
"""Products in bfloat16; gradients are accumulated and reduced in float32; what a module returns is not cast."""


@contextlib.contextmanager
def whole_weights(policy: nn.Module) -> Iterator[None]:
    """Weights that are sharded over processes are gathered in each of them, so that each may sample at its own pace.

    Without sharding this does nothing.
    """
    sharded = [module for module in policy.modules() if isinstance(module, FSDPModule)]
    for module in sharded:
        module.set_reshard_after_forward(False, recurse=False)
        module.unshard()
    try:
        yield
    finally:
        for module in sharded:
            module.reshard()
            module.set_reshard_after_forward(True, recurse=False)
