"""LoRA through peft: adapters put into a network, folded into its weights for a checkpoint, and saved by themselves."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flexeval.models.places import ADAPTER_CONFIG, ADAPTER_WEIGHTS

SCALE = 2
"""What an adapter's product is multiplied by: peft's lora_alpha / r."""
_NAME = "default"
_MATRICES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
_DOWN, _UP, _BASE = f".lora_A.{_NAME}.weight", f".lora_B.{_NAME}.weight", ".base_layer."


def add_adapters(module: nn.Module, rank: int, *, seed: int) -> None:
    """Put adapters on all matrices of the blocks, in place, and freeze everything else.

    The function that the network computes does not change: the second factor of each adapter starts at zero. Adapters
    have at least float32, whatever the type of the weights that they adapt: what an optimiser changes at a time is
    less than half precision resolves.
    """
    import peft  # which takes seconds, and most runs train every weight

    settings: dict[str, Any] = {"r": rank, "lora_alpha": SCALE * rank, "lora_dropout": 0.0, "target_modules": _MATRICES}
    # They are drawn on the CPU. To keep the state of GPUs as well would take one of each, with a warning.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        peft.inject_adapter_in_model(peft.LoraConfig(**settings), module, adapter_name=_NAME)
    for weight in module.parameters():
        if weight.requires_grad:
            weight.data = weight.data.to(_at_least_float32(weight.dtype))


@contextlib.contextmanager
def without_adapters(module: nn.Module) -> Iterator[None]:
    """For as long as it lasts, the network computes what it did before it was given adapters."""
    from peft.tuners.lora import LoraLayer

    # At scale 0 rather than disabled, which would freeze the adapters, too.
    layers = [layer for layer in module.modules() if isinstance(layer, LoraLayer)]
    for layer in layers:
        layer.set_scale(_NAME, 0)
    try:
        yield
    finally:
        for layer in layers:
            layer.set_scale(_NAME, 1)


def has_adapters(weights: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has adapters in it."""
    return any(name.endswith(_UP) for name in weights)


def save_adapters(folder: Path, weights: Mapping[str, Tensor], names: Mapping[str, str], *, base: str) -> None:
    """Write the adapters of a state dict by themselves, as peft saves them.

    Args:
        folder: is made.
        weights: a state dict with adapters.
        names: name of a weight in the network -> its name in the checkpoint, which the adapters' names follow.
        base: the name of the model that they were trained on.
    """
    from safetensors.torch import save_file

    saved: dict[str, Tensor] = {}
    modules = []
    for name, stored in names.items():
        module, published = name.removesuffix(".weight"), stored.removesuffix(".weight")
        if f"{module}{_UP}" not in weights:
            continue
        modules.append(published)
        for part in (_DOWN, _UP):
            place = part.replace(f".{_NAME}", "")
            saved[f"base_model.model.{published}{place}"] = weights[f"{module}{part}"].contiguous()
    rank = next(value for name, value in weights.items() if name.endswith(_DOWN)).shape[0]
    settings = {
        "peft_type": "LORA",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": SCALE * rank,
        "target_modules": modules,
        "bias": "none",
        "inference_mode": True,
    }
    folder.mkdir()
    save_file(saved, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    (folder / ADAPTER_CONFIG).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def fold_adapters(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the network without adapters that computes the same.

    Matrices that had adapters are at least float32: half precision would round most of the training away. With adapters
    all weights are on the CPU: beside those of half precision, a GPU may have no room for the same in float32.

    Args:
        weights: a state dict with or without adapters.
    """
    folded, adapted = {}, has_adapters(weights)
    for name, weight in weights.items():
        if name.endswith((_DOWN, _UP)):
            continue
        plain = name.replace(_BASE, ".")
        stem = plain.removesuffix(".weight")
        if f"{stem}{_UP}" in weights:
            weight = weight.to(_at_least_float32(weight.dtype))
            product = weights[f"{stem}{_UP}"].to(weight.dtype) @ weights[f"{stem}{_DOWN}"].to(weight.dtype)
            weight = weight + SCALE * product
        folded[plain] = weight.cpu() if adapted else weight
    return folded


def _at_least_float32(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
