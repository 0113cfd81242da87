"""LoRA through peft: adapters put into a network, and folded into its weights for a checkpoint."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SCALE = 2
"""What an adapter's product is multiplied by: peft's lora_alpha / r."""
_MATRICES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
_DOWN, _UP, _BASE = ".lora_A.default.weight", ".lora_B.default.weight", ".base_layer."


def add_adapters(module: nn.Module, rank: int, *, seed: int) -> None:
    """Put adapters on all matrices of the blocks, in place, and freeze everything else.

    The function that the network computes does not change: the second factor of each adapter starts at zero.
    """
    import peft  # which takes seconds, and most runs train every weight

    settings: dict[str, Any] = {"r": rank, "lora_alpha": SCALE * rank, "lora_dropout": 0.0, "target_modules": _MATRICES}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(peft.LoraConfig(**settings), module)


def fold_adapters(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the network without adapters that computes the same.

    Args:
        weights: a state dict with or without adapters.
    """
    folded = {}
    for name, weight in weights.items():
        if name.endswith((_DOWN, _UP)):
            continue
        plain = name.replace(_BASE, ".")
        stem = plain.removesuffix(".weight")
        if f"{stem}{_UP}" in weights:
            product = weights[f"{stem}{_UP}"].float() @ weights[f"{stem}{_DOWN}"].float()
            weight = (weight.float() + SCALE * product).to(weight.dtype)
        folded[plain] = weight
    return folded
