"""Hidden states -> logits in float32, whatever type the head's weights have.

A product in bfloat16 has 8 significant bits: logits between 16 and 32 are 1/8 apart, so the likeliest tokens tie and
probabilities are off by percents. Values in half precision, and products of two of them, are exact in float32; here
they are added up and returned in float32.

Axis suffixes: `N` gathered rows, `D` hidden size, `V` vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

_SLICE_BYTES = 64 << 20
"""Of a float32 copy of a part of the head. A copy of the whole would be 2 GB for LLaDA-8B."""


def float32_logits(head: nn.Module, hidden_ND: Tensor) -> Tensor:
    """Logits [N, V] of gathered rows, computed and returned in float32; gradients pass.

    A head in float32 is called unchanged, but without autocast, which would compute it in half precision.

    Args:
        head: usually `nn.Linear`. Anything else, such as one with adapters, is called with its parameters in float32.
        hidden_ND: of any floating type.
    """
    with torch.autocast(hidden_ND.device.type, enabled=False):
        hidden_ND = hidden_ND.to(torch.promote_types(hidden_ND.dtype, torch.float32))
        if type(head) is nn.Linear and _is_half(head.weight):
            return _in_slices(head, hidden_ND)
        copies = {name: weight.float() for name, weight in head.named_parameters() if _is_half(weight)}
        logits_NV: Tensor = functional_call(head, copies, (hidden_ND,))
        return logits_NV.float()


def products_on_gpu() -> str:
    """What products of float32 matrices are computed in on a GPU: "float32", or "tf32" with 10 of its 23 bits.

    The latter is what torch.set_float32_matmul_precision("high") asks for, and what some containers set.
    """
    settings: Any = torch.backends.cuda.matmul
    # One has replaced the other, which fails where the new one was used.
    tf32 = settings.fp32_precision == "tf32" if hasattr(settings, "fp32_precision") else settings.allow_tf32
    return "tf32" if tf32 else "float32"


def _is_half(weight: Tensor) -> bool:
    return weight.is_floating_point() and weight.dtype.itemsize < 4


def _in_slices(head: nn.Linear, hidden_ND: Tensor) -> Tensor:
    """A linear layer's output, a part of the vocabulary at a time."""
    tokens = max(1, _SLICE_BYTES // (4 * head.in_features))
    logits_NV = torch.cat([hidden_ND @ part.float().T for part in torch.split(head.weight, tokens)], dim=-1)
    return logits_NV if head.bias is None else logits_NV + head.bias.float()
