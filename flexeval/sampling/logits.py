"""Hidden states -> rows of logits and their softmax, in chunks that fit into memory: head, guidance, suppressed tokens.

Axis suffixes: `R` canvases, `U` distinct canvases, `G` generated positions, `N` rows of logits, `M` readings of them
(a position of one canvas each; equal canvases read the same row), `D` hidden size, `V` vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flexeval.errors import PluginError
from flexeval.models.predictor import MaskPredictor, check_logits
from flexeval.records import BoolArray, FloatArray, IntArray, SamplingConfig
from flexeval.sampling.softmax import Distribution


@dataclass(frozen=True, kw_only=True, eq=False)
class Chunk:
    """Some rows of logits, and the canvases and positions that read them."""

    distribution: Distribution
    """The untempered softmax of the rows."""
    temperature_N: FloatArray
    """At which tokens are drawn from each row."""
    canvas_M: IntArray
    """Index among the canvases [R]."""
    position_M: IntArray
    """Generated position."""
    row_M: IntArray
    """Which of the chunk's rows it is."""

    @property
    def at(self) -> tuple[IntArray, IntArray]:
        """Where the readings stand in an array [R, G]."""
        return self.canvas_M, self.position_M

    @cached_property
    def rows(self) -> Tensor:
        """`row_M` on the model's device."""
        return self.on_device(self.row_M)

    def where(self, marked_RG: BoolArray) -> Chunk:
        """The same rows with the readings at marked positions only."""
        kept_M = marked_RG[self.at]
        return replace(
            self,
            canvas_M=self.canvas_M[kept_M],
            position_M=self.position_M[kept_M],
            row_M=self.row_M[kept_M],
        )

    def on_device(self, array: NDArray[Any]) -> Tensor:
        """An array as a tensor beside the logits."""
        return torch.from_numpy(array).to(self.distribution.gaps_NV.device)


