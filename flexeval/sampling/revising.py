"""What orders that revise add to a batch and to its steps; other orders take neither.

Only tokens of the current window can be taken back, so what stands in finished windows is final. Axis suffixes as in
`step.py` and `canvas.py`; `S` the twins, a mask for each position of the window, which stand at the end of the canvas.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from flexeval.orders.order import LOOKS, Order, ask_revision, ask_temperature
from flexeval.records import BoolArray, FloatArray, IntArray, Revision, Revisions, SamplingConfig, Trajectory
from flexeval.sampling.canvas import BLANK_RECORD, CanvasBatch, SampleRequest
from flexeval.sampling.forward import Forward
from flexeval.sampling.logits import Chunk, Logits
from flexeval.sampling.step import Step, on_host

COMMITTED = ("commit_step_G", "entropy_G", "prob_G", "rank_G", "top_prob_G")
"""What a commit writes into the record, and taking the token back removes."""


class RevisingBatch(CanvasBatch):
    """Samples whose tokens may be taken back while their window is the current one."""

    def __init__(self, size: int, config: SamplingConfig, *, most_steps: Callable[[int], int], **common: Any) -> None:
        """
        Args:
            size: as `CanvasBatch`.
            config: as `CanvasBatch`.
            most_steps: the most steps of a window of so many positions; after these, nothing is taken back any more.
            common: as `CanvasBatch`.
        """
        super().__init__(size, config, adaptive=True, **common)
        self._most_steps = most_steps
        self._full_steps_B = np.zeros(size, dtype=np.int64)
        self._capped_B = np.zeros(size, dtype=np.bool_)
        self.remasks_BG = np.zeros((size, config.gen_length), dtype=np.int32)
        shape = (size, config.gen_length)
        self.commit_score_BG = np.full(shape, np.nan, dtype=np.float32)
        """What orders compare of each token: its probability as `SamplingConfig.scored` reads it, at its commit."""
        self.last_score_BG = np.full(shape, np.nan, dtype=np.float32)
        """The same at the last step that looked at the token."""
        self._events: list[list[tuple[float, ...]]] = [[] for _ in range(size)]

    def add(self, requests: Sequence[SampleRequest]) -> None:
        """As `CanvasBatch.add`."""
        empty = np.setdiff1d(np.arange(len(self._events)), self.rows)
        super().add(requests)
        for row in empty[: len(requests)].tolist():
            self._full_steps_B[row] = 0
            self._capped_B[row] = False
            self.remasks_BG[row] = 0
            self.commit_score_BG[row] = np.nan
            self.last_score_BG[row] = np.nan
            self._events[row] = []

    # ----- what a step sees -----

    def window_start(self, rows_R: IntArray) -> IntArray:
        """The first position of each sample's current window [R]."""
        windows = [self._windows[row][self._window_B[row]] for row in rows_R.tolist()]
        return np.array([window.end - window.size for window in windows], dtype=np.int64)

    def revisable(self, rows_R: IntArray) -> BoolArray:
        """Tokens of each sample's current window [R, G]."""
        position_G = np.arange(self.config.gen_length)
        inside_RG = position_G < self.window_end_B[rows_R][:, None]
        inside_RG &= position_G >= self.window_start(rows_R)[:, None]
        revisable_RG: BoolArray = inside_RG & (self.tokens_BG[rows_R] != self.mask_id)
        return revisable_RG

    def place(self, rows_R: IntArray) -> dict[str, NDArray[Any]]:
        """As `CanvasBatch.place`."""
        return {**super().place(rows_R), "full_steps_B": self._full_steps_B[rows_R]}

    def over(self, rows_R: IntArray) -> BoolArray:
        """Whether each sample's window has had all the steps that its order said it would take [R]."""
        windows = [self._windows[row][self._window_B[row]] for row in rows_R.tolist()]
        return np.array(
            [steps >= self._most_steps(window.size)
             for steps, window in zip(self._window_step_B[rows_R].tolist(), windows, strict=True)],
            dtype=np.bool_,
        )  # fmt: skip

    # ----- what a step does -----

    def cap(self, rows_R: IntArray) -> None:
        """Say of samples that their revising was ended."""
        self._capped_B[rows_R] = True

    def take_back(
        self,
        rows_M: IntArray,
        positions_M: IntArray,
        new_tokens_M: IntArray,
        entropy_M: FloatArray,
        old_prob_M: FloatArray,
        new_prob_M: FloatArray,
    ) -> None:
        """Mask tokens again, and record what stood there. A new token, if there is one (else -1), is committed next."""
        at = rows_M, positions_M
        columns = (
            self.step_B[rows_M],
            positions_M,
            self.tokens_BG[at],
            new_tokens_M,
            *(self.record[name][at] for name in ("commit_step_G", "entropy_G", "prob_G", "passes_G")),
            entropy_M,
            old_prob_M,
            new_prob_M,
        )
        for row, *event in zip(rows_M.tolist(), *(column.tolist() for column in columns), strict=True):
            self._events[row].append(tuple(event))
        self.tokens_BG[at] = self.mask_id
        self.remasks_BG[at] += new_tokens_M < 0
        for name in COMMITTED:
            self.record[name][at] = BLANK_RECORD[name]

    def advance_windows(
        self, rows_R: IntArray, evaluations_R: IntArray, was_full_R: BoolArray, again_R: BoolArray
    ) -> None:
        """Count a step, and go on to the next window where one is full and need not be looked at again.

        Args:
            rows_R: the samples of the step.
            evaluations_R: that it took of each.
            was_full_R: whether there was no mask before it.
            again_R: whether the order wants another look at a full window.
        """
        masks_R = self.eligible(rows_R).sum(axis=1)
        columns = (rows_R, evaluations_R, was_full_R, masks_R, again_R)
        for row, evaluations, was_full, masks, again in zip(*(column.tolist() for column in columns), strict=True):
            window = self._windows[row][self._window_B[row]]
            most = self._most_steps(window.size)
            # A free window counts as well: it may take several steps, and each is a time of its own.
            self.step_B[row] += 1
            self._nfe_B[row] += evaluations
            self._window_step_B[row] += 1
            self._full_steps_B[row] += was_full
            steps = self._window_step_B[row]
            ends = masks == 0 and (not again or steps >= most)
            self._capped_B[row] |= ends and again
            # A drawn mask token leaves its position masked, so that even the steps after the cap may not fill a window.
            if ends or steps >= most + window.size:
                self._next_window(row)
                self._full_steps_B[row] = 0

    def _finished(self, rows_R: IntArray) -> BoolArray:
        """Whether each sample is done [R]: after its last window, with `stop_at_eos` after that of its stop token."""
        done_R: BoolArray = self._window_B[rows_R] == [len(self._windows[row]) for row in rows_R.tolist()]
        if self.config.stop_at_eos and not done_R.all():
            going = np.flatnonzero(~done_R)
            rows_M = rows_R[going]
            settled_M = super()._finished(rows_M)
            done_R[going] = settled_M & (self._text_length(rows_M) < self.window_start(rows_M))
        return done_R

    def _trajectory(self, row: int) -> Trajectory:
        return dataclasses.replace(
            super()._trajectory(row), revisions=Revisions.of(self._events[row]), capped=bool(self._capped_B[row])
        )


