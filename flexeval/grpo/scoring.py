"""What was committed -> the distinct canvases behind it, in batches that fit.

Every committed token was drawn from the model's distribution at its position, given the canvas of its step: the
prompt, what earlier steps had committed, and masks elsewhere. Under `ar` that is the exact autoregressive likelihood:
token t is predicted from the prompt, the tokens before t, and masks from t on (arXiv:2601.15165, equation 5). Under
any other order that selects before it draws, the product over the tokens is the likelihood of the recorded
trajectory, up to the choice of positions. That choice is a function of the canvas, or of noise that does not depend
on the model (`random`); where it follows the model's own scores, it is a step function of the weights, whose gradient
is zero wherever it exists. So all tokens together carry the whole gradient of the likelihood.

Tokens beyond the first end of the text do not change the reward. `ar` never commits there before the text is settled,
so leaving them out (`positions="answer"`) leaves nothing out of the likelihood. Other orders may commit there, and
tokens drawn later were conditioned on that. For them `answer` is the gradient of a part of the trajectory, and only
`positions="all"` is the gradient of the whole.

Numpy only; knows no weights. Axis suffixes: `G` generated positions, `M` readings (one committed token each), `N` rows
of logits, `U` distinct canvases, `L` canvas positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from flexeval.grpo.rollout import RolloutSample
from flexeval.grpo.temperature import drawing_temperatures
from flexeval.models.attention import FULL, Attention
from flexeval.orders import Order
from flexeval.records import BoolArray, FloatArray, IntArray, SamplingConfig, Trajectory
from flexeval.sampling.schedule import windows


@dataclass(frozen=True, kw_only=True)
class Readings:
    """Committed tokens that are scored, sample by sample."""

    sample_M: IntArray
    """Index of the sample."""
    position_M: IntArray
    """Generated position."""
    window_end_M: IntArray
    """The generated position after the block that was filled at its step."""
    step_M: IntArray
    """Step at which it was committed."""
    token_M: IntArray
    temperature_M: FloatArray
    """At which it was drawn."""
    recorded_M: FloatArray
    """Its untempered log-probability in the record, nats."""
    share_M: FloatArray
    """1 / the number of the sample's positions that carry loss (those that `fast` leaves out included), so that a
    sum over readings is a sum over samples of means over positions."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Canvases of one forward, left-padded, and what is read of them."""

    tokens_UL: IntArray
    attended_UL: BoolArray
    canvas_N: IntArray
    column_N: IntArray
    window_end_U: IntArray
    """The generated position after the current block of each canvas."""
    generated: int
    """Generated positions, at the end of each canvas."""
    temperature_N: FloatArray
    row_M: IntArray
    """Which row each reading is of: equal canvases of a group share rows, whatever token each sample drew there."""
    token_M: IntArray
    reading_M: IntArray
    """Which of the `Readings` each is."""


def collect(
    samples: Sequence[RolloutSample],
    *,
    order: Order,
    sampling: SamplingConfig,
    positions: Literal["answer", "all"],
    entropy_share: float = 1.0,
    attention: Attention = FULL,
) -> Readings:
    """The readings of some samples.

    Args:
        samples: drawn with `order` and `sampling`.
        order: says at which temperature each token was drawn.
        sampling: lengths and temperature.
        positions: `answer` takes those up to and including the first end of the text, `all` every committed one. They
            differ for texts that end early, see above.
        entropy_share: below 1, keep this share of each sample's positions, those of highest entropy when they were
            committed (ties to the left), at least one.
        attention: the rule of the model, whose blocks hold those of `sampling`.
    """
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in Readings.__dataclass_fields__}
    for index, sample in enumerate(samples):
        trajectory = sample.trajectory
        eligible_G = trajectory.commit_step_G >= 0
        if positions == "answer":
            eligible_G[trajectory.length + 1 :] = False
        at = np.flatnonzero(eligible_G)
        share = 1 / len(at)
        if entropy_share < 1:
            # 0.55 of 100 is 55, though the product of the two floats is a little more.
            count = math.ceil(round(entropy_share * len(at), 9))
            highest = np.argsort(-trajectory.entropy_G[at], kind="stable")[:count]
            at = np.sort(at[highest])
        steps = trajectory.commit_step_G[at].astype(np.int64)
        parts["sample_M"].append(np.full(len(at), index))
        parts["position_M"].append(at)
        parts["step_M"].append(steps)
        window_end_M = _window_ends(trajectory, steps, sampling, attention)
        parts["window_end_M"].append(window_end_M)
        parts["token_M"].append(trajectory.token_ids_G[at].astype(np.int64))
        parts["temperature_M"].append(_temperatures(order, trajectory, steps, sampling, window_end_M))
        parts["recorded_M"].append(np.log(trajectory.prob_G[at].astype(np.float64)))
        parts["share_M"].append(np.full(len(at), share))
    return Readings(**{name: np.concatenate(arrays) for name, arrays in parts.items()})


