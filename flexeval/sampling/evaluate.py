"""A batch of canvases -> hidden states, each distinct canvas evaluated once; hidden states -> measured rows.

Knows nothing of orders, schedules and the record. Axis suffixes: `R` canvases asked for, `U` distinct
canvases, `L` canvas positions, `N` rows of logits, `M` draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flexeval.errors import PluginError
from flexeval.models.predictor import MaskPredictor, check_logits
from flexeval.records import BoolArray, FloatArray, IntArray, SamplingConfig
from flexeval.sampling.measure import Distribution, draw, temper

_HEAD_BYTES = {"cpu": 32 << 20, "gpu": 512 << 20}
"""Float32 logits that are computed at once: enough rows to be worth reading the head's weights for."""
_MEASURE_BYTES = {"cpu": 8 << 20, "gpu": 512 << 20}
"""Float32 logits that are measured at once: what stays in a CPU's cache."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Hidden states at the asked positions of a batch's distinct canvases; they may still be on their way."""

    canvas_R: NDArray[np.int64]
    """Which distinct canvas each canvas asked for is."""
    row_UG: NDArray[np.int64]
    """Which row each generated position of each distinct canvas is: ascending; -1 where nothing was asked."""
    forwards: list[Future[Tensor]]
    """Consecutive rows."""
    unconditional: list[Future[Tensor]]
    """The same with the prompt masked; none without classifier-free guidance."""

    @cached_property
    def hidden_ND(self) -> Tensor:
        """The hidden states, waited for at the first use."""
        return _collect(self.forwards)

    @cached_property
    def unconditional_ND(self) -> Tensor | None:
        """With the prompt masked; None without guidance."""
        return _collect(self.unconditional) if self.unconditional else None

    def cancel(self) -> None:
        """Take back what no worker has begun."""
        for future in (*self.forwards, *self.unconditional):
            future.cancel()