class RevisingStep(Step):
    """A step under an order that may mask tokens again or rewrite them."""

    _batch: RevisingBatch

    def __init__(self, batch: RevisingBatch, order: Order, config: SamplingConfig, forward: Forward) -> None:
        rows_R = batch.rows
        self._revisable_RG = batch.revisable(rows_R)
        self._revision: Revision | None = None
        shape = self._revisable_RG.shape
        # What was found at the tokens of the window, NaN where nothing looked.
        self._looked = {name: np.full(shape, np.nan, dtype=np.float32) for name in ("entropy", "old", "new")}
        self._redraw_RG = np.full(shape, -1, dtype=np.int64)
        super().__init__(batch, order, config, forward)

    def finish(self) -> None:
        """Choose positions, take tokens back, draw tokens and commit them."""
        batch, rows_R = self._batch, self._rows_R

        commit_RG, temperature_R, proposal_RG = self._chosen()
        assert self._revision is not None
        remask_RG, rewrite_RG, again_R = (
            part for part in (self._revision.remask_BG, self._revision.rewrite_BG, self._revision.again_B)
            if part is not None
        )  # fmt: skip

        # Take back what is masked again or rewritten.
        sample_M, place_M = np.nonzero(remask_RG | rewrite_RG)
        at_M = sample_M, place_M
        new_M = rewrite_RG[at_M]
        batch.take_back(
            rows_R[sample_M],
            place_M,
            # A drawn mask token leaves a mask.
            np.where(new_M & (self._redraw_RG[at_M] != batch.mask_id), self._redraw_RG[at_M], -1),
            self._looked["entropy"][at_M],
            self._looked["old"][at_M],
            np.where(new_M, self._looked["new"][at_M], np.float32(np.nan)),
        )

        # Draw and commit, chunk by chunk.
        read_RG = commit_RG | rewrite_RG if self._order.reads_model else self._asked_RG
        for chunk in self._logits.softmax(read_RG, temperature_R):
            entropy_N = chunk.distribution.entropy()
            if not self._order.reads_model:
                self._record("frontier_entropy_G", chunk.where(self._new_frontier_RG), entropy_N)
            self._commit(chunk.where(commit_RG), proposal_RG, entropy_N)
            self._commit(chunk.where(rewrite_RG), self._redraw_RG, entropy_N)

        # Record the new frontiers, and those that were passed over.
        samples, places = np.nonzero(self._new_frontier_RG)
        batch.record["frontier_step_G"][rows_R[samples], places] = batch.step_B[rows_R[samples]]
        full_R = self._eligible_RG.sum(axis=1) == 0
        passed_R = commit_RG.any(axis=1) & ~commit_RG[np.arange(len(rows_R)), self._frontier_R]
        batch.record["passes_G"][rows_R[passed_R], self._frontier_R[passed_R]] += 1

        # Go on to other random numbers where a token was drawn, and in the schedule.
        drawn_RG = commit_RG if proposal_RG is None else self._eligible_RG
        if "redraw" in self._order.reads:
            drawn_RG = drawn_RG | self._revisable_RG
        batch.draws_BG[rows_R] += drawn_RG
        passes = 2 if self._config.cfg_scale > 0 else 1
        batch.advance_windows(rows_R, passes * self._needed_R, full_R, again_R)

    # ----- what is evaluated -----

    def _start(self, forward: Forward) -> Logits:
        """Start the forward of the samples that need one: all but those whose order commits nothing unseen."""
        batch, rows_R, reads = self._batch, self._rows_R, self._order.reads
        tokens_RL, attended_RL = batch.canvases(rows_R)
        window_end_R = batch.window_end_B[rows_R]
        self._needed_R: BoolArray = np.ones(len(rows_R), dtype=np.bool_)
        self._new_frontier_RG &= self._eligible_RG
        if not self._order.reads_model:
            self._needed_R = self._choice_made()[0].sum(axis=1) > 0
            self._new_frontier_RG &= self._needed_R[:, None]
            self._asked_RG = self._choice_made()[0] | self._new_frontier_RG
            if not self._needed_R.all():
                return self._start_some(forward, tokens_RL, attended_RL, window_end_R)
        elif reads & {"kept", "redraw"}:
            self._asked_RG = self._asked_RG | self._revisable_RG
        if "unseen" not in reads:
            return forward.start(tokens_RL, attended_RL, self._asked_RG, window_end_R)

        # Twins stand at the end of the canvas: the position that each stands for, -1 where a window is shorter.
        start_R = batch.window_start(rows_R)
        sizes_R = window_end_R - start_R
        place_S = np.arange(int(sizes_R.max()))
        twin_RS = np.where(place_S < sizes_R[:, None], start_R[:, None] + place_S, -1)
        length = self._revisable_RG.shape[1]
        self._twins_asked_RS = np.zeros(twin_RS.shape, dtype=np.bool_)
        row_M, place_M = np.nonzero(self._revisable_RG)
        self._twins_asked_RS[row_M, place_M - start_R[row_M]] = True
        self._start_R, self._length = start_R, length
        masks_RS = np.full(twin_RS.shape, batch.mask_id, dtype=tokens_RL.dtype)
        return forward.start(
            np.concatenate([tokens_RL, masks_RS], axis=1),
            np.concatenate([attended_RL, np.ones(twin_RS.shape, dtype=np.bool_)], axis=1),
            np.concatenate([self._asked_RG, self._twins_asked_RS], axis=1),
            window_end_R,
            twin_RS,
        )

    def _start_some(
        self, forward: Forward, tokens_RL: IntArray, attended_RL: BoolArray, window_end_R: IntArray
    ) -> Logits:
        """Start the forward of the samples that need one."""
        some = np.flatnonzero(self._needed_R)
        if not len(some):
            return forward.nothing(self._asked_RG.shape)
        logits = forward.start(tokens_RL[some], attended_RL[some], self._asked_RG[some], window_end_R[some])
        canvas_R = np.zeros(len(self._needed_R), dtype=np.int64)
        canvas_R[some] = logits.canvas_R
        return dataclasses.replace(logits, canvas_R=canvas_R)

    def _choice_made(self) -> tuple[BoolArray, FloatArray]:
        assert self._choice is not None
        return self._choice

    # ----- score -----

    def _score(self) -> dict[str, NDArray[Any]]:
        scores, reads = self._blank_scores(), self._order.reads
        looks = reads & LOOKS
        shape = self._revisable_RG.shape
        for name in looks - {"redraw"}:
            scores[f"{name}_prob_BG"] = np.full(shape, np.nan, dtype=np.float32)
        if "redraw" in looks:
            scores["redraw_BG"] = self._redraw_RG
            scores["redraw_prob_BG"] = np.full(shape, np.nan, dtype=np.float32)
        if "kept" in looks:
            scores["kept_before_BG"] = self._batch.last_score_BG[self._rows_R]
        opened_RG = self._opened()
        seen = bool(looks & {"kept", "redraw"})
        looked_RG = self._eligible_RG | self._revisable_RG if seen else self._eligible_RG
        for chunk in self._logits.softmax(looked_RG, self._config.temperature, keep=True):
            self._score_chunk(chunk.where(self._eligible_RG), scores, opened_RG)
            if seen:
                self._look(chunk.where(self._revisable_RG), scores)
        if "unseen" in looks:
            marked_RX = np.concatenate([np.zeros_like(self._eligible_RG), self._twins_asked_RS], axis=1)
            for chunk in self._logits.softmax(marked_RX, self._config.temperature):
                position_M = chunk.position_M - self._length + self._start_R[chunk.canvas_M]
                self._look(dataclasses.replace(chunk, position_M=position_M), scores)
        return scores

    def _look(self, chunk: Chunk, scores: dict[str, NDArray[Any]]) -> None:
        """Fill in what is read at some tokens of the window."""
        batch, reads = self._batch, self._order.reads
        plain, scored = chunk.distribution, self._scored(chunk.distribution)
        token_M = chunk.on_device(batch.tokens_BG[self._rows_R[chunk.canvas_M], chunk.position_M])
        self._looked["entropy"][chunk.at] = on_host(plain.entropy()[chunk.rows])
        self._looked["old"][chunk.at] = on_host(plain.prob(token_M, chunk.rows))
        for name in reads & {"kept", "unseen"}:
            scores[f"{name}_prob_BG"][chunk.at] = on_host(scored.prob(token_M, chunk.rows))
        if "kept" in reads:
            batch.last_score_BG[self._rows_R[chunk.canvas_M], chunk.position_M] = scores["kept_prob_BG"][chunk.at]
        if "redraw" in reads:
            drawn_M = self._draw(chunk)
            self._redraw_RG[chunk.at] = on_host(drawn_M)
            self._looked["new"][chunk.at] = on_host(plain.prob(drawn_M, chunk.rows))
            scores["redraw_prob_BG"][chunk.at] = on_host(scored.prob(drawn_M, chunk.rows))

    # ----- choose -----

    def _choose(self, scores: Mapping[str, NDArray[Any]]) -> tuple[BoolArray, FloatArray]:
        """The order's answers; beyond the steps that it said it would take, it commits only, one at least."""
        batch, rows_R = self._batch, self._rows_R
        arrays: dict[str, NDArray[Any]] = dict(scores)
        if "past" in self._order.reads:
            arrays |= {
                "revisable_BG": self._revisable_RG,
                "token_BG": batch.tokens_BG[rows_R],
                "commit_step_BG": batch.record["commit_step_G"][rows_R],
                "commit_prob_BG": batch.commit_score_BG[rows_R],
                "remasks_BG": batch.remasks_BG[rows_R],
            }
        state = self._state(arrays)
        revision = ask_revision(self._order, state, self._revisable_RG)
        over_R = batch.over(rows_R)
        if over_R.any():
            batch.cap(rows_R[over_R])
            idle_R = over_R & ~revision.commit_BG.any(axis=1) & self._eligible_RG.any(axis=1)
            revision.commit_BG[idle_R, self._frontier_R[idle_R]] = True
            for part in (revision.remask_BG, revision.rewrite_BG, revision.again_B):
                assert part is not None
                part[over_R] = False
        self._revision = revision
        return revision.commit_BG, ask_temperature(self._order, state, self._config.temperature)

    # ----- commit -----

    def _commit(self, chunk: Chunk, proposal_RG: NDArray[Any] | None, entropy_N: Tensor) -> None:
        """As `Step._commit`; also keeps what later steps compare the tokens by."""
        super()._commit(chunk, proposal_RG, entropy_N)
        batch, at_M = self._batch, (self._rows_R[chunk.canvas_M], chunk.position_M)
        token_M = chunk.on_device(batch.tokens_BG[at_M])
        score_M = on_host(self._scored(chunk.distribution).prob(token_M, chunk.rows))
        batch.commit_score_BG[at_M] = batch.last_score_BG[at_M] = score_M
