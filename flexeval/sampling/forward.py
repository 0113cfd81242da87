"""A batch of canvases -> hidden states, each distinct canvas evaluated once; their logits are in `logits.py`.

Which columns of a canvas need no computing is known by `prefixes.py`. Knows nothing of orders, schedules and the
record. Axis suffixes: `R` canvases, `U` distinct canvases, `L` canvas positions, `S` those that are computed, `G`
generated positions, `N` rows of hidden states, `D` hidden size.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flexeval.errors import InputError, PluginError
from flexeval.models.predictor import MaskPredictor, attention_of
from flexeval.records import APPROXIMATE, BoolArray, IntArray, SamplingConfig
from flexeval.sampling.logits import Logits
from flexeval.sampling.prefixes import Canvases, Part, Prefixes, canvases_of, pieces, prefixes_of

if TYPE_CHECKING:
    from flexeval.models.past import Kept


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much is computed at once on a kind of device."""

    samples: int
    """Samples in flight in a lane, unless the user says otherwise."""
    group: int
    """Samples of one problem that a lane holds, if they are more."""
    canvases: int
    """Canvases per forward: enough for the work to outweigh the calls."""
    head_bytes: int
    """Float32 logits that the head computes at once: enough rows to be worth reading its weights."""
    softmax_bytes: int
    """Float32 logits whose softmax is computed at once: what stays in a CPU's cache."""
    kept_bytes: int
    """Keys and values of finished prefixes that a lane keeps at most."""


LIMITS = {
    "cpu": Limits(samples=64, group=256, canvases=32, head_bytes=32 << 20, softmax_bytes=8 << 20, kept_bytes=1 << 30),
    "gpu": Limits(
        samples=128, group=128, canvases=128, head_bytes=512 << 20, softmax_bytes=512 << 20, kept_bytes=8 << 30
    ),
}


def limits_of(predictor: MaskPredictor) -> Limits:
    """The limits of a model's device."""
    return LIMITS["cpu" if predictor.device.type == "cpu" else "gpu"]


@dataclass(frozen=True, kw_only=True)
class Counters:
    """Mask-predictor evaluations so far; guidance counts two."""

    evaluations: int = 0
    """That samples needed."""
    distinct: int = 0
    """That were computed, equal canvases once."""


