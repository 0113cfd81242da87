"""What is recorded of every generated position while its sample is decoded. See `records.Trajectory`.

Always on. Knows nothing of models and orders; it is told what happened and keeps it.
"""

from __future__ import annotations

import numpy as np

from flexeval.records import BoolArray, FloatArray, IntArray, Trajectory
from flexeval.sampling.slots import Slots


class Recorder:
    """Arrays of one row per slot and one column per generated position, filled in as decoding goes on."""

    def __init__(self, size: int, gen_length: int) -> None:
        self._floats = {name: np.empty((size, gen_length), dtype=np.float32) for name in
                        ("entropy", "prob", "top_prob", "eligible_entropy", "frontier_entropy")}  # fmt: skip
        self._ints = {name: np.empty((size, gen_length), dtype=np.int32) for name in
                      ("commit_step", "rank", "frontier_step", "passes")}  # fmt: skip

    def clear(self, slot: int) -> None:
        """Forget a slot's last sample."""
        for floats in self._floats.values():
            floats[slot] = np.nan
        for name, ints in self._ints.items():
            ints[slot] = 0 if name == "passes" else -1

    def is_new_frontier(self, rows: IntArray, frontier_R: IntArray) -> BoolArray:
        """Whether each slot's frontier has not been the frontier before [R]."""
        return self._ints["frontier_step"][rows, frontier_R] < 0

    def saw_frontier(self, rows: IntArray, frontier_R: IntArray, step_R: IntArray, entropy_R: FloatArray) -> None:
        """Positions became the frontier."""
        self._ints["frontier_step"][rows, frontier_R] = step_R
        self._floats["frontier_entropy"][rows, frontier_R] = entropy_R

    def saw_eligible(self, rows_N: IntArray, positions_N: IntArray, entropy_N: FloatArray) -> None:
        """Positions became eligible."""
        self._floats["eligible_entropy"][rows_N, positions_N] = entropy_N

    def passed_over(self, rows: IntArray, frontier_R: IntArray) -> None:
        """Something was committed, and the frontier was not."""
        self._ints["passes"][rows, frontier_R] += 1

    def committed(
        self,
        rows_N: IntArray,
        positions_N: IntArray,
        *,
        commit_step: IntArray,
        rank: IntArray,
        entropy: FloatArray,
        prob: FloatArray,
        top_prob: FloatArray,
    ) -> None:
        """Positions were decided, one per entry; measured on the untempered softmax at that moment."""
        at = (rows_N, positions_N)
        self._ints["commit_step"][at] = commit_step
        self._ints["rank"][at] = rank
        self._floats["entropy"][at] = entropy
        self._floats["prob"][at] = prob
        self._floats["top_prob"][at] = top_prob

    def trajectory(self, slot: int, slots: Slots) -> Trajectory:
        """The record of a slot's finished sample; its arrays are copies."""
        request = slots.requests[slot]
        if request is None:
            raise ValueError(f"slot {slot} holds no sample")
        arrays = {f"{name}_G": array[slot].copy() for name, array in {**self._floats, **self._ints}.items()}
        return Trajectory(
            problem_id=request.problem_id,
            sample_index=request.sample_index,
            prompt_length=len(request.prompt_ids),
            token_ids_G=slots.tokens_BG[slot].astype(np.int32),
            length=int(slots.text_length(np.array([slot]))[0]),
            nfe=int(slots.nfe_B[slot]),
            **arrays,
        )
