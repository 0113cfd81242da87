"""How the distribution at each position moves from step to step, for orders that wait until it has come to rest.

Axis suffixes: `R` rows of a step, `G` generated positions, `M` readings, `V` vocabulary, `H` steps back.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flexeval.records import IntArray
from flexeval.sampling.logits import Chunk

_TINY = 1e-12
"""Added to probabilities before their logarithm, as in KLASS."""


class Drift:
    """The distributions of the last step of some samples, and how far they had moved in the last steps.

    Costs samples * positions * vocabulary numbers of memory on the model's device.
    """

    def __init__(self, size: int, gen_length: int, history: int) -> None:
        """
        Args:
            size: samples in flight.
            gen_length: generated positions of each.
            history: steps that are remembered.
        """
        self._shape = (size, gen_length)
        self._probs_BGV: Tensor | None = None
        self._seen_BG = np.zeros(self._shape, dtype=np.bool_)
        self._moved_BGH = np.full((*self._shape, history), np.inf, dtype=np.float32)

    def forget(self, row: int) -> None:
        """Another sample begins in this row."""
        self._seen_BG[row] = False
        self._moved_BGH[row] = np.inf

    def measure(self, rows_R: IntArray, chunks: Iterable[Chunk]) -> NDArray[np.float32]:
        """KL divergences, nats [R, G, H], the newest last: of this step's distributions, which are then the last.

        Args:
            rows_R: which sample each canvas of the step is.
            chunks: the softmax at all positions that are watched.
        """
        self._moved_BGH[rows_R, :, :-1] = self._moved_BGH[rows_R, :, 1:]
        self._moved_BGH[rows_R, :, -1] = np.inf
        for chunk in chunks:
            row_M, at_M = rows_R[chunk.canvas_M], chunk.position_M
            distribution = chunk.distribution
            probs_NV = distribution.weights_NV / distribution.normaliser_N[:, None]
            if self._probs_BGV is None:
                self._probs_BGV = torch.zeros((*self._shape, probs_NV.shape[1]), device=probs_NV.device)
            now_MV = probs_NV[chunk.rows]
            where = chunk.on_device(row_M), chunk.on_device(at_M)
            before_MV = self._probs_BGV[where]
            moved_M = (now_MV * ((now_MV + _TINY).log() - (before_MV + _TINY).log())).sum(dim=-1)
            self._probs_BGV[where] = now_MV
            known_M = self._seen_BG[row_M, at_M]
            self._moved_BGH[row_M, at_M, -1] = np.where(known_M, moved_M.cpu().numpy(), np.inf)
            self._seen_BG[row_M, at_M] = True
        moved_RGH: NDArray[np.float32] = self._moved_BGH[rows_R]
        return moved_RGH