class Forward:
    """Evaluates batches of canvases with a mask predictor, within bounds of memory."""

    def __init__(self, predictor: MaskPredictor, config: SamplingConfig, *, batch_size: int, workers: int = 1) -> None:
        """
        Args:
            predictor: the model.
            config: guidance, suppressed tokens, and whether canvases are evaluated by themselves.
            batch_size: canvases per forward at most; halved when the device runs out of memory.
            workers: forwards that run side by side, each in its own thread; on a CPU only.
        """
        self.predictor = predictor
        self.counters = Counters()
        self._attention = attention_of(predictor)
        self._config = config
        # In half precision a canvas's numbers depend on the shape of its forward: how many canvases, how much padding,
        # and at how many positions the last MLP runs. Alone and whole, its shape depends on its own length only.
        self._batch_size = 1 if config.batch_invariant else batch_size
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers) if workers > 1 and predictor.device.type == "cpu" else None
        self._begin()

    def _begin(self) -> None:
        """Keys and values of its own, also of canvases without their prompts where there is guidance."""
        passes = 2 if self._config.cfg_scale > 0 else 1
        room = limits_of(self.predictor).kept_bytes // passes
        self._prefixes, *self._unconditional = (
            prefixes_of(self.predictor, self._config, room=room) for _ in range(passes)
        )
        self.in_flight: Callable[[], tuple[IntArray, BoolArray, IntArray]] | None = None
        """Canvases, where they are no padding, and window ends of all samples of the lane, as for `start`; what is kept
        of a sample stays while steps leave it out. None: of those of the last step alone."""

    def another(self) -> Forward:
        """The same for another lane: its own counters and keys and values, the same threads."""
        lane = copy.copy(self)
        lane.counters = Counters()
        lane._begin()
        return lane

    def forget(self) -> None:
        """Drop all keys and values that are kept."""
        self.in_flight = None
        for prefixes in (self._prefixes, *self._unconditional):
            if prefixes is not None:
                prefixes.forget()

    def start(
        self,
        tokens_RL: IntArray,
        attended_RL: BoolArray,
        asked_RG: BoolArray,
        window_end_R: IntArray | None = None,
        twin_RS: IntArray | None = None,
    ) -> Logits:
        """Start to evaluate each distinct canvas once. With several workers, the forwards run on after the return.

        Args:
            tokens_RL: left-padded canvases.
            attended_RL: False at padding.
            asked_RG: the generated positions, at the end of each canvas, whose logits will be read.
            window_end_R: the generated position after the last that may be filled, for attention rules that ask where
                the current block is. None: after the last that is asked for.
            twin_RS: where the last columns are twins, the generated position that each stands for (see
                `NativePredictor.hidden`), -1 where it stands for none. They count as generated positions otherwise.

        Raises:
            InputError: no window is given, and the settings ask for an approximate cache.
        """
        generated = asked_RG.shape[1]
        if window_end_R is None:
            require_exact(self._config)
            window_end_R = generated - asked_RG[:, ::-1].argmax(axis=1)

        # Merge equal canvases, and ask for what any of them is asked for.
        by_window = self._attention.moves or self._prefixes is not None or twin_RS is not None
        canvas_R, first_U = merge_equal(tokens_RL, attended_RL, window_end_R if by_window else None)
        tokens_UL, attended_UL, window_end_U = tokens_RL[first_U], attended_RL[first_U], window_end_R[first_U]
        asked_UG = np.zeros((len(first_U), generated), dtype=np.bool_)
        np.logical_or.at(asked_UG, canvas_R, asked_RG)
        attended_UL = self._attention.attended(
            tokens_UL, attended_UL, answer=tokens_UL.shape[1] - generated, window_end_B=window_end_U
        )

        # Evaluate them, and with guidance once more with the prompt masked.
        rest = (asked_UG, window_end_U) if twin_RS is None else (asked_UG, window_end_U, twin_RS[first_U])
        waiting = self._waiting(len(tokens_RL), generated)
        hidden, unconditional = self._submit(self._prefixes, waiting, tokens_UL, attended_UL, *rest), []
        for prefixes in self._unconditional:
            masked_UL = self._without_prompt(tokens_UL, generated)
            if waiting is not None:
                waiting = (self._without_prompt(waiting[0], generated), *waiting[1:])
            unconditional = self._submit(prefixes, waiting, masked_UL, attended_UL, *rest)
        passes = 2 if unconditional else 1
        self.counters = Counters(
            evaluations=self.counters.evaluations + passes * len(tokens_RL),
            distinct=self.counters.distinct + passes * len(tokens_UL),
        )
        limits, row_bytes = limits_of(self.predictor), 4 * self.predictor.vocab_size
        return Logits(
            predictor=self.predictor,
            config=self._config,
            canvas_R=canvas_R,
            row_UG=np.where(asked_UG, asked_UG.cumsum().reshape(asked_UG.shape) - 1, -1),
            hidden=hidden,
            unconditional=unconditional,
            head_rows=max(1, limits.head_bytes // row_bytes),
            softmax_rows=max(1, limits.softmax_bytes // row_bytes),
        )

    def nothing(self, shape: tuple[int, ...]) -> Logits:
        """The logits of canvases [R, G] of which none is asked for anything."""
        return Logits(
            predictor=self.predictor,
            config=self._config,
            canvas_R=np.zeros(shape[0], dtype=np.int64),
            row_UG=np.full((1, shape[1]), -1, dtype=np.int64),
            hidden=[],
            unconditional=[],
            head_rows=1,
            softmax_rows=1,
        )

    def _waiting(self, samples: int, generated: int) -> tuple[NDArray[Any], ...] | None:
        """Canvases of all samples in flight, as for `canvases_of`; None where a step of so many leaves none out."""
        if self.in_flight is None or self._prefixes is None:
            return None
        tokens_RL, attended_RL, window_end_R = self.in_flight()
        if len(tokens_RL) == samples:
            return None
        answer = tokens_RL.shape[1] - generated
        attended_RL = self._attention.attended(tokens_RL, attended_RL, answer=answer, window_end_B=window_end_R)
        return tokens_RL, attended_RL, np.zeros((len(tokens_RL), generated), dtype=np.bool_), window_end_R

    def _without_prompt(self, tokens_UL: IntArray, generated: int) -> IntArray:
        masked_UL = tokens_UL.copy()
        masked_UL[:, :-generated] = self.predictor.mask_id
        return masked_UL

    def _submit(
        self, prefixes: Prefixes | None, waiting: tuple[NDArray[Any], ...] | None, *arrays_U: NDArray[Any]
    ) -> list[Future[Tensor]]:
        """Hidden states at the asked positions of canvases: consecutive rows, which may be on their way."""
        if prefixes is None:
            return self._spread(self._run, arrays_U)
        part = prefixes.part(
            self._canvases(*arrays_U), self._keep, None if waiting is None else self._canvases(*waiting)
        )
        return [future for arrays in pieces(part) for future in self._spread(self._run_part, arrays)]

    def _canvases(self, *arrays_U: NDArray[Any]) -> Canvases:
        return canvases_of(
            *arrays_U, attention=self._attention, block=self._config.block, mask_id=self.predictor.mask_id
        )

    def _spread(self, run: Callable[..., Any], arrays_U: tuple[NDArray[Any], ...]) -> list[Future[Any]]:
        """The results of a forward of each batch of some canvases, which may be on their way."""
        if self._pool is None:
            return [_done(result) for result in self._run_all(run, arrays_U)]
        # Batches of equal size, and equally many for each worker, so that none waits for another.
        rounds = -(-len(arrays_U[0]) // (self._batch_size * self._workers))
        return [self._pool.submit(run, *batch) for batch in _split(arrays_U, rounds * self._workers)]

    def _run_all(self, run: Callable[..., Any], arrays_U: tuple[NDArray[Any], ...]) -> list[Any]:
        """One forward after the other, in batches that fit into memory."""
        while True:
            batches = _split(arrays_U, -(-len(arrays_U[0]) // self._batch_size))
            try:
                return [run(*batch) for batch in batches]
            except torch.OutOfMemoryError:
                if self._batch_size == 1:
                    raise
            # Outside the handler, so that the failed forward's tensors are no longer referenced.
            self._batch_size = max(1, min(self._batch_size, len(arrays_U[0])) // 2)
            torch.cuda.empty_cache()

    @torch.inference_mode()  # holds for one thread, and this may run in one of the pool
    def _run(
        self,
        tokens_UL: IntArray,
        attended_UL: BoolArray,
        asked_UG: BoolArray,
        window_end_U: IntArray,
        twin_US: IntArray | None = None,
    ) -> Tensor:
        """One forward: hidden states [N, D] at the asked positions of a few canvases."""
        # Columns that are padding for all of them need no computing.
        first = int(attended_UL.argmax(axis=1).min())
        tokens_UL, attended_UL = tokens_UL[:, first:], attended_UL[:, first:]
        prompt_length = tokens_UL.shape[1] - asked_UG.shape[1]
        asked_UL = np.pad(asked_UG, ((0, 0), (prompt_length, 0)))
        canvases, attended = self._on_device(tokens_UL), None if attended_UL.all() else self._on_device(attended_UL)
        asked = None if self._config.batch_invariant else self._on_device(asked_UL)
        if twin_US is not None:
            twin_UL = np.pad(twin_columns(twin_US, asked_UG.shape[1]) + prompt_length, ((0, 0), (prompt_length, 0)))
            twin_UL[:, : tokens_UL.shape[1] - twin_US.shape[1]] = -1
            hidden_ULD = self.predictor.hidden(canvases, attended, asked, None, self._on_device(twin_UL))  # type: ignore[call-arg]
        elif self._attention.is_full:
            hidden_ULD = self.predictor.hidden(canvases, attended, asked)
        else:
            level_UL = self._attention.levels(
                tokens_UL,
                attended_UL,
                answer=prompt_length,
                window_end_B=window_end_U,
                mask_id=self.predictor.mask_id,
            )
            # Only models that have a rule take levels.
            hidden_ULD = self.predictor.hidden(canvases, attended, asked, self._on_device(level_UL))  # type: ignore[call-arg]
        if not isinstance(hidden_ULD, Tensor) or hidden_ULD.ndim != 3 or hidden_ULD.shape[:2] != tokens_UL.shape:
            found = list(hidden_ULD.shape) if isinstance(hidden_ULD, Tensor) else f"a {type(hidden_ULD).__name__}"
            raise PluginError(
                f"model {self.predictor.name!r}: hidden() must return a tensor of shape [B, L, D] with B, L = "
                f"{list(tokens_UL.shape)}, not {found}"
            )
        return self._read(hidden_ULD, asked_UL)

    # ----- from keys and values on -----

    def _keep(self, part: Part) -> list[Kept]:
        """The keys and values of a part's kept columns, canvas by canvas."""
        found = [future for arrays in pieces(part) for future in self._spread(self._run_kept, arrays)]
        return [kept for future in found for kept in future.result()]

    def _run_part(self, *arrays_U: NDArray[Any]) -> Tensor:
        """Hidden states [N, D] at the asked columns of a few canvases."""
        return self._run_after(*arrays_U, keep=False)[0]

    def _run_kept(self, *arrays_U: NDArray[Any]) -> list[Kept]:
        return self._run_after(*arrays_U, keep=True)[1]

    @torch.inference_mode()
    def _run_after(self, after_U: NDArray[Any], *arrays_US: NDArray[Any], keep: bool) -> tuple[Tensor, list[Kept]]:
        """One forward of a few columns of a few canvases: hidden states [N, D] at those that are asked, and what is
        kept.
        """
        first = int(arrays_US[1].argmax(axis=1).min())
        cut_US = [array[:, first:] for array in arrays_US]
        hidden_USD, kept = hidden_after(self.predictor, after_U, *cut_US, keep=keep)
        return self._read(hidden_USD, cut_US[4]), kept

    def _read(self, hidden_ULD: Tensor, asked_UL: BoolArray) -> Tensor:
        canvas_N, column_N = np.nonzero(asked_UL)
        return hidden_ULD[self._on_device(canvas_N), self._on_device(column_N)]

    def _on_device(self, array: NDArray[Any]) -> Tensor:
        return on_device(self.predictor, array)


def twin_columns(twin_US: IntArray, generated: int) -> IntArray:
    """The generated column that each of the last columns stands for [U, generated]; its own where that is none."""
    own_S = np.arange(generated - twin_US.shape[1], generated)
    columns_US = np.where(twin_US < 0, own_S, twin_US)
    return np.pad(columns_US, ((0, 0), (generated - twin_US.shape[1], 0)))


def merge_equal(
    tokens_RL: IntArray, attended_RL: BoolArray, window_end_R: IntArray | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(which distinct canvas each canvas is [R], the first canvas equal to each distinct one [U]).

    Distinct canvases are sorted by padding, so that those of one length are evaluated together, unpadded. With
    `window_end_R`, equal ones are those with equal windows, and those of one window stand together.
    """
    padding_R = tokens_RL.shape[1] - attended_RL.sum(axis=1)
    ends = [0] * len(tokens_RL) if window_end_R is None else window_end_R.tolist()
    seen: dict[tuple[int, int, bytes], int] = {}
    canvas_R = np.empty(len(tokens_RL), dtype=np.int64)
    representatives: list[int] = []
    order_R = np.lexsort((ends, padding_R))
    for row, padding in zip(order_R.tolist(), padding_R[order_R].tolist(), strict=True):
        key = (padding, ends[row], tokens_RL[row].tobytes())
        if key not in seen:
            seen[key] = len(representatives)
            representatives.append(row)
        canvas_R[row] = seen[key]
    return canvas_R, np.array(representatives, dtype=np.int64)


def require_exact(config: SamplingConfig) -> None:
    """Refuse an approximate cache for what is to be exact. Raises InputError."""
    if config.cache in APPROXIMATE:
        raise InputError(
            f"cache {config.cache!r} is approximate, and likelihoods, counterfactuals and circulation are the model's "
            "own; use a run, or settings, with cache 'exact'"
        )


def _done(result: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(result)
    return future


def _split(arrays: tuple[NDArray[Any], ...], count: int) -> Iterator[tuple[NDArray[Any], ...]]:
    """The same rows of several arrays in at most `count` parts, none empty."""
    return zip(*(np.array_split(array, min(count, len(array))) for array in arrays), strict=True)


def on_device(predictor: MaskPredictor, array: NDArray[Any]) -> Tensor:
    """An array as a tensor where the model is."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(predictor.device)


def hidden_after(
    predictor: MaskPredictor,
    after_U: NDArray[Any],
    tokens_US: NDArray[Any],
    attended_US: NDArray[Any],
    level_US: NDArray[Any],
    position_US: NDArray[Any],
    asked_US: NDArray[Any],
    kept_US: NDArray[Any],
    *,
    keep: bool,
) -> tuple[Tensor, list[Kept]]:
    """Hidden states [U, S, D] of some columns after prefixes whose keys and values are known, and what is kept.

    Args:
        predictor: one that `can_go_on`.
        after_U, ...: a piece of `flexeval.sampling.prefixes.pieces`.
        keep: whether keys and values at `kept_US` are wanted.
    """
    native: Any = predictor
    hidden_USD, kept = native.hidden_after(
        list(after_U),
        on_device(predictor, tokens_US),
        None if attended_US.all() else on_device(predictor, attended_US),
        on_device(predictor, asked_US),
        on_device(predictor, level_US),
        on_device(predictor, position_US),
        on_device(predictor, kept_US) if keep else None,
    )
    return hidden_USD, kept
