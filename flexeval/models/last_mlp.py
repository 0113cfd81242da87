"""Leaves out the last layer's MLP at positions that nobody reads.

After the last attention a position's output depends on that position alone, so what is not read need not be computed:
with `ar` and four layers that is an eighth of all work. Done by hooks, which leave the module's code, its weights and
their names as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

_ASKED: ContextVar[Tensor | None] = ContextVar("asked", default=None)


def watch(mlp: nn.Module) -> None:
    """Make an MLP obey `only_at`. Once is enough."""
    if _gather not in mlp._forward_pre_hooks.values():
        mlp.register_forward_pre_hook(_gather)
        mlp.register_forward_hook(_scatter)


@contextmanager
def only_at(asked_BL: Tensor | None) -> Iterator[None]:
    """Within this block and thread, watched MLPs compute these positions of [B, L, D] and give 0 at the others.

    None computes all. So does a forward that is differentiated, since gradient checkpointing would repeat it elsewhere.
    """
    token = _ASKED.set(None if torch.is_grad_enabled() else asked_BL)
    try:
        yield
    finally:
        _ASKED.reset(token)


def _gather(_mlp: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    asked_BL = _ASKED.get()
    return None if asked_BL is None else (arguments[0][asked_BL],)


def _scatter(_mlp: nn.Module, _arguments: tuple[Tensor, ...], output_ND: Tensor) -> Tensor | None:
    asked_BL = _ASKED.get()
    if asked_BL is None:
        return None
    output_BLD = output_ND.new_zeros(*asked_BL.shape, output_ND.shape[-1])
    output_BLD[asked_BL] = output_ND
    return output_BLD