@dataclass(kw_only=True, eq=False)
class Logits:
    """The logits of a batch of canvases at the positions that were asked for. They are computed when they are read.

    `softmax` is the only way to read them. Rows that it was told to keep are not computed again.
    """

    predictor: MaskPredictor
    config: SamplingConfig
    canvas_R: NDArray[np.int64]
    """Which distinct canvas each canvas is."""
    row_UG: NDArray[np.int64]
    """Which row of the hidden states each position of a distinct canvas is, ascending; -1 where nothing was asked."""
    hidden: list[Future[Tensor]]
    """Consecutive rows of hidden states, which may be on their way."""
    unconditional: list[Future[Tensor]]
    """The same with the prompt masked; empty without classifier-free guidance."""
    head_rows: int
    """Rows that the head computes at once."""
    softmax_rows: int
    """Rows whose softmax is computed at once."""
    _kept: list[tuple[slice, Distribution]] = field(default_factory=list, init=False)
    _kept_row_N: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64), init=False)
    """The rows of hidden states that `_kept` belongs to."""

    def softmax(
        self, marked_RG: BoolArray, temperature_R: FloatArray | float = 1.0, *, keep: bool = False
    ) -> Iterator[Chunk]:
        """The untempered softmax at marked positions, chunk by chunk. The first call waits for the forwards.

        Equal canvases with equal temperatures share rows.

        Args:
            marked_RG: which of the positions that were asked for.
            temperature_R: of the draws that will be made from the softmax.
            keep: keep the rows in memory, if they are few, because some of them will be read again.

        Raises:
            PluginError: the model returns something other than logits, or logits that have no softmax.
        """
        # The distinct rows, and the readings sorted by row, so that those of a chunk stand side by side.
        canvas_M, position_M = np.nonzero(marked_RG)
        if not len(canvas_M):
            return
        temperature_R = np.broadcast_to(temperature_R, len(marked_RG))
        temperatures, which_R = np.unique(temperature_R, return_inverse=True)
        shape = (*self.row_UG.shape, len(temperatures))
        key_M = np.ravel_multi_index((self.canvas_R[canvas_M], position_M, which_R[canvas_M]), shape)
        key_N, row_M = np.unique(key_M, return_inverse=True)
        distinct_N, position_N, which_N = np.unravel_index(key_N, shape)
        by_row_M = np.argsort(row_M, kind="stable")
        canvas_M, position_M, row_M = canvas_M[by_row_M], position_M[by_row_M], row_M[by_row_M]

        hidden_row_N = self.row_UG[distinct_N, position_N]
        if (hidden_row_N < 0).any():
            raise ValueError("read at a position that was not asked")
        for rows, distribution in self._distributions(hidden_row_N, keep=keep):
            readings = slice(*np.searchsorted(row_M, [rows.start, rows.stop]))
            yield Chunk(
                distribution=distribution,
                temperature_N=temperatures[which_N[rows]],
                canvas_M=canvas_M[readings],
                position_M=position_M[readings],
                row_M=row_M[readings] - rows.start,
            )

    def cancel(self) -> None:
        """Cancel the forwards that have not begun."""
        for future in (*self.hidden, *self.unconditional):
            future.cancel()

    def _distributions(self, row_N: IntArray, *, keep: bool) -> Iterator[tuple[slice, Distribution]]:
        """The softmax of some rows of hidden states, ascending: (which of them, their distribution)."""
        if self._kept and np.isin(row_N, self._kept_row_N).all():
            kept_N = np.searchsorted(self._kept_row_N, row_N)
            for rows, distribution in self._kept:
                first, last = np.searchsorted(kept_N, [rows.start, rows.stop])
                if first < last:
                    wanted = torch.from_numpy(kept_N[first:last] - rows.start).to(self.predictor.device)
                    yield slice(first, last), distribution.take(wanted)
            return

        keep = keep and len(row_N) <= self.head_rows
        if keep:
            self._kept_row_N = row_N
        start = 0
        for logits_NV in self._computed(row_N):
            for part_NV in torch.split(logits_NV, self.softmax_rows):
                distribution = Distribution.of(part_NV)
                # NaN, infinity, or nothing but -inf: each makes the normaliser NaN, which costs little to look at.
                if not bool(distribution.normaliser_N.isfinite().all()):
                    raise NoDistributionError(_not_a_distribution(self.predictor, part_NV))
                rows = slice(start, start + len(part_NV))
                if keep:
                    self._kept.append((rows, distribution))
                yield rows, distribution
                start = rows.stop

    def _computed(self, row_N: IntArray) -> Iterator[Tensor]:
        """The logits of some rows of hidden states, as many at a time as fit: guided, suppressed tokens at -inf."""
        suppressed = [self.predictor.mask_id] if self.config.logits_mask_inf else []
        suppressed += [self.predictor.eos_id] if self.config.logits_eos_inf else []
        at = torch.from_numpy(row_N).to(self.predictor.device)
        hidden_ND = self._hidden_ND[at]
        unconditional_ND = None if self._unconditional_ND is None else self._unconditional_ND[at]
        for start in range(0, len(row_N), self.head_rows):
            rows = slice(start, start + self.head_rows)
            logits_NV = self.predictor.logits(hidden_ND[rows])
            check_logits(self.predictor, logits_NV, len(hidden_ND[rows]))
            if unconditional_ND is not None:
                plain_NV = self.predictor.logits(unconditional_ND[rows])
                logits_NV = plain_NV + (self.config.cfg_scale + 1) * (logits_NV - plain_NV)
            # One by one: a list would be copied to the device, and waited for.
            for token in suppressed:
                logits_NV[:, token] = -torch.inf
            yield logits_NV

    @cached_property
    def _hidden_ND(self) -> Tensor:
        return _collect(self.hidden)

    @cached_property
    def _unconditional_ND(self) -> Tensor | None:
        return _collect(self.unconditional) if self.unconditional else None


def _collect(futures: list[Future[Tensor]]) -> Tensor:
    """All results, which the futures then no longer hold; if one fails, those that have not begun are cancelled."""
    try:
        return torch.cat([future.result() for future in futures])
    finally:
        for future in futures:
            future.cancel()
        futures.clear()


class NoDistributionError(PluginError):
    """Logits that have no softmax."""


def _not_a_distribution(predictor: MaskPredictor, logits_NV: Tensor) -> str:
    """What is wrong with logits of which some rows have no softmax."""
    if bool(logits_NV.isnan().any()):
        found = "hold NaN"
    elif bool((logits_NV == torch.inf).any()):
        found = "hold infinity"
    else:
        found = "forbid every token (-inf, or removed by the settings) at some position"
    dtype = str(predictor.dtype).removeprefix("torch.")
    wider = "" if dtype == "float32" else f", and load it in float32 if {dtype} is too narrow"
    return f"the logits of model {predictor.name!r} {found}, so there is nothing to draw from; check its weights{wider}"
