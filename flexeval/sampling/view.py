"""What one step starts from, and values that come chunk by chunk.

Axis suffixes: `R` samples, `G` generated positions, `U` distinct canvases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flexeval.records import BoolArray, FloatArray, IntArray
from flexeval.sampling.evaluate import Evaluation
from flexeval.sampling.randomness import Purpose, UInt64Array, uniforms


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What an order decided."""

    commit_RG: BoolArray
    """The positions to commit."""
    temperature_R: FloatArray
    """At which their tokens are drawn."""
    proposal_RG: IntArray | None
    """Tokens that were drawn before the choice; None when they are drawn after it."""


@dataclass(frozen=True, kw_only=True)
class View:
    """The samples of a step and their canvases, which are being evaluated."""

    slots_R: IntArray
    """The slot of each sample."""
    keys_R: UInt64Array
    """The key of each sample's random numbers."""
    eligible_RG: BoolArray
    frontier_R: IntArray
    opens_R: BoolArray
    """Whether the step is the first of its block, so that positions become eligible."""
    fresh_R: BoolArray
    """Whether the frontier is one for the first time."""
    choice: Choice | None
    """Of an order that does not read the model."""
    evaluation: Evaluation

    def token_uniforms(self, samples: IntArray, positions: IntArray, draws: IntArray | int) -> FloatArray:
        """The uniform numbers that decide tokens, one per (sample, position, draw)."""
        return uniforms(self.keys_R[samples], Purpose.TOKEN, positions, draws)


class Gathered:
    """Values of consecutive chunks, by name, moved to the host together."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Tensor]] = {}

    def add(self, name: str, values: Tensor) -> None:
        """Append a chunk's values."""
        self._parts.setdefault(name, []).append(values)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything so far."""
        return {name: torch.cat(parts).cpu().numpy() for name, parts in self._parts.items()}


class ByRow:
    """Readings (M) of rows of logits (N), sorted so that those of a chunk of rows stand side by side."""

    def __init__(self, row_M: IntArray) -> None:
        self.order_M = np.argsort(row_M, kind="stable")
        """Where each sorted reading stood."""
        self._row_M = row_M[self.order_M]

    def within(self, chunk: slice) -> tuple[IntArray, IntArray]:
        """(which readings are of these rows, and of which row of the chunk each is)."""
        first, last = np.searchsorted(self._row_M, [chunk.start, chunk.stop])
        return self.order_M[first:last], self._row_M[first:last] - chunk.start
