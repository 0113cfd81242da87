"""The samples in flight: their canvases, where each stands in its schedule, and when it is done.

Host memory only. Knows nothing of models, scores or draws. Axis suffixes: `B` slots, `P` prompt columns,
`G` generated positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flexeval.records import BoolArray, IntArray, SamplingConfig
from flexeval.sampling.randomness import sample_key
from flexeval.sampling.schedule import budget, num_steps


@dataclass(frozen=True, kw_only=True)
class SampleRequest:
    """One sample to draw."""

    problem_id: str
    sample_index: int
    prompt_ids: list[int]


class Slots:
    """A fixed number of places, each empty or holding one sample's canvas.

    A canvas is right-aligned: prompts end where the generated positions begin, so those share columns.
    Every array has one row per slot; rows of empty slots are meaningless.
    """

    def __init__(self, size: int, config: SamplingConfig, *, adaptive: bool, mask_id: int, stop_ids: frozenset[int]):
        """
        Args:
            size: samples in flight at most.
            config: lengths, blocks, schedule, seed.
            adaptive: whether the order decides how many positions a step commits.
            mask_id: the token of an undecided position.
            stop_ids: tokens that end the text.
        """
        self.config = config
        self.mask_id = mask_id
        self.stop_ids = np.array(sorted(stop_ids), dtype=np.int64)
        self.requests: list[SampleRequest | None] = [None] * size
        self.keys_B = np.zeros(size, dtype=np.uint64)
        self.prompt_length_B = np.zeros(size, dtype=np.int64)
        self.step_B = np.zeros(size, dtype=np.int64)
        self.nfe_B = np.zeros(size, dtype=np.int64)
        self.draws_BG = np.zeros((size, config.gen_length), dtype=np.int64)
        """How often each position has been drawn."""
        self._prompt_BP = np.full((size, 0), mask_id, dtype=np.int64)
        self.tokens_BG = np.full((size, config.gen_length), mask_id, dtype=np.int64)
        self._block_B = np.zeros(size, dtype=np.int64)
        self._block_step_B = np.zeros(size, dtype=np.int64)
        self._block_ends = np.array([*range(config.block, config.gen_length, config.block), config.gen_length])
        self._block_sizes = np.diff(self._block_ends, prepend=0).tolist()
        # An adaptive order has no schedule; a step commits at least one, so a block needs at most one step a position.
        self._adaptive = adaptive
        self._block_steps = [size_ if adaptive else num_steps(config, size_) for size_ in self._block_sizes]

    # ----- coming and going -----

    @property
    def active(self) -> IntArray:
        """The slots that hold a sample, ascending."""
        return np.array([b for b, request in enumerate(self.requests) if request is not None], dtype=np.int64)

    @property
    def free(self) -> list[int]:
        """The slots that are empty, ascending."""
        return [b for b, request in enumerate(self.requests) if request is None]

    def place(self, slot: int, request: SampleRequest) -> None:
        """Put a fresh canvas into an empty slot."""
        length = len(request.prompt_ids)
        missing = length - self._prompt_BP.shape[1]
        if missing > 0:
            self._prompt_BP = np.pad(self._prompt_BP, ((0, 0), (missing, 0)), constant_values=self.mask_id)
        self.requests[slot] = request
        self.keys_B[slot] = sample_key(self.config.seed, request.problem_id, request.sample_index)
        self.prompt_length_B[slot] = length
        self._prompt_BP[slot, self._prompt_BP.shape[1] - length :] = request.prompt_ids
        self.tokens_BG[slot] = self.mask_id
        self.draws_BG[slot] = 0
        for counter_B in (self.step_B, self.nfe_B, self._block_B, self._block_step_B):
            counter_B[slot] = 0
        self._skip_idle_steps(slot)

    def release(self, slot: int) -> None:
        """Empty a slot."""
        self.requests[slot] = None

    # ----- what a step sees -----

    def canvases(self, rows: IntArray) -> tuple[IntArray, BoolArray]:
        """Prompt and generated positions of some slots, left-padded to the longest [R, L], and where no padding is."""
        longest = int(self.prompt_length_B[rows].max())
        width = self._prompt_BP.shape[1]
        prompts = self._prompt_BP[rows, width - longest :]
        tokens_RL = np.concatenate([prompts, self.tokens_BG[rows]], axis=1)
        first_R = longest - self.prompt_length_B[rows]
        return tokens_RL, np.arange(tokens_RL.shape[1]) >= first_R[:, None]

    def eligible(self, rows: IntArray) -> BoolArray:
        """Masks before the end of each slot's current block [R, G].

        Masks of an earlier block can only be there when the mask token itself may be drawn.
        """
        inside_RG = np.arange(self.config.gen_length) < self._block_ends[self._block_B[rows]][:, None]
        eligible_RG: BoolArray = (self.tokens_BG[rows] == self.mask_id) & inside_RG
        return eligible_RG

    def budget(self, rows: IntArray) -> IntArray:
        """What the schedule asks each slot to commit at this step [R]; 1 for an adaptive order."""
        return np.array([self._budget(slot) for slot in rows.tolist()], dtype=np.int64)

    def block_opens(self, rows: IntArray) -> BoolArray:
        """Whether this is the first step of each slot's current block [R]."""
        opens_R: BoolArray = self._block_step_B[rows] == 0
        return opens_R

    # ----- what a step does -----

    def commit(self, rows: IntArray, positions: IntArray, tokens: IntArray) -> None:
        """Write tokens into canvases, one (slot, position, token) per entry."""
        self.tokens_BG[rows, positions] = tokens

    def advance(self, rows: IntArray, evaluations: int) -> None:
        """Count the step that was just made and move on to the next block where one is finished."""
        self.step_B[rows] += 1
        self.nfe_B[rows] += evaluations
        self._block_step_B[rows] += 1
        eligible_RG = self.eligible(rows)
        for slot, eligible_G in zip(rows.tolist(), eligible_RG, strict=True):
            if not eligible_G.any() or self._block_step_B[slot] == self._block_steps[self._block_B[slot]]:
                self._block_B[slot] += 1
                self._block_step_B[slot] = 0
            self._skip_idle_steps(slot)

    def text_length(self, rows: IntArray) -> IntArray:
        """Positions before each slot's first committed stop token [R]; gen_length where there is none."""
        stops_RG = np.isin(self.tokens_BG[rows], self.stop_ids)
        return np.where(stops_RG.any(axis=1), stops_RG.argmax(axis=1), self.config.gen_length)

    def finished(self, rows: IntArray) -> BoolArray:
        """Whether nothing that a slot still does can change its record [R].

        With `stop_at_eos`, that is once every position up to the first stop token is committed.
        """
        done_R: BoolArray = self._block_B[rows] == len(self._block_ends)
        if self.config.stop_at_eos:
            masked_RG = self.tokens_BG[rows] == self.mask_id
            first_mask_R = np.where(masked_RG.any(axis=1), masked_RG.argmax(axis=1), self.config.gen_length)
            done_R |= first_mask_R > self.text_length(rows)
        return done_R

    def _skip_idle_steps(self, slot: int) -> None:
        """Step over steps that the schedule gives nothing to commit: they need no evaluation."""
        while self._block_B[slot] < len(self._block_sizes) and self._budget(slot) == 0:
            self._block_step_B[slot] += 1
            self.step_B[slot] += 1

    def _budget(self, slot: int) -> int:
        if self._adaptive:
            return 1
        block, step = int(self._block_B[slot]), int(self._block_step_B[slot])
        masks = int((self.tokens_BG[slot, : self._block_ends[block]] == self.mask_id).sum())
        return budget(self.config, self._block_sizes[block], step, masks)
