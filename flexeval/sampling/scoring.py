"""Before the choice: what an order reads of the model at every eligible position.

Axis suffixes: `R` samples, `G` generated positions, `U` distinct canvases, `N` rows of logits (an eligible
position of a distinct canvas), `M` proposals (of one sample each).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from flexeval.orders.order import Read
from flexeval.records import BoolArray, FloatArray, IntArray
from flexeval.sampling.evaluate import Evaluator, Kept, on_distinct
from flexeval.sampling.view import ByRow, Gathered, View

BLANK: Mapping[str, float] = {
    "top_prob": np.nan, "margin": np.nan, "entropy": np.nan, "proposal": -1, "confidence": np.nan
}  # fmt: skip
"""Every score, and what it is at positions that are not eligible."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Measurements at the eligible positions."""

    by_name: Mapping[str, NDArray[Any]]
    """[R, G] under the names of `BLANK`, as far as the order reads them."""
    noted_entropy_RG: FloatArray
    """Untempered entropy where the record wants one; NaN elsewhere."""
    kept: Kept | None
    """The distributions themselves, so that the head need not be computed again for the chosen positions."""


def score(
    view: View, reads: frozenset[Read], evaluator: Evaluator, *, temperature: float, draws_RG: IntArray
) -> Scores:
    """Measure the eligible positions, those of equal canvases once.

    Args:
        view: the step.
        reads: what the order asks for.
        evaluator: where logits come from.
        temperature: of the proposals.
        draws_RG: how often each position has been drawn before.
    """
    # The rows of logits: the eligible positions of the distinct canvases.
    evaluation = view.evaluation
    eligible_UG = on_distinct(view.eligible_RG, evaluation.canvas_R)
    canvas_N, position_N = np.nonzero(eligible_UG)
    noted_N = _noted(view)[canvas_N, position_N]

    # The proposals: one for each sample and eligible position.
    sample_M, place_M = np.nonzero(view.eligible_RG) if "proposal" in reads else (np.zeros(0, dtype=np.int64),) * 2
    uniform_M = view.token_uniforms(sample_M, place_M, draws_RG[sample_M, place_M])
    row_UG = np.zeros(eligible_UG.shape, dtype=np.int64)
    row_UG[canvas_N, position_N] = np.arange(len(canvas_N))
    proposals = ByRow(row_UG[evaluation.canvas_R[sample_M], place_M])

    # Measure, chunk by chunk.
    gathered = Gathered()
    kept = Kept(row_UG=row_UG, parts=[]) if evaluator.can_keep(len(canvas_N)) else None
    for chunk, distribution in evaluator.distributions(evaluation, canvas_N, position_N):
        if kept is not None:
            kept.parts.append(distribution)
        scored = evaluator.scored(distribution)
        if "top_prob" in reads:
            gathered.add("top_prob", scored.top_prob())
        if "margin" in reads:
            gathered.add("margin", scored.margin())
        if "entropy" in reads:
            gathered.add("entropy", scored.entropy())
        if "proposal" in reads:
            readings, rows = proposals.within(chunk)
            tokens = evaluator.draw(evaluator.sampled(distribution, temperature), rows, uniform_M[readings])
            gathered.add("proposal", tokens)
            gathered.add("confidence", scored.prob(tokens, torch.from_numpy(rows).to(tokens.device)))
        if noted_N[chunk].any():
            gathered.add("noted", distribution.entropy(torch.from_numpy(np.flatnonzero(noted_N[chunk]))))
    measured = gathered.arrays()

    # Spread the measurements over samples and positions.
    noted = _spread(measured.pop("noted", np.zeros(0, np.float32)), canvas_N[noted_N], position_N[noted_N], eligible_UG)
    by_name = {
        name: _spread(values, sample_M[proposals.order_M], place_M[proposals.order_M], view.eligible_RG, BLANK[name])
        if name in ("proposal", "confidence")
        else np.where(
            view.eligible_RG,
            _spread(values, canvas_N, position_N, eligible_UG, BLANK[name])[evaluation.canvas_R],
            np.float32(BLANK[name]),
        )
        for name, values in measured.items()
    }
    return Scores(by_name=by_name, noted_entropy_RG=noted[evaluation.canvas_R], kept=kept)


def _noted(view: View) -> BoolArray:
    """Where the record wants an entropy [U, G]: at positions that become eligible or the frontier."""
    noted_RG = view.eligible_RG & view.opens_R[:, None]
    noted_RG[np.flatnonzero(view.fresh_R), view.frontier_R[view.fresh_R]] = True
    return on_distinct(noted_RG, view.evaluation.canvas_R)


def _spread(
    values: NDArray[Any], rows: IntArray, columns: IntArray, like: NDArray[Any], blank: float = np.nan
) -> NDArray[Any]:
    """An array shaped like another that holds `values` at (rows, columns), blank elsewhere."""
    spread = np.full(like.shape, blank, dtype=values.dtype)
    spread[rows, columns] = values
    return spread
