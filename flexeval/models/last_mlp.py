"""Skips the last layer's MLP at positions whose output is not read.

After the last attention a position's output depends on that position alone, so other positions need not be computed.
With `ar` and four layers that saves an eighth of all work. Hooks do it, so that the module's code and the names of its
weights stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor, nn

_ASKED: ContextVar[Tensor | None] = ContextVar("asked", default=None)


def watch(mlp: nn.Module) -> None:
    """Make an MLP obey `only_at`; calling it again changes nothing."""
    if _gather not in mlp._forward_pre_hooks.values():
        mlp.register_forward_pre_hook(_gather)
        mlp.register_forward_hook(_scatter)


@contextmanager
def only_at(asked_BL: Tensor | None) -> Iterator[None]:
    """Within this block and thread, watched MLPs compute these positions of [B, L, D] and give 0 at the others.

    None computes all positions. Gradients pass, but not with gradient checkpointing, which would repeat the forward
    outside of the block.
    """
    token = _ASKED.set(asked_BL)
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
