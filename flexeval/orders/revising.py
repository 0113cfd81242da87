"""Orders that revise: they mask tokens of the current block again, or rewrite them.

Each says how many steps a block takes at most (`most_steps`), and why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from flexeval.errors import InputError
from flexeval.fields import require_types
from flexeval.orders.order import Order, Read, require_probability, take_highest
from flexeval.records import BoolArray, DecodingState, FloatArray, IntArray, Revision

MOST_ROUNDS = 1000
"""Of what bounds the revisions of a position or a block: more are no decode that ends."""

# ----- WINO -----


@dataclass(frozen=True)
class Wino(Order):
    """Commit all proposals above `tau`; mask again what a second look finds below `tau_back` (WINO, arXiv:2507.18578).

    Feng-Hong/WINO-DLLM, LLaDA/decoding.py. The second look is the published one: beside the canvas stands a mask for
    every position of the block, a twin, which takes that position, sees the canvas without it, and is seen by twins
    alone. A step commits at most 70 % of the masks, but at least 5 and at most 20 where as many clear `tau`; it masks
    again only if it commits two or more, and then less than the step before committed.

    So a block of n positions takes at most n steps: what step t masks again is at most one less than what step t - 1
    committed, which leaves a gain of one or more for every step.
    """

    tau: float = 0.6
    tau_back: float = 0.9

    name = "wino"
    reads: ClassVar[frozenset[Read]] = frozenset({"proposal", "past", "unseen"})
    adaptive = True
    revises = True

    def __post_init__(self) -> None:
        require_types(self, owner=f"order {self.name!r}: ")
        require_probability(self.name, "tau", self.tau)
        require_probability(self.name, "tau_back", self.tau_back)

    @property
    def committing(self) -> Order:
        """No second look doubts anything."""
        return replace(self, tau_back=0.0)

    def most_steps(self, size: int) -> int:
        """One a position, see above."""
        return size

    def __call__(self, state: DecodingState) -> Revision:
        """What clears `tau`, and what has fallen below `tau_back`."""
        eligible_BG = state.eligible_BG
        masks_B = eligible_BG.sum(axis=1)
        clear_BG = eligible_BG & (np.nan_to_num(state.confidence_BG) > self.tau)
        most_B = np.clip((masks_B * 0.7).astype(np.int64), 5, 20)
        count_B = np.clip(clear_BG.sum(axis=1), 1, most_B)
        commit_BG = take_highest(state.confidence_BG, eligible_BG, np.minimum(count_B, masks_B))

        last_B = (state.revisable_BG & (state.commit_step_BG == state.step_B[:, None] - 1)).sum(axis=1)
        doubted_BG = state.revisable_BG & (np.nan_to_num(state.unseen_prob_BG, nan=1.0) < self.tau_back)
        doubted_BG &= (count_B > 1)[:, None]
        fewer_B = np.minimum(doubted_BG.sum(axis=1), np.maximum(last_B - 1, 0))
        return Revision(commit_BG=commit_BG, remask_BG=_lowest(state.unseen_prob_BG, doubted_BG, fewer_B))


# ----- ReMDM -----


@dataclass(frozen=True)
class ReMDM(Order):
    """Mask tokens again at random, or those of the lowest probability at commit (ReMDM, arXiv:2503.00307).

    `cap` and `conf` are remdm-cap and remdm-conf of kuleshov-group/remdm, diffusion.py, within a block: a share a of
    time after, each mask becomes a token with probability (a' - (1 - s) a) / (1 - a), and each token a mask with
    probability s, where a' is the share after this step. s = min(eta, (1 - a') / a) for `cap`; for `conf` it is
    (1 - a') / a, at most 1, times the token's share in the softmax of -(probability at commit) over the tokens, and 0
    in the probability of masks. A block of n positions takes `per_token` * n steps, of which those that commit nothing
    need no evaluation. The last step fills what is left, where the published code stops at time 1e-5 and fills by
    argmax. Under `cap` no choice depends on the model.

    `loop` is guanghanwang/ReMDM-LLaDA, eval_llada.py: the most confident proposal a step, until int(7/8 n) are
    committed; then n steps, before each of which the `number` tokens of the lowest probability at commit are masked
    again, and each of which commits as many; then one a step to the end, at 2 n. A token that would be masked again
    before any evaluation has seen it is not committed at all.
    """

    rule: Literal["cap", "conf", "loop"] = "cap"
    eta: float = 0.02
    per_token: float = 2.0
    number: int = 1

    name = "remdm"
    adaptive = True
    revises = True

    def __post_init__(self) -> None:
        require_types(self, owner=f"order {self.name!r}: ")
        require_probability(self.name, "eta", self.eta)
        if not 1 <= self.per_token <= MOST_ROUNDS:
            raise InputError(
                f"order 'remdm': per_token is steps a position, between 1 and {MOST_ROUNDS}, not {self.per_token}"
            )
        _require_count(self.name, "number", self.number, least=1)

    @property
    def reads(self) -> frozenset[Read]:  # type: ignore[override] # what it reads follows from its rule
        """Proposals for `loop`; otherwise nothing of the model."""
        if self.rule == "loop":
            return frozenset({"proposal", "past", "place"})
        return frozenset({"noise", "past", "place"})

    @property
    def committing(self) -> Order | None:
        """The schedule of `cap` and `conf` without their masking; `loop` has none, as it masks what it commits."""
        return None if self.rule == "loop" else replace(self, rule="cap", eta=0.0)

    def most_steps(self, size: int) -> int:
        """As many as the schedule has."""
        return 2 * size if self.rule == "loop" else math.ceil(self.per_token * size)

    def __call__(self, state: DecodingState) -> Revision:
        """By the rule."""
        return self._loop(state) if self.rule == "loop" else self._random(state)

    def _random(self, state: DecodingState) -> Revision:
        steps_B = np.ceil(self.per_token * state.window_size_B)
        before_B, after_B = state.window_step_B / steps_B, (state.window_step_B + 1) / steps_B
        # At the first step there is no token, and any share will do.
        most_B = np.minimum(1.0, (1 - after_B) / np.where(before_B > 0, before_B, 1.0))
        shape = state.eligible_BG.shape
        if self.rule == "cap":
            remask_B1 = np.minimum(self.eta, most_B)[:, None]
            remask_BG, lost_B1 = np.broadcast_to(remask_B1, shape), remask_B1
        else:
            weight_BG = np.where(state.revisable_BG, np.exp(-np.nan_to_num(state.commit_prob_BG.astype(np.float64))), 0)
            total_B1 = np.maximum(weight_BG.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
            remask_BG, lost_B1 = weight_BG / total_B1 * most_B[:, None], np.zeros((shape[0], 1))
        commit_B1 = (after_B[:, None] - (1 - lost_B1) * before_B[:, None]) / (1 - before_B[:, None])
        commit_B1 = np.where((after_B == 1)[:, None], 1.0, commit_B1)
        return Revision(
            commit_BG=state.eligible_BG & (state.noise_BG < commit_B1),
            remask_BG=state.revisable_BG & (state.noise_BG < remask_BG),
            again_B=after_B < 1,
        )

    def _loop(self, state: DecodingState) -> Revision:
        size_B, step_B = state.window_size_B, state.window_step_B
        first_B = (size_B / 8 * 7).astype(np.int64)
        looping_B = (first_B <= step_B) & (step_B < first_B + size_B)
        count_B = np.minimum(np.where(looping_B, self.number, 1), state.eligible_BG.sum(axis=1))
        commit_BG = take_highest(state.confidence_BG, state.eligible_BG, count_B)

        # What is masked before the next step's evaluation is known now: the probabilities at commit.
        loops_next_B = (first_B <= step_B + 1) & (step_B + 1 < first_B + size_B)
        prob_BG = np.where(commit_BG, state.confidence_BG, state.commit_prob_BG)
        standing_BG = commit_BG | state.revisable_BG
        number_B = np.where(loops_next_B, np.minimum(self.number, standing_BG.sum(axis=1)), 0)
        remask_BG = _lowest(prob_BG, standing_BG, number_B)
        return Revision(commit_BG=commit_BG & ~remask_BG, remask_BG=remask_BG & ~commit_BG)


# ----- editing, and masking instead -----


@dataclass(frozen=True)
class Edit(Order):
    """Commit proposals above `tau`, and rewrite tokens for which another draw is above `tau_edit` (LLaDA2.1).

    `generate` of LLaDA2.1 (arXiv:2602.08676): a step commits what is above `tau`, or the `least` most confident where
    fewer are, and replaces every token of the block that differs from what is drawn there now with a probability above
    `tau_edit`. A full block is looked at up to `post_steps` times more, until a look changes nothing. It runs on any
    model; only some were trained to correct tokens that they see.

    Every step with a mask left commits one, so a block of n positions takes at most n + `post_steps` steps.
    """

    tau: float = 0.95
    tau_edit: float = 0.9
    least: int = 1
    post_steps: int = 16

    name = "edit"
    reads: ClassVar[frozenset[Read]] = frozenset({"proposal", "past", "place", "redraw"})
    adaptive = True
    revises = True

    def __post_init__(self) -> None:
        require_types(self, owner=f"order {self.name!r}: ")
        for field in ("tau", "tau_edit"):
            _require_threshold(self.name, field, getattr(self, field))
        _require_count(self.name, "least", self.least, least=1)
        _require_count(self.name, "post_steps", self.post_steps)

    @property
    def committing(self) -> Order:
        """No draw is above 1."""
        return replace(self, tau_edit=1.0)

    def most_steps(self, size: int) -> int:
        """One a position, and `post_steps`."""
        return size + self.post_steps

    def __call__(self, state: DecodingState) -> Revision:
        """What clears `tau`, and what a draw above `tau_edit` contradicts."""
        sure_BG = np.nan_to_num(state.redraw_prob_BG) > self.tau_edit
        rewrite_BG = state.revisable_BG & sure_BG & (state.redraw_BG != state.token_BG)
        return Revision(
            commit_BG=_above(state, self.tau, self.least),
            rewrite_BG=rewrite_BG,
            again_B=_looks_again(state, rewrite_BG, self.post_steps),
        )


_T2M_THRESHOLDS = {"low_prob": 0.5, "t2t": 0.9, "logit_diff": 0.3}


@dataclass(frozen=True)
class TokenToMask(Order):
    """As `edit`, but a suspect token is masked again instead of rewritten (T2M, arXiv:2604.18738).

    synsis/remasked_DLM, remask/modeling_remask.py. Suspect by `rule`: `low_prob`, the model now gives the token less
    than `tau_back`; `t2t`, `edit` would rewrite it at `tau_back`; `logit_diff`, its probability moved by more than
    `tau_back` since the step before (not in the first two steps of a block, as published). `tau_back` None takes the
    published 0.5, 0.9 or 0.3. A step masks at most the share `share` of the block's tokens (at least one), the most
    suspect first, and each position at most `remasks` times.

    Every step with a mask left commits one, so a block of n positions takes at most n (1 + `remasks`) + `post_steps`.
    """

    rule: Literal["low_prob", "t2t", "logit_diff"] = "low_prob"
    tau: float = 0.95
    tau_back: float | None = None
    share: float = 0.25
    remasks: int = 5
    least: int = 1
    post_steps: int = 16

    name = "t2m"
    adaptive = True
    revises = True

    def __post_init__(self) -> None:
        require_types(self, owner=f"order {self.name!r}: ")
        _require_threshold(self.name, "tau", self.tau)
        if self.tau_back is not None:
            require_probability(self.name, "tau_back", self.tau_back)
        require_probability(self.name, "share", self.share)
        _require_count(self.name, "remasks", self.remasks)
        _require_count(self.name, "least", self.least, least=1)
        _require_count(self.name, "post_steps", self.post_steps)

    @property
    def reads(self) -> frozenset[Read]:  # type: ignore[override] # what it reads follows from its rule
        """Proposals, and what the rule suspects by."""
        return frozenset({"proposal", "past", "place", "redraw" if self.rule == "t2t" else "kept"})

    @property
    def committing(self) -> Order:
        """No position is masked again."""
        return replace(self, remasks=0)

    def most_steps(self, size: int) -> int:
        """One a commit, of which a position has at most 1 + `remasks`, and `post_steps`."""
        return size * (1 + self.remasks) + self.post_steps

    def __call__(self, state: DecodingState) -> Revision:
        """What clears `tau`, and the most suspect tokens."""
        tau_back = _T2M_THRESHOLDS[self.rule] if self.tau_back is None else self.tau_back
        trust_BG, suspect_BG = self._suspects(state, tau_back)
        suspect_BG = suspect_BG & state.revisable_BG & (state.remasks_BG < self.remasks)
        most_B = np.maximum(1, (state.revisable_BG.sum(axis=1) * self.share).astype(np.int64))
        remask_BG = _lowest(trust_BG, suspect_BG, np.minimum(most_B, suspect_BG.sum(axis=1)))
        return Revision(
            commit_BG=_above(state, self.tau, self.least),
            remask_BG=remask_BG,
            again_B=_looks_again(state, remask_BG, self.post_steps),
        )

    def _suspects(self, state: DecodingState, tau_back: float) -> tuple[FloatArray, BoolArray]:
        """(a score that is low where a token is suspect, whether it is) [B, G]."""
        if self.rule == "t2t":
            redraw_BG = np.nan_to_num(state.redraw_prob_BG)
            return 1 - redraw_BG, (redraw_BG > tau_back) & (state.redraw_BG != state.token_BG)
        kept_BG = np.nan_to_num(state.kept_prob_BG, nan=1.0)
        if self.rule == "low_prob":
            return kept_BG, kept_BG < tau_back
        moved_BG = np.abs(kept_BG - np.nan_to_num(state.kept_before_BG, nan=1.0))
        return -moved_BG, (moved_BG > tau_back) & (state.window_step_B >= 2)[:, None]


def _above(state: DecodingState, tau: float, least: int) -> BoolArray:
    """The proposals above tau, or the `least` most confident where fewer are."""
    clear_BG: BoolArray = state.eligible_BG & (np.nan_to_num(state.confidence_BG) > tau)
    count_B = np.minimum(least, state.eligible_BG.sum(axis=1))
    best_BG = take_highest(state.confidence_BG, state.eligible_BG, count_B) & state.eligible_BG
    return np.where((clear_BG.sum(axis=1) >= least)[:, None], clear_BG, best_BG)


def _looks_again(state: DecodingState, changed_BG: BoolArray, post_steps: int) -> BoolArray:
    """Whether to look once more at a block that is full after this step [B]."""
    full_B = ~state.eligible_BG.any(axis=1)
    again_B: BoolArray = (~full_B | changed_BG.any(axis=1)) & (state.full_steps_B + full_B < post_steps)
    return again_B


def _lowest(score_BG: NDArray[Any], among_BG: BoolArray, count_B: IntArray) -> BoolArray:
    """The `count_B` lowest-scoring positions among some of each row; ties go to the left."""
    return take_highest(-np.where(among_BG, score_BG, 0.0), among_BG, count_B) & (count_B > 0)[:, None]


def _require_threshold(order: str, field: str, tau: float) -> None:
    """Raise InputError unless a threshold is at least 0. Above 1 it is never reached, which is how to switch it off."""
    if not 0 <= tau <= 2:
        raise InputError(f"order {order!r}: {field} is a probability, or above 1 (at most 2) for never, not {tau}")


def _require_count(order: str, field: str, value: int, *, least: int = 0) -> None:
    if not least <= value <= MOST_ROUNDS:
        raise InputError(
            f"order {order!r}: {field} must lie between {least} and {MOST_ROUNDS}, so that decoding ends, not {value}"
        )
