"""After the choice: the tokens of the chosen positions, and the measurements that the record keeps of them.

Axis suffixes: `R` samples, `G` generated positions, `N` rows of logits (a position of a distinct canvas at a
temperature), `M` readings of them (of one sample each).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from flexeval.records import BoolArray, FloatArray, IntArray
from flexeval.sampling.evaluate import Evaluator, Kept
from flexeval.sampling.view import ByRow, Choice, Gathered, View


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """Positions and their tokens, one per entry, measured on the untempered softmax."""

    sample_M: IntArray
    position_M: IntArray
    token_M: IntArray
    entropy_M: FloatArray
    prob_M: FloatArray
    rank_M: IntArray
    top_prob_M: FloatArray


def decide(
    view: View,
    choice: Choice,
    evaluator: Evaluator,
    *,
    also_R: BoolArray,
    kept: Kept | None,
) -> tuple[Decisions, FloatArray]:
    """Draw the chosen tokens, or take the proposals, and measure them.

    Args:
        view: the step.
        choice: the chosen positions, and how their tokens are drawn.
        evaluator: where logits come from.
        also_R: samples whose frontier's entropy is wanted too, chosen or not.
        kept: distributions at the eligible positions, if they were computed before the choice and kept.

    Returns:
        The decisions, and the entropy at each sample's frontier [R]: NaN where neither chosen nor wanted.
    """
    commit_RG, proposal_RG = choice.commit_RG, choice.proposal_RG
    # What is read: the chosen positions, then frontiers of which only the entropy is wanted.
    sample_M, position_M = np.nonzero(commit_RG)
    chosen = len(sample_M)
    extra = np.flatnonzero(also_R & ~commit_RG[np.arange(len(commit_RG)), view.frontier_R])
    sample_M, position_M = np.append(sample_M, extra), np.append(position_M, view.frontier_R[extra])

    # The rows of logits behind that, those of equal canvases once.
    temperatures, temperature_index_R = np.unique(choice.temperature_R, return_inverse=True)
    keys_M3 = np.stack([view.evaluation.canvas_R[sample_M], position_M, temperature_index_R[sample_M]], axis=1)
    keys_N3, row_M = np.unique(keys_M3, axis=0, return_inverse=True)
    row_M = row_M.reshape(-1)
    canvas_N, position_N, temperature_N = keys_N3[:, 0], keys_N3[:, 1], temperatures[keys_N3[:, 2]]
    choices = ByRow(row_M[:chosen])

    # Draw and measure, chunk by chunk.
    gathered = Gathered()
    if kept is not None:
        distributions = kept.distributions(canvas_N, position_N)
    else:
        distributions = evaluator.distributions(view.evaluation, canvas_N, position_N)
    for chunk, distribution in distributions:
        gathered.add("entropy", distribution.entropy())
        gathered.add("top_prob", distribution.top_prob())
        readings, rows = choices.within(chunk)
        device = distribution.gaps_NV.device
        if proposal_RG is None:
            uniform_M = view.token_uniforms(sample_M[readings], position_M[readings], 0)
            tokens = evaluator.draw(evaluator.sampled(distribution, temperature_N[chunk]), rows, uniform_M)
        else:
            tokens = torch.from_numpy(proposal_RG[sample_M[readings], position_M[readings]]).to(device)
        on_device = torch.from_numpy(rows).to(device)
        gathered.add("token", tokens)
        gathered.add("prob", distribution.prob(tokens, on_device))
        gathered.add("rank", distribution.rank(tokens, on_device))
    measured = gathered.arrays()

    # Sort the answers back.
    entropy_M = measured["entropy"][row_M]
    frontier_entropy_R = np.full(len(commit_RG), np.nan, dtype=np.float32)
    at_frontier = position_M == view.frontier_R[sample_M]
    frontier_entropy_R[sample_M[at_frontier]] = entropy_M[at_frontier]
    order = choices.order_M
    decisions = Decisions(
        sample_M=sample_M[order],
        position_M=position_M[order],
        token_M=measured["token"],
        entropy_M=entropy_M[order],
        prob_M=measured["prob"],
        rank_M=measured["rank"],
        top_prob_M=measured["top_prob"][row_M][order],
    )
    return decisions, frontier_entropy_R