def batches(
    samples: Sequence[RolloutSample],
    readings: Readings,
    *,
    mask_id: int,
    tokens_per_forward: int,
    attention: Attention = FULL,
    shared: bool = False,
) -> list[Batch]:
    """The canvases behind the readings, each distinct one once, in batches of canvases of similar length.

    Args:
        samples: as for `collect`.
        readings: of these samples.
        mask_id: the token of an undecided position; also fills the padding, which is never looked at.
        tokens_per_forward: canvases times the longest of them stays within this, but for a single canvas.
        attention: the rule of the model. What a canvas is under some rules depends on the block that is being filled.
        shared: finished prefixes will be computed once (see `Policy`), so that canvases of one sample go together, and
            each counts with the columns of its block only.
    """
    # Find the distinct canvases and, among their positions, the distinct rows.
    canvases: dict[tuple[bytes, int], int] = {}
    distinct: list[IntArray] = []
    owners: list[int] = []
    ends: list[int] = []
    rows: dict[tuple[int, int, float], int] = {}
    canvas_of_M, row_of_M = np.empty((2, len(readings.sample_M)), dtype=np.int64)
    for reading, (index, position, step, end, temperature) in enumerate(
        zip(
            readings.sample_M.tolist(),
            readings.position_M.tolist(),
            readings.step_M.tolist(),
            readings.window_end_M.tolist(),
            readings.temperature_M.tolist(),
            strict=True,
        )
    ):
        canvas_L = canvas_at(samples[index], step, mask_id=mask_id)
        canvas = canvases.setdefault((canvas_L.tobytes(), 0 if attention.is_full else end), len(distinct))
        if canvas == len(distinct):
            distinct.append(canvas_L)
            owners.append(index)
            ends.append(end)
        canvas_of_M[reading] = canvas
        row_of_M[reading] = rows.setdefault((canvas, position, temperature), len(rows))
    keys = list(rows)

    # Cut them into batches, with the rows and readings of each.
    made = []
    gen_length = len(samples[0].trajectory.token_ids_G) if samples else 0
    lengths = [len(canvas_L) for canvas_L in distinct]
    if shared:
        packs = list(_packed_by_owner(owners, lengths, attention.block or gen_length, tokens_per_forward))
    else:
        packs = list(_packed(lengths, tokens_per_forward))
    for members, reading_M in zip(packs, _readings_of(packs, canvas_of_M), strict=True):
        longest = max(len(distinct[member]) for member in members)
        tokens_UL = np.full((len(members), longest), mask_id, dtype=np.int64)
        attended_UL = np.zeros((len(members), longest), dtype=np.bool_)
        for place, member in enumerate(members):
            tokens_UL[place, longest - len(distinct[member]) :] = distinct[member]
            attended_UL[place, longest - len(distinct[member]) :] = True
        row_ids, row_M = np.unique(row_of_M[reading_M], return_inverse=True)
        place_of = {member: place for place, member in enumerate(members)}
        made.append(
            Batch(
                tokens_UL=tokens_UL,
                attended_UL=attended_UL,
                canvas_N=np.array([place_of[keys[row][0]] for row in row_ids]),
                column_N=np.array([longest - gen_length + keys[row][1] for row in row_ids]),
                window_end_U=np.array([ends[member] for member in members]),
                generated=gen_length,
                temperature_N=np.array([keys[row][2] for row in row_ids]),
                row_M=row_M.reshape(-1),
                token_M=readings.token_M[reading_M],
                reading_M=reading_M,
            )
        )
    return made


