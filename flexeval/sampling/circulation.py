"""Local circulation: how far a model's conditionals are from those of one joint distribution, at a pair of masks.

For masked positions i and j of a canvas c and a token for each,

    circulation = log[p(x_i | c) p(x_j | c, x_i)] - log[p(x_j | c) p(x_i | c, x_j)],

the log-ratio of the probabilities that the two orders of filling them give the same pair (Kim 2026, "Path-Dependent
Denoising", arXiv:2605.09303, the local denoising circulation). It is 0 wherever the conditionals are those of one joint
distribution. Two orders of filling a whole canvas differ by adjacent swaps, and their log-probabilities by the sum of
the circulations of these swaps. Exchanging i and j changes its sign. Each pair takes three forwards; nothing is drawn.

Axis suffixes: `R` pairs, `L` canvas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from flexeval.records import IntArray
from flexeval.sampling.forward import Forward


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """Two masks of a canvas and what they are filled with."""

    canvas_L: IntArray
    """The prompt and the generated positions, with masks at both positions and wherever else."""
    positions: tuple[int, int]
    """Generated positions i and j, different ones."""
    tokens: tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class PairScores:
    """Log-probabilities of the tokens of some pairs, in nats of the untempered softmax."""

    first_R: NDArray[np.float64]
    """log p(x_i | c)."""
    second_after_R: NDArray[np.float64]
    """log p(x_j | c, x_i)."""
    second_R: NDArray[np.float64]
    """log p(x_j | c)."""
    first_after_R: NDArray[np.float64]
    """log p(x_i | c, x_j)."""

    @property
    def circulation_R(self) -> NDArray[np.float64]:
        """Positive where filling i before j gives the pair more probability."""
        return self.first_R + self.second_after_R - self.second_R - self.first_after_R

    @property
    def surprisal_R(self) -> NDArray[np.float64]:
        """-log of the pair's probability, the mean over the two orders."""
        total: NDArray[np.float64] = self.first_R + self.second_after_R + self.second_R + self.first_after_R
        return -total / 2


def pair_scores(forward: Forward, pairs: Sequence[Pair], *, gen_length: int, batch_size: int) -> PairScores:
    """Score some pairs. Equal canvases of a batch are evaluated once.

    Args:
        forward: of the model, with the settings of a run (guidance, suppressed tokens).
        pairs: on canvases of one length.
        gen_length: generated positions, at the end of each canvas.
        batch_size: pairs at a time.
    """
    parts = [
        _scores(forward, pairs[start : start + batch_size], gen_length) for start in range(0, len(pairs), batch_size)
    ]
    scores_R4 = np.concatenate(parts) if parts else np.zeros((0, 4))
    first_R, second_R, second_after_R, first_after_R = scores_R4.T
    return PairScores(first_R=first_R, second_after_R=second_after_R, second_R=second_R, first_after_R=first_after_R)


@torch.inference_mode()
def _scores(forward: Forward, pairs: Sequence[Pair], gen_length: int) -> NDArray[np.float64]:
    """Columns: x_i and x_j on the canvas, x_j with x_i filled in, x_i with x_j filled in."""
    canvases_RL = np.stack([pair.canvas_L for pair in pairs]).astype(np.int64)
    position_R2 = np.array([pair.positions for pair in pairs])
    token_R2 = np.array([pair.tokens for pair in pairs], dtype=np.int64)
    row_R, begin = np.arange(len(pairs)), canvases_RL.shape[1] - gen_length

    # Three canvases a pair: as it is, and with either token filled in.
    filled = [canvases_RL.copy() for _ in range(2)]
    for which, canvas_RL in enumerate(filled):
        canvas_RL[row_R, begin + position_R2[:, which]] = token_R2[:, which]
    asked = [np.zeros((len(pairs), gen_length), dtype=np.bool_) for _ in range(3)]
    for which in range(2):
        asked[0][row_R, position_R2[:, which]] = True
        asked[1 + which][row_R, position_R2[:, 1 - which]] = True
    tokens_RL, asked_RG = np.concatenate([canvases_RL, *filled]), np.concatenate(asked)

    # The log-probability of the token that each asked position is filled with.
    wanted_RG = np.zeros(asked_RG.shape, dtype=np.int64)
    for which in range(2):
        for block in range(3):
            wanted_RG[block * len(pairs) + row_R, position_R2[:, which]] = token_R2[:, which]
    log_prob_RG = np.full(asked_RG.shape, np.nan)
    logits = forward.start(tokens_RL, np.ones(tokens_RL.shape, dtype=np.bool_), asked_RG)
    for chunk in logits.softmax(asked_RG):
        distribution, wanted_M = chunk.distribution, chunk.on_device(wanted_RG[chunk.at])
        log_prob_M = distribution.gaps_NV[chunk.rows, wanted_M] - distribution.normaliser_N[chunk.rows].log()
        log_prob_RG[chunk.at] = log_prob_M.double().cpu().numpy()

    of_block = np.split(log_prob_RG, 3)
    read = [(0, 0), (0, 1), (1, 1), (2, 0)]
    return np.stack([of_block[block][row_R, position_R2[:, which]] for block, which in read], axis=1)
