"""The samples in flight: each one's canvas, its place in the schedule, and its record.

Knows nothing of models and orders; all but the drift is in host memory. Axis suffixes: `B` rows of the batch, `R` rows
of a step, `P` prompt columns, `G` generated positions, `L` the canvas (prompt and generated positions), `M` commits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flexeval.models.attention import FULL, Attention
from flexeval.records import BoolArray, IntArray, SamplingConfig, Trajectory
from flexeval.sampling.drift import Drift
from flexeval.sampling.randomness import sample_key
from flexeval.sampling.schedule import Window, budget, num_steps, windows

BLANK_RECORD: Mapping[str, float] = {
    "commit_step_G": -1,
    "entropy_G": np.nan,
    "prob_G": np.nan,
    "rank_G": -1,
    "top_prob_G": np.nan,
    "eligible_entropy_G": np.nan,
    "frontier_step_G": -1,
    "frontier_entropy_G": np.nan,
    "passes_G": 0,
}
"""The arrays of a `Trajectory` that are filled in while a sample is decoded, and what they hold before."""


@dataclass(frozen=True, kw_only=True)
class SampleRequest:
    """One sample to draw."""

    problem_id: str
    sample_index: int
    prompt_ids: list[int]


class CanvasBatch:
    """A fixed number of rows, each empty or holding one sample. Rows of all arrays belong together.

    A canvas is right-aligned: prompts end where the generated positions begin, so those share columns.
    """

    def __init__(
        self,
        size: int,
        config: SamplingConfig,
        *,
        adaptive: bool,
        mask_id: int,
        stop_ids: frozenset[int],
        attention: Attention = FULL,
        drift: Drift | None = None,
    ) -> None:
        """
        Args:
            size: samples in flight at most.
            config: lengths, blocks, schedule, seed.
            adaptive: whether the order decides how many positions a step commits.
            mask_id: the mask token.
            stop_ids: tokens that end the text.
            attention: the model's rule, whose blocks hold the windows of the schedule.
            drift: where the order asks how distributions move from step to step.
        """
        self.config = config
        self.mask_id = mask_id
        self.stop_ids = np.array(sorted(stop_ids), dtype=np.int64)
        self._requests: list[SampleRequest | None] = [None] * size
        # The canvas.
        self._prompt_BP = np.full((size, 0), mask_id, dtype=np.int64)
        self._prompt_length_B = np.zeros(size, dtype=np.int64)
        self.tokens_BG = np.full((size, config.gen_length), mask_id, dtype=np.int64)
        # The random numbers: the sample's key, and how often each position has been drawn.
        self.keys_B = np.zeros(size, dtype=np.uint64)
        self.draws_BG = np.zeros((size, config.gen_length), dtype=np.int64)
        # The place in the schedule.
        self.step_B = np.zeros(size, dtype=np.int64)
        self._nfe_B = np.zeros(size, dtype=np.int64)
        self._attention = attention
        self._windows: list[tuple[Window, ...]] = [()] * size
        self._window_B = np.zeros(size, dtype=np.int64)
        self._window_step_B = np.zeros(size, dtype=np.int64)
        self.window_end_B = np.zeros(size, dtype=np.int64)
        """The generated position after the last that may be filled."""
        self.drift = drift
        # An adaptive order has no schedule. Each of its steps commits at least one position.
        self._adaptive = adaptive
        # The record.
        self.record: dict[str, NDArray[Any]] = {
            name: np.full((size, config.gen_length), blank, dtype=np.float32 if np.isnan(blank) else np.int32)
            for name, blank in BLANK_RECORD.items()
        }

    # ----- samples come and go -----

    @property
    def rows(self) -> IntArray:
        """The rows that hold a sample, ascending."""
        return np.array([row for row, request in enumerate(self._requests) if request is not None], dtype=np.int64)

    @property
    def size(self) -> int:
        """How many rows there are."""
        return len(self._requests)

    def add(self, requests: Sequence[SampleRequest]) -> None:
        """Put fresh canvases into the first empty rows. There must be room for all of them."""
        empty = [row for row, request in enumerate(self._requests) if request is None]
        for row, request in zip(empty, requests, strict=False):
            length = len(request.prompt_ids)
            missing = length - self._prompt_BP.shape[1]
            if missing > 0:
                self._prompt_BP = np.pad(self._prompt_BP, ((0, 0), (missing, 0)), constant_values=self.mask_id)
            self._requests[row] = request
            self._prompt_BP[row, self._prompt_BP.shape[1] - length :] = request.prompt_ids
            self._prompt_length_B[row] = length
            self.tokens_BG[row] = self.mask_id
            self.keys_B[row] = sample_key(self.config.seed, request.problem_id, request.sample_index)
            self.draws_BG[row] = 0
            for counter_B in (self.step_B, self._nfe_B, self._window_B, self._window_step_B):
                counter_B[row] = 0
            self._windows[row] = windows(self.config, self._attention, length)
            self.window_end_B[row] = self._windows[row][0].end
            for name, blank in BLANK_RECORD.items():
                self.record[name][row] = blank
            if self.drift is not None:
                self.drift.forget(row)
            self._skip_idle_steps(row)

    def pop_finished(self) -> list[Trajectory]:
        """Empty the rows of finished samples; their records, which are copies."""
        rows_R = self.rows
        done_R = rows_R[self._finished(rows_R)]
        finished = [self._trajectory(row) for row in done_R.tolist()]
        for row in done_R.tolist():
            self._requests[row] = None
        return finished

    # ----- what a step sees -----

    def canvases(self, rows_R: IntArray) -> tuple[IntArray, BoolArray]:
        """The canvases [R, L], left-padded to the longest, and where they are not padding [R, L]."""
        longest = int(self._prompt_length_B[rows_R].max())
        prompts = self._prompt_BP[rows_R, self._prompt_BP.shape[1] - longest :]
        tokens_RL = np.concatenate([prompts, self.tokens_BG[rows_R]], axis=1)
        first_R = longest - self._prompt_length_B[rows_R]
        return tokens_RL, np.arange(tokens_RL.shape[1]) >= first_R[:, None]

    def eligible(self, rows_R: IntArray) -> BoolArray:
        """Masks before the end of each sample's current window [R, G].

        Earlier windows hold masks only when the mask token itself may be drawn.
        """
        inside_RG = np.arange(self.config.gen_length) < self.window_end_B[rows_R][:, None]
        eligible_RG: BoolArray = (self.tokens_BG[rows_R] == self.mask_id) & inside_RG
        return eligible_RG

    def window_opens(self, rows_R: IntArray) -> BoolArray:
        """Whether this is the first step of each sample's current window [R]."""
        opens_R: BoolArray = self._window_step_B[rows_R] == 0
        return opens_R

    def place(self, rows_R: IntArray) -> dict[str, NDArray[Any]]:
        """Each sample's place in its current window [R], by the names of `DecodingState`."""
        sizes = [self._windows[row][self._window_B[row]].size for row in rows_R.tolist()]
        return {
            "window_step_B": self._window_step_B[rows_R],
            "window_size_B": np.array(sizes, dtype=np.int64),
            "full_steps_B": np.zeros(len(rows_R), dtype=np.int64),
        }

    def budget(self, rows_R: IntArray) -> IntArray:
        """How many positions the schedule commits at this step [R]; 1 for an adaptive order."""
        return np.array([self._budget(row) for row in rows_R.tolist()], dtype=np.int64)

    # ----- what a step does -----

    def commit(self, rows_M: IntArray, positions_M: IntArray, tokens_M: IntArray, **measured: NDArray[Any]) -> None:
        """Write tokens into canvases and what was measured of them into the record, under the names of a `Trajectory`.

        A position that drew the mask token itself stays a mask.
        """
        drawn_M = tokens_M != self.mask_id
        at = rows_M[drawn_M], positions_M[drawn_M]
        self.tokens_BG[at] = tokens_M[drawn_M]
        self.record["commit_step_G"][at] = self.step_B[at[0]]
        for name, values_M in measured.items():
            self.record[name][at] = values_M[drawn_M]

    def advance(self, rows_R: IntArray, evaluations: int) -> None:
        """Count a step that took so many evaluations, and go on to the next window where one is finished."""
        eligible_RG = self.eligible(rows_R)
        for row, eligible_G in zip(rows_R.tolist(), eligible_RG, strict=True):
            window = self._windows[row][self._window_B[row]]
            if not window.free:
                self.step_B[row] += 1
                self._nfe_B[row] += evaluations
            self._window_step_B[row] += 1
            if not eligible_G.any() or self._window_step_B[row] == self._steps(window):
                self._next_window(row)
            self._skip_idle_steps(row)

    # ----- helpers -----

    def _steps(self, window: Window) -> int:
        """Most steps of a window."""
        return window.size if self._adaptive else num_steps(self.config, window.size)

    def _next_window(self, row: int) -> None:
        self._window_B[row] += 1
        self._window_step_B[row] = 0
        if self._window_B[row] < len(self._windows[row]):
            self.window_end_B[row] = self._windows[row][self._window_B[row]].end

    def _budget(self, row: int) -> int:
        if self._adaptive:
            return 1
        window = self._windows[row][self._window_B[row]]
        masks = int((self.tokens_BG[row, : window.end] == self.mask_id).sum())
        return budget(self.config, window.size, int(self._window_step_B[row]), masks)

    def _skip_idle_steps(self, row: int) -> None:
        """Skip steps at which the schedule commits nothing: they need no evaluation."""
        while self._window_B[row] < len(self._windows[row]) and self._budget(row) == 0:
            self._window_step_B[row] += 1
            self.step_B[row] += 1

    def _text_length(self, rows_R: IntArray) -> IntArray:
        """Positions before each sample's first stop token [R]; gen_length where there is none."""
        stops_RG = np.isin(self.tokens_BG[rows_R], self.stop_ids)
        return np.where(stops_RG.any(axis=1), stops_RG.argmax(axis=1), self.config.gen_length)

    def _finished(self, rows_R: IntArray) -> BoolArray:
        """Whether each sample is done [R]: after its last window, or with `stop_at_eos` as soon as its text is settled.

        A text is settled once every position up to its first stop token is committed.
        """
        done_R: BoolArray = self._window_B[rows_R] == [len(self._windows[row]) for row in rows_R.tolist()]
        if self.config.stop_at_eos:
            masked_RG = self.tokens_BG[rows_R] == self.mask_id
            first_mask_R = np.where(masked_RG.any(axis=1), masked_RG.argmax(axis=1), self.config.gen_length)
            done_R |= first_mask_R > self._text_length(rows_R)
        return done_R

    def _trajectory(self, row: int) -> Trajectory:
        request = self._requests[row]
        assert request is not None
        return Trajectory(
            problem_id=request.problem_id,
            sample_index=request.sample_index,
            prompt_length=len(request.prompt_ids),
            token_ids_G=self.tokens_BG[row].astype(np.int32),
            length=int(self._text_length(np.array([row]))[0]),
            nfe=int(self._nfe_B[row]),
            **{name: array_BG[row].copy() for name, array_BG in self.record.items()},
        )