def _collect(futures: list[Future[Tensor]]) -> Tensor:
    """All results, which the futures then no longer hold; if one failed, what has not begun does not."""
    try:
        return torch.cat([future.result() for future in futures])
    finally:
        for future in futures:
            future.cancel()
        futures.clear()


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The distributions at the eligible positions, where they are few enough to be kept until tokens are drawn."""

    row_UG: IntArray
    """Which row each position of each distinct canvas is: ascending by canvas, then position."""
    parts: list[Distribution]
    """Consecutive rows."""

    def distributions(self, canvas_N: IntArray, position_N: IntArray) -> Iterator[tuple[slice, Distribution]]:
        """Those at some positions, as `Evaluator.distributions` gives them. Sorted by canvas, then position."""
        rows_N = self.row_UG[canvas_N, position_N]
        begin, first = 0, 0
        for part in self.parts:
            last = first + len(part.normaliser_N)
            end = int(np.searchsorted(rows_N, last))
            if end > begin:
                rows = torch.from_numpy(rows_N[begin:end] - first).to(part.normaliser_N.device)
                yield slice(begin, end), part.take(rows)
            begin, first = end, last


@dataclass(frozen=True, kw_only=True)
class Counters:
    """Mask-predictor evaluations so far; guidance counts two."""

    evaluations: int = 0
    """That samples needed."""
    distinct: int = 0
    """That were computed, equal canvases once."""


class Evaluator:
    """Runs a mask predictor for a sampler, within bounds of memory."""

    def __init__(
        self, predictor: MaskPredictor, config: SamplingConfig, *, forward_batch: int, workers: int = 1
    ) -> None:
        """
        Args:
            predictor: the model.
            config: guidance, suppressed tokens, and whether canvases are evaluated by themselves.
            forward_batch: canvases per forward at most; halved when the device runs out of memory.
            workers: forwards that run side by side, each in a thread of its own; on a CPU only.
        """
        self.predictor = predictor
        self.counters = Counters()
        self._config = config
        # In half precision a canvas's numbers depend on how many there are in its forward, how they are padded, and at
        # how many positions the last MLP runs. Alone and whole, it has one shape that its own length decides.
        self._forward_batch = 1 if config.batch_invariant else forward_batch
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers) if workers > 1 and predictor.device.type == "cpu" else None
        self._removed = [predictor.mask_id] if config.logits_mask_inf else []
        self._removed += [predictor.eos_id] if config.logits_eos_inf else []

    # ----- canvases -> hidden states -----

    def evaluate(self, tokens_RL: IntArray, attended_RL: BoolArray, asked_RG: BoolArray) -> Evaluation:
        """Evaluate each distinct canvas once. With several workers, this returns before the forwards have ended.

        Args:
            tokens_RL: left-padded canvases.
            attended_RL: False at padding.
            asked_RG: the generated positions, at the end of each canvas, that will be read.
        """
        canvas_R, first_U = merge_equal(tokens_RL, attended_RL)
        tokens_UL, attended_UL, asked_UG = tokens_RL[first_U], attended_RL[first_U], on_distinct(asked_RG, canvas_R)
        forwards, unconditional = self._start(tokens_UL, attended_UL, asked_UG), []
        if self._config.cfg_scale > 0:
            masked_UL = tokens_UL.copy()
            masked_UL[:, : -asked_UG.shape[1]] = self.predictor.mask_id
            unconditional = self._start(masked_UL, attended_UL, asked_UG)
        passes = 2 if unconditional else 1
        self.counters = Counters(
            evaluations=self.counters.evaluations + passes * len(tokens_RL),
            distinct=self.counters.distinct + passes * len(tokens_UL),
        )
        return Evaluation(
            canvas_R=canvas_R,
            row_UG=np.where(asked_UG, asked_UG.cumsum().reshape(asked_UG.shape) - 1, -1),
            forwards=forwards,
            unconditional=unconditional,
        )

    def _start(self, *arrays_U: NDArray[Any]) -> list[Future[Tensor]]:
        """Begin to evaluate canvases."""
        if self._pool is None:
            done: Future[Tensor] = Future()
            done.set_result(self._forward(*arrays_U))
            return [done]
        # Of equal size, and as many for each worker, so that none waits for another.
        rounds = -(-len(arrays_U[0]) // (self._forward_batch * self._workers))
        return [self._pool.submit(self._forward_once, *batch) for batch in _split(arrays_U, rounds * self._workers)]

    def _forward(self, *arrays_U: NDArray[Any]) -> Tensor:
        """Hidden states, in batches that fit."""
        while True:
            batches = _split(arrays_U, -(-len(arrays_U[0]) // self._forward_batch))
            try:
                return torch.cat([self._forward_once(*batch) for batch in batches])
            except torch.OutOfMemoryError:
                if self._forward_batch == 1:
                    raise
            # Outside the handler, so that the failed forward's tensors are no longer referenced.
            self._forward_batch = max(1, min(self._forward_batch, len(arrays_U[0])) // 2)
            torch.cuda.empty_cache()

    @torch.inference_mode()  # which holds for a thread, and this may run in one of the pool
    def _forward_once(self, tokens_UL: IntArray, attended_UL: BoolArray, asked_UG: BoolArray) -> Tensor:
        """Hidden states [N, D] at the asked positions of a few canvases."""
        # Columns that are padding for all of them need no computing.
        first = int(attended_UL.argmax(axis=1).min())
        tokens_UL, attended_UL = tokens_UL[:, first:], attended_UL[:, first:]
        prompt_length = tokens_UL.shape[1] - asked_UG.shape[1]
        asked_UL = np.pad(asked_UG, ((0, 0), (prompt_length, 0)))
        hidden_ULD = self.predictor.hidden(
            self._on_device(tokens_UL),
            None if attended_UL.all() else self._on_device(attended_UL),
            None if self._config.batch_invariant else self._on_device(asked_UL),
        )
        if not isinstance(hidden_ULD, Tensor) or hidden_ULD.ndim != 3 or hidden_ULD.shape[:2] != tokens_UL.shape:
            raise PluginError(
                f"model {self.predictor.name!r}: hidden() must answer a tensor of shape [B, L, D] with B, L = "
                f"{list(tokens_UL.shape)}, not {list(getattr(hidden_ULD, 'shape', [])) or type(hidden_ULD).__name__}"
            )
        canvas_N, column_N = np.nonzero(asked_UL)
        return hidden_ULD[self._on_device(canvas_N), self._on_device(column_N)]

    def _on_device(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.predictor.device)

    # ----- hidden states -> rows of logits -----

    def distributions(
        self, evaluation: Evaluation, canvas_N: IntArray, position_N: IntArray
    ) -> Iterator[tuple[slice, Distribution]]:
        """The untempered softmax of some rows, in chunks that fit: (which of the N rows, their distribution).

        Args:
            evaluation: where the hidden states are.
            canvas_N: index of the distinct canvas.
            position_N: index of the generated position, which must have been asked.

        Raises:
            PluginError: the model gives something else than logits, or logits without a softmax.
        """
        row_N = evaluation.row_UG[canvas_N, position_N]
        if (row_N < 0).any():
            raise ValueError("read at a position that was not asked")
        at = self._on_device(row_N)
        hidden_ND = evaluation.hidden_ND[at]
        unconditional_ND = None if evaluation.unconditional_ND is None else evaluation.unconditional_ND[at]
        head_rows, measured_rows = self._rows_within(_HEAD_BYTES), self._rows_within(_MEASURE_BYTES)
        for start in range(0, len(canvas_N), head_rows):
            chunk = slice(start, start + head_rows)
            logits_NV = self.predictor.logits(hidden_ND[chunk])
            check_logits(self.predictor, logits_NV, len(hidden_ND[chunk]))
            if unconditional_ND is not None:
                plain_NV = self.predictor.logits(unconditional_ND[chunk])
                logits_NV = plain_NV + (self._config.cfg_scale + 1) * (logits_NV - plain_NV)
            logits_NV[:, self._removed] = -torch.inf
            for part_NV in torch.split(logits_NV, measured_rows):
                distribution = Distribution.of(part_NV)
                # NaN, infinity, or nothing but -inf: each makes the normaliser NaN, which costs little to look at.
                if not bool(distribution.normaliser_N.isfinite().all()):
                    raise PluginError(_not_a_distribution(self.predictor, part_NV))
                yield slice(start, start + len(part_NV)), distribution
                start += len(part_NV)

    def can_keep(self, rows: int) -> bool:
        """Whether the distributions of so many rows may stay in memory until the end of a step."""
        return rows <= self._rows_within(_HEAD_BYTES)

    def _rows_within(self, size: dict[str, int]) -> int:
        kind = "cpu" if self.predictor.device.type == "cpu" else "gpu"
        return max(1, size[kind] // (4 * self.predictor.vocab_size))

    def scored(self, distribution: Distribution) -> Distribution:
        """The distribution that an order's scores are read from (`SamplingConfig.scored`, `confidence_eos_eot_inf`)."""
        if self._config.scored == "sampled":
            # Dream does not temper at temperature 0, but filters all the same.
            weights_NV = self.sampled(distribution, self._config.temperature or 1.0)
            distribution = Distribution.of(weights_NV.log())
        if self._config.confidence_eos_eot_inf:
            gaps_NV = distribution.gaps_NV.clone()
            gaps_NV[:, sorted({self.predictor.eos_id, *self.predictor.stop_ids})] = -torch.inf
            distribution = Distribution.of(gaps_NV)
        return distribution

    def sampled(self, distribution: Distribution, temperature_N: float | FloatArray) -> Tensor:
        """Weights [N, V] of the distribution that tokens are drawn from."""
        rows, device = len(distribution.normaliser_N), distribution.gaps_NV.device
        temperatures_N = torch.from_numpy(np.broadcast_to(np.float32(temperature_N), (rows,)).copy()).to(device)
        return temper(distribution, temperatures_N, self._config.top_p, self._config.top_k)

    def draw(self, weights_NV: Tensor, rows_M: NDArray[Any], uniforms_M: FloatArray) -> Tensor:
        """Tokens [M]; `rows_M` says from which row of the weights each is drawn."""
        device = weights_NV.device
        return draw(weights_NV, torch.from_numpy(rows_M).to(device), torch.from_numpy(uniforms_M).to(device))