def idle_batch(*, mask_id: int) -> Batch:
    """A batch without readings. A process computes it while others have more batches, so that their turns match."""
    nothing = np.zeros(0, dtype=np.int64)
    return Batch(
        tokens_UL=np.full((1, 2), mask_id, dtype=np.int64),
        attended_UL=np.ones((1, 2), dtype=np.bool_),
        canvas_N=np.zeros(1, dtype=np.int64),
        column_N=np.ones(1, dtype=np.int64),
        window_end_U=np.ones(1, dtype=np.int64),
        generated=1,
        temperature_N=np.ones(1),
        row_M=nothing,
        token_M=nothing,
        reading_M=nothing,
    )


def canvas_at(sample: RolloutSample, step: int, *, mask_id: int) -> IntArray:
    """The canvas [L] that a step of a sample saw: the prompt and what earlier steps had committed."""
    trajectory = sample.trajectory
    known_G = (trajectory.commit_step_G >= 0) & (trajectory.commit_step_G < step)
    return np.concatenate([sample.prompt_ids, np.where(known_G, trajectory.token_ids_G, mask_id)]).astype(np.int64)


def _packed(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices in groups, shortest first: count times the longest of a group stays within the budget."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        if group and (len(group) + 1) * lengths[index] > budget:
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def _packed_by_owner(owners: Sequence[int], lengths: Sequence[int], block: int, budget: int) -> Iterator[list[int]]:
    """Indices in groups, by owner: a block for each, and once for each owner its length, stay within the budget."""
    group: list[int] = []
    columns = 0
    for index in sorted(range(len(owners)), key=lambda index: owners[index]):
        new = not group or owners[group[-1]] != owners[index]
        if group and columns + block + new * lengths[index] > budget:
            yield group
            group, columns, new = [], 0, True
        group.append(index)
        columns += block + new * lengths[index]
    if group:
        yield group


def _readings_of(packs: Sequence[Sequence[int]], canvas_of_M: IntArray) -> Sequence[IntArray]:
    """For each group of canvases the readings of them, ascending."""
    pack_of_canvas = np.empty(sum(map(len, packs)), dtype=np.int64)
    for number, members in enumerate(packs):
        pack_of_canvas[members] = number
    pack_of_M = pack_of_canvas[canvas_of_M]
    ends = np.cumsum(np.bincount(pack_of_M, minlength=len(packs)))
    return np.split(np.argsort(pack_of_M, kind="stable"), ends)[: len(packs)]


def _window_ends(trajectory: Trajectory, steps: IntArray, sampling: SamplingConfig, attention: Attention) -> IntArray:
    """The end of the block that each of some steps filled: the one that its first position is in."""
    ends = [window.end for window in windows(sampling, attention, trajectory.prompt_length)]
    chosen_B = (trajectory.commit_step_G == steps[:, None]).argmax(axis=1)
    found_B: IntArray = np.array(ends)[np.searchsorted(ends, chosen_B, side="right")]
    return found_B


def _temperatures(
    order: Order, trajectory: Trajectory, steps: IntArray, sampling: SamplingConfig, window_end_B: IntArray
) -> FloatArray:
    """The temperature of the draw at each of some steps: what the order answered then."""
    commit_G = trajectory.commit_step_G
    committed_BG = (commit_G >= 0) & (commit_G < steps[:, None])
    return drawing_temperatures(
        order,
        sampling.temperature,
        eligible_BG=~committed_BG & (np.arange(len(commit_G)) < window_end_B[:, None]),
        committed_B=committed_BG.sum(axis=1),
        budget_B=(commit_G == steps[:, None]).sum(axis=1),
        step_B=steps,
    )
