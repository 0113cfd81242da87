"""One step of every sample in flight: evaluate, choose, draw, commit, record.

Axis suffixes: `R` samples, `G` generated positions, `U` distinct canvases, `N` rows of logits (a position of
a distinct canvas), `M` draws or other readings of those rows, one sample's each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flexeval.orders.order import Order, Read
from flexeval.records import BoolArray, DecodingState, FloatArray, IntArray, SamplingConfig
from flexeval.sampling.evaluate import Evaluation, Evaluator
from flexeval.sampling.randomness import Purpose, uniforms
from flexeval.sampling.recorder import Recorder
from flexeval.sampling.slots import Slots


@dataclass(frozen=True, kw_only=True)
class _View:
    """What a step starts from."""

    slots_R: IntArray
    """The slot of each sample."""
    eligible_RG: BoolArray
    frontier_R: IntArray
    opens_R: BoolArray
    """Whether the step is the first of its block, so that positions become eligible."""
    fresh_R: BoolArray
    """Whether the frontier is one for the first time."""
    evaluation: Evaluation


class Stepper:
    """Makes steps on a set of slots. Holds no state of its own."""

    def __init__(
        self, evaluator: Evaluator, order: Order, config: SamplingConfig, slots: Slots, recorder: Recorder
    ) -> None:
        self._evaluator = evaluator
        self._order = order
        self._config = config
        self._slots = slots
        self._recorder = recorder

    def step(self, slots_R: IntArray) -> None:
        """Make one step for the samples in some slots."""
        # Evaluate the canvases.
        view = self._look(slots_R)

        # Choose positions, from scores where the order reads the model.
        scores = self._score(view) if self._order.reads_model else {}
        state = self._state(view, scores)
        commit_RG = self._order(state)
        _check_choice(self._order, commit_RG, view.eligible_RG)

        # Draw their tokens, commit and record.
        self._commit(view, state, commit_RG)

        # Count what was passed over, and the step.
        passed_R = ~commit_RG[np.arange(len(slots_R)), view.frontier_R]
        self._recorder.passed_over(slots_R[passed_R], view.frontier_R[passed_R])
        self._slots.advance(slots_R, evaluations=2 if self._config.cfg_scale > 0 else 1)

    def _look(self, slots_R: IntArray) -> _View:
        eligible_RG = self._slots.eligible(slots_R)
        frontier_R = eligible_RG.argmax(axis=1)
        return _View(
            slots_R=slots_R,
            eligible_RG=eligible_RG,
            frontier_R=frontier_R,
            opens_R=self._slots.block_opens(slots_R),
            fresh_R=self._recorder.is_new_frontier(slots_R, frontier_R),
            evaluation=self._evaluator.evaluate(*self._slots.canvases(slots_R), self._config.gen_length),
        )

    # ----- choosing -----

    def _score(self, view: _View) -> dict[str, NDArray[Any]]:
        """What the order reads, [R, G] by name, and on the way the entropies that the record keeps."""
        reads, evaluation = self._order.reads, view.evaluation

        # The rows of logits: the eligible positions of the distinct canvases.
        eligible_UG = view.eligible_RG[evaluation.representative_U]
        canvas_N, position_N = np.nonzero(eligible_UG)
        row_UG = np.zeros(eligible_UG.shape, dtype=np.int64)
        row_UG[canvas_N, position_N] = np.arange(len(canvas_N))

        # The record wants entropies where positions become eligible or the frontier; few rows at most steps.
        noted_RG = view.eligible_RG & view.opens_R[:, None]
        noted_RG[np.flatnonzero(view.fresh_R), view.frontier_R[view.fresh_R]] = True
        noted_UG = np.zeros_like(eligible_UG)
        np.logical_or.at(noted_UG, evaluation.canvas_R, noted_RG)
        noted_N = noted_UG[canvas_N, position_N]

        # Proposals: one draw per sample and eligible position, sorted by the row that it is drawn from.
        sample_M, place_M, row_M = (np.zeros(0, dtype=np.int64) for _ in range(3))
        uniform_M = np.zeros(0)
        if "proposal" in reads:
            sample_M, place_M = np.nonzero(view.eligible_RG)
            row_M = row_UG[evaluation.canvas_R[sample_M], place_M]
            by_row = np.argsort(row_M, kind="stable")
            sample_M, place_M, row_M = sample_M[by_row], place_M[by_row], row_M[by_row]
            slot_M = view.slots_R[sample_M]
            draws_M = self._slots.draws_BG[slot_M, place_M]
            uniform_M = uniforms(self._slots.keys_B[slot_M], Purpose.TOKEN, place_M, draws_M)
            self._slots.draws_BG[slot_M, place_M] += 1

        # Measure, chunk by chunk.
        rows = _Gathered()
        columns_N = evaluation.hidden_ULD.shape[1] - self._config.gen_length + position_N
        for chunk, distribution in self._evaluator.distributions(evaluation, canvas_N, columns_N):
            scored = self._evaluator.scored(distribution)
            if "top_prob" in reads:
                rows.add("top_prob", scored.top_prob())
            if "margin" in reads:
                rows.add("margin", scored.margin())
            if "entropy" in reads:
                rows.add("entropy", scored.entropy())
            if noted_N[chunk].any():
                rows.add("noted", distribution.entropy(torch.from_numpy(np.flatnonzero(noted_N[chunk]))))
            if "proposal" in reads:
                drawn = slice(*np.searchsorted(row_M, [chunk.start, chunk.stop]))
                rows_M = row_M[drawn] - chunk.start
                weights = self._evaluator.sampled(distribution, self._config.temperature)
                tokens = self._evaluator.draw(weights, rows_M, uniform_M[drawn])
                rows.add("proposal", tokens)
                rows.add("confidence", scored.prob(tokens, torch.from_numpy(rows_M).to(tokens.device)))
        measured = rows.arrays()

        # Note the entropies.
        noted_entropy_UG = np.full(eligible_UG.shape, np.nan, dtype=np.float32)
        noted_entropy_UG[canvas_N[noted_N], position_N[noted_N]] = measured.pop("noted", np.zeros(0))
        self._note(view, noted_entropy_UG[evaluation.canvas_R])

        # Spread the measurements over samples and positions.
        scores: dict[str, NDArray[Any]] = {}
        for name, values in measured.items():
            if name in ("proposal", "confidence"):
                scores[name] = np.full(view.eligible_RG.shape, _BLANK[name], dtype=values.dtype)
                scores[name][sample_M, place_M] = values
            else:
                spread_UG = np.full(eligible_UG.shape, _BLANK[name], dtype=values.dtype)
                spread_UG[canvas_N, position_N] = values
                scores[name] = spread_UG[evaluation.canvas_R]
        return scores

    def _note(self, view: _View, entropy_RG: FloatArray) -> None:
        """Record the entropies at positions that became eligible or the frontier."""
        sample_M, place_M = np.nonzero(view.eligible_RG & view.opens_R[:, None])
        self._recorder.saw_eligible(view.slots_R[sample_M], place_M, entropy_RG[sample_M, place_M])
        fresh = np.flatnonzero(view.fresh_R)
        self._saw_frontier(view, fresh, entropy_RG[fresh, view.frontier_R[fresh]])

    def _saw_frontier(self, view: _View, samples: IntArray, entropy: FloatArray) -> None:
        slots = view.slots_R[samples]
        self._recorder.saw_frontier(slots, view.frontier_R[samples], self._slots.step_B[slots], entropy)

    def _state(self, view: _View, scores: Mapping[str, NDArray[Any]]) -> DecodingState:
        """What the order may read; arrays are frozen."""
        slots_R, shape = view.slots_R, view.eligible_RG.shape
        uniform_RG = np.full(shape, np.nan)
        if "uniform" in self._order.reads:
            places_1G = np.arange(shape[1])[None, :]
            uniform_RG = uniforms(self._slots.keys_B[slots_R][:, None], Purpose.POSITION, places_1G)
        arrays: dict[str, NDArray[Any]] = {
            "eligible_BG": view.eligible_RG,
            "frontier_B": view.frontier_R,
            "budget_B": np.minimum(self._slots.budget(slots_R), view.eligible_RG.sum(axis=1)),
            "step_B": self._slots.step_B[slots_R],
            "committed_B": (self._slots.tokens_BG[slots_R] != self._slots.mask_id).sum(axis=1),
            "uniform_BG": uniform_RG,
        }
        for name, blank in _BLANK.items():
            arrays[f"{name}_BG"] = scores.get(name, np.broadcast_to(np.float32(blank), shape))
        for array in arrays.values():
            array.flags.writeable = False
        return DecodingState(**arrays)

    # ----- drawing and committing -----

    def _commit(self, view: _View, state: DecodingState, commit_RG: BoolArray) -> None:
        """Draw the chosen tokens (or take the proposals), commit them, and record how they were decided."""
        evaluation, slots = view.evaluation, self._slots
        temperature_R = self._order.temperature(state, self._config.temperature)

        # Readings: the chosen positions, then frontiers that the record still needs an entropy for.
        sample_M, place_M = np.nonzero(commit_RG)
        chosen = len(sample_M)
        if not self._order.reads_model:
            unseen = np.flatnonzero(view.fresh_R & ~commit_RG[np.arange(len(commit_RG)), view.frontier_R])
            sample_M, place_M = np.append(sample_M, unseen), np.append(place_M, view.frontier_R[unseen])

        # The rows of logits behind them, those of equal canvases once.
        temperatures, temperature_index_R = np.unique(temperature_R, return_inverse=True)
        keys_M = np.stack([evaluation.canvas_R[sample_M], place_M, temperature_index_R[sample_M]], axis=1)
        keys_N, row_M = np.unique(keys_M, axis=0, return_inverse=True)
        canvas_N, position_N = keys_N[:, 0], keys_N[:, 1]
        temperature_N = temperatures[keys_N[:, 2]]
        by_row = np.argsort(row_M.reshape(-1)[:chosen], kind="stable")
        row_M, sorted_row_M = row_M.reshape(-1), row_M.reshape(-1)[by_row]

        # Draw and measure, chunk by chunk.
        gathered = _Gathered()
        columns_N = evaluation.hidden_ULD.shape[1] - self._config.gen_length + position_N
        for chunk, distribution in self._evaluator.distributions(evaluation, canvas_N, columns_N):
            gathered.add("entropy", distribution.entropy())
            gathered.add("top_prob", distribution.top_prob())
            of_chunk = slice(*np.searchsorted(sorted_row_M, [chunk.start, chunk.stop]))
            rows_M = sorted_row_M[of_chunk] - chunk.start
            samples, places = sample_M[by_row][of_chunk], place_M[by_row][of_chunk]
            rows_device = torch.from_numpy(rows_M).to(distribution.gaps_NV.device)
            if self._order.draw == "propose":
                tokens = torch.from_numpy(state.proposal_BG[samples, places]).to(rows_device.device)
            else:
                uniform_M = uniforms(slots.keys_B[view.slots_R[samples]], Purpose.TOKEN, places)
                weights = self._evaluator.sampled(distribution, temperature_N[chunk])
                tokens = self._evaluator.draw(weights, rows_M, uniform_M)
            gathered.add("token", tokens)
            gathered.add("prob", distribution.prob(tokens, rows_device))
            gathered.add("rank", distribution.rank(tokens, rows_device))
        measured = gathered.arrays()
        entropy_M, top_prob_M = measured["entropy"][row_M], measured["top_prob"][row_M]

        # Note the frontiers.
        if not self._order.reads_model:
            at_frontier = np.flatnonzero((place_M == view.frontier_R[sample_M]) & view.fresh_R[sample_M])
            self._saw_frontier(view, sample_M[at_frontier], entropy_M[at_frontier])

        # Commit. A position that drew the mask token itself stays undecided.
        decided = by_row[measured["token"] != slots.mask_id]
        kept = measured["token"] != slots.mask_id
        rows, places = view.slots_R[sample_M[decided]], place_M[decided]
        slots.commit(rows, places, measured["token"][kept])
        self._recorder.committed(
            rows,
            places,
            commit_step=slots.step_B[rows],
            rank=measured["rank"][kept],
            entropy=entropy_M[decided],
            prob=measured["prob"][kept],
            top_prob=top_prob_M[decided],
        )


_BLANK: Mapping[Read | str, float] = {
    "top_prob": np.nan, "margin": np.nan, "entropy": np.nan, "proposal": -1, "confidence": np.nan
}  # fmt: skip
"""What a score is where it was not asked for."""


class _Gathered:
    """Values of consecutive chunks, moved to the host together."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Tensor]] = {}

    def add(self, name: str, values: Tensor) -> None:
        self._parts.setdefault(name, []).append(values)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {name: torch.cat(parts).cpu().numpy() for name, parts in self._parts.items()}


def _check_choice(order: Order, commit_RG: BoolArray, eligible_RG: BoolArray) -> None:
    """An order must choose eligible positions, at least one in each row; anything else is a bug in it."""
    if commit_RG.shape != eligible_RG.shape or commit_RG.dtype != np.bool_:
        raise TypeError(
            f"order {order.name!r} must answer a boolean array of shape {eligible_RG.shape}, "
            f"not {commit_RG.dtype} {commit_RG.shape}"
        )
    if (commit_RG & ~eligible_RG).any():
        raise ValueError(f"order {order.name!r} chose a position that is not eligible")
    if not commit_RG.any(axis=1).all():
        raise ValueError(f"order {order.name!r} chose no position for some sample")