def _not_a_distribution(predictor: MaskPredictor, logits_NV: Tensor) -> str:
    """What is wrong with logits, some rows of which have no softmax."""
    if bool(logits_NV.isnan().any()):
        found = "hold NaN"
    elif bool((logits_NV == torch.inf).any()):
        found = "hold infinity"
    else:
        found = "forbid every token (-inf, or removed by the settings) at some position"
    dtype = str(predictor.dtype).removeprefix("torch.")
    return (
        f"the logits of model {predictor.name!r} {found}, so there is nothing to draw from; check its weights, and "
        f"load it in float32 if {dtype} is too narrow"
    )


def _split(arrays: tuple[NDArray[Any], ...], count: int) -> Iterator[tuple[NDArray[Any], ...]]:
    """The same rows of several arrays in at most `count` parts, none empty."""
    return zip(*(np.array_split(array, min(count, len(array))) for array in arrays), strict=True)


def merge_equal(tokens_RL: IntArray, attended_RL: BoolArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(which distinct canvas each canvas is [R], the first canvas equal to each distinct one [U]).

    Distinct canvases are in order of their padding, so that those of one length are evaluated together, unpadded.
    """
    padding_R = tokens_RL.shape[1] - attended_RL.sum(axis=1)
    seen: dict[tuple[int, bytes], int] = {}
    canvas_R = np.empty(len(tokens_RL), dtype=np.int64)
    representatives: list[int] = []
    order_R = np.argsort(padding_R, kind="stable")
    for row, padding in zip(order_R.tolist(), padding_R[order_R].tolist(), strict=True):
        key = (padding, tokens_RL[row].tobytes())
        if key not in seen:
            seen[key] = len(representatives)
            representatives.append(row)
        canvas_R[row] = seen[key]
    return canvas_R, np.array(representatives, dtype=np.int64)


def on_distinct(marked_RG: BoolArray, canvas_R: NDArray[np.int64]) -> BoolArray:
    """The positions that are marked on any of the canvases equal to each distinct one [U, G].

    Equal canvases may mark different positions: where the mask token can be drawn, they may be in different blocks.
    """
    marked_UG = np.zeros((int(canvas_R.max()) + 1, marked_RG.shape[1]), dtype=np.bool_)
    np.logical_or.at(marked_UG, canvas_R, marked_RG)
    return marked_UG
