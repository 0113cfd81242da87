"""Muon (Jordan et al. 2024): momentum whose matrices are made orthogonal before they are applied.

torch.optim.Muon does the same in bfloat16, which CPUs without bfloat16 units compute twenty times slower than
float32; here matrices of one shape are also orthogonalised in one batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic Newton-Schulz iteration that pushes all singular values towards 1."""
_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """For the weight matrices inside the blocks; embeddings, head and norms want AdamW."""

    def __init__(self, parameters: Iterable[Tensor], *, lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update from the gradients that the parameters hold."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            by_shape: dict[Any, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                by_shape[parameter.shape].append(parameter)
            for parameters in by_shape.values():
                directions = orthogonalise(torch.stack([self._momentum(p, group["momentum"]) for p in parameters]))
                rows, columns = parameters[0].shape
                # A matrix with more rows than columns gets longer steps, so that outputs change by the same amount.
                rate = group["lr"] * max(1.0, rows / columns) ** 0.5
                for parameter, direction in zip(parameters, directions, strict=True):
                    parameter.sub_(direction, alpha=rate)

    def _momentum(self, parameter: Tensor, momentum: float) -> Tensor:
        """Nesterov's momentum: the gradient, averaged, looked at one step ahead."""
        state = self.state[parameter]
        if "average" not in state:
            state["average"] = torch.zeros_like(parameter)
        gradient = parameter.grad
        assert gradient is not None
        state["average"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(state["average"], momentum)


def orthogonalise(matrices_NRC: Tensor) -> Tensor:
    """The nearest (semi-)orthogonal matrix of each, roughly: singular values end between 0.7 and 1.2."""
    a, b, c = _COEFFICIENTS
    tall = matrices_NRC.shape[1] > matrices_NRC.shape[2]
    x: Tensor = matrices_NRC.mT if tall else matrices_NRC
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
