"""One step of samples that go together: evaluate, choose, draw, commit, record.

Axis suffixes: `R` samples, `G` generated positions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flexeval.orders.answers import ask_positions, ask_temperature
from flexeval.orders.order import Order
from flexeval.records import BoolArray, DecodingState, FloatArray, IntArray, SamplingConfig
from flexeval.sampling.deciding import Decisions, decide
from flexeval.sampling.evaluate import Evaluator
from flexeval.sampling.randomness import Purpose, uniforms
from flexeval.sampling.recorder import Recorder
from flexeval.sampling.scoring import Scores, score
from flexeval.sampling.slots import Slots
from flexeval.sampling.view import Choice, View


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

    def begin(self, slots_R: IntArray) -> View:
        """Start a step for the samples in some slots: their canvases begin to be evaluated."""
        eligible_RG = self._slots.eligible(slots_R)
        frontier_R = eligible_RG.argmax(axis=1)
        fresh_R = self._recorder.is_new_frontier(slots_R, frontier_R)

        # An order that does not read the model chooses at once, so that nothing else need be evaluated.
        choice, asked_RG = None, eligible_RG
        if not self._order.reads_model:
            choice = self._choose(slots_R, eligible_RG, frontier_R, scores=None)
            asked_RG = choice.commit_RG.copy()
            asked_RG[np.flatnonzero(fresh_R), frontier_R[fresh_R]] = True

        return View(
            slots_R=slots_R,
            keys_R=self._slots.keys_B[slots_R],
            eligible_RG=eligible_RG,
            frontier_R=frontier_R,
            opens_R=self._slots.block_opens(slots_R),
            fresh_R=fresh_R,
            choice=choice,
            evaluation=self._evaluator.evaluate(*self._slots.canvases(slots_R), asked_RG),
        )

    def finish(self, view: View) -> None:
        """Make the step that was started."""
        # Score the eligible positions if the order reads the model, and let it choose.
        scores, choice = None, view.choice
        if choice is None:
            scores = self._score(view)
            choice = self._choose(view.slots_R, view.eligible_RG, view.frontier_R, scores)

        # Draw the chosen tokens, or take the proposals.
        decisions, frontier_entropy_R = decide(
            view,
            choice,
            self._evaluator,
            also_R=view.fresh_R & (scores is None),
            kept=None if scores is None else scores.kept,
        )

        # Commit and record.
        if scores is not None:
            self._record_eligible(view, scores)
            frontier_entropy_R = scores.noted_entropy_RG[np.arange(len(view.slots_R)), view.frontier_R]
        self._record_frontier(view, frontier_entropy_R, choice.commit_RG)
        self._commit(view, decisions)
        self._slots.advance(view.slots_R, evaluations=2 if self._config.cfg_scale > 0 else 1)

    def _score(self, view: View) -> Scores:
        scores = score(
            view,
            self._order.reads,
            self._evaluator,
            temperature=self._config.temperature,
            draws_RG=self._slots.draws_BG[view.slots_R],
        )
        if self._order.draw == "propose":
            self._slots.draws_BG[view.slots_R] += view.eligible_RG
        return scores

    def _choose(self, slots_R: IntArray, eligible_RG: BoolArray, frontier_R: IntArray, scores: Scores | None) -> Choice:
        state = self._state(slots_R, eligible_RG, frontier_R, scores)
        return Choice(
            commit_RG=ask_positions(self._order, state),
            temperature_R=ask_temperature(self._order, state, self._config.temperature),
            proposal_RG=state.proposal_BG if self._order.draw == "propose" else None,
        )

    def _state(
        self, slots_R: IntArray, eligible_RG: BoolArray, frontier_R: IntArray, scores: Scores | None
    ) -> DecodingState:
        """What the order may read, and nothing else; its arrays are frozen."""
        arrays: dict[str, NDArray[Any]] = {
            "eligible_BG": eligible_RG,
            "frontier_B": frontier_R,
            "budget_B": np.minimum(self._slots.budget(slots_R), eligible_RG.sum(axis=1)),
            "step_B": self._slots.step_B[slots_R],
            "committed_B": (self._slots.tokens_BG[slots_R] != self._slots.mask_id).sum(axis=1),
        }
        if "uniform" in self._order.reads:
            keys_R = self._slots.keys_B[slots_R]
            arrays["uniform_BG"] = uniforms(keys_R[:, None], Purpose.POSITION, np.arange(eligible_RG.shape[1])[None, :])
        if scores is not None:
            arrays |= {f"{name}_BG": measured for name, measured in scores.by_name.items()}
        for array in arrays.values():
            array.flags.writeable = False
        return DecodingState(**arrays)

    def _record_eligible(self, view: View, scores: Scores) -> None:
        samples, places = np.nonzero(view.eligible_RG & view.opens_R[:, None])
        self._recorder.saw_eligible(view.slots_R[samples], places, scores.noted_entropy_RG[samples, places])

    def _record_frontier(self, view: View, entropy_R: FloatArray, commit_RG: BoolArray) -> None:
        fresh_slots, fresh_places = view.slots_R[view.fresh_R], view.frontier_R[view.fresh_R]
        steps = self._slots.step_B[fresh_slots]
        self._recorder.saw_frontier(fresh_slots, fresh_places, steps, entropy_R[view.fresh_R])
        passed_R = ~commit_RG[np.arange(len(commit_RG)), view.frontier_R]
        self._recorder.passed_over(view.slots_R[passed_R], view.frontier_R[passed_R])

    def _commit(self, view: View, decisions: Decisions) -> None:
        # A position that drew the mask token itself stays undecided.
        kept = decisions.token_M != self._slots.mask_id
        slots, places = view.slots_R[decisions.sample_M[kept]], decisions.position_M[kept]
        self._slots.commit(slots, places, decisions.token_M[kept])
        self._recorder.committed(
            slots,
            places,
            commit_step=self._slots.step_B[slots],
            rank=decisions.rank_M[kept],
            entropy=decisions.entropy_M[kept],
            prob=decisions.prob_M[kept],
            top_prob=decisions.top_prob_M[kept],
        )
