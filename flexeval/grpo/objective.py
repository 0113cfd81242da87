"""The objective of GRPO: group advantages, and at each scored token the clipped ratio and the KL divergence.

arXiv:2402.03300, section 4.1.2 and equations 3 and 4, with the log-probabilities of `scoring.py`. Natural logarithms
throughout. Axis suffixes: `P` problems, `G` samples of a group, `M` scored tokens.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from flexeval.records import FloatArray

EPSILON = 1e-4
"""Added to the standard deviation, as in the released code of arXiv:2601.15165."""


def group_advantages(reward_PG: FloatArray, *, degrees: int = 0) -> FloatArray:
    """(reward - mean) / (standard deviation + 1e-4) within each group (arXiv:2402.03300, section 4.1.2).

    Args:
        reward_PG: one row a problem, one column a sample.
        degrees: subtracted from the group's size where the variance is divided by it: 0, or 1 as in the released code.

    Returns:
        [P, G], each row of mean 0; exactly 0 where a group's rewards are all equal.
    """
    deviation_PG = reward_PG - reward_PG.mean(axis=1, keepdims=True)
    varied_P1 = (reward_PG != reward_PG[:, :1]).any(axis=1, keepdims=True)
    scale_P1 = reward_PG.std(axis=1, keepdims=True, ddof=degrees) + EPSILON
    advantage_PG: FloatArray = np.where(varied_P1, deviation_PG / scale_P1, 0.0)
    return advantage_PG


def clipped_surrogate(log_prob_M: Tensor, old_log_prob_M: Tensor, advantage_M: Tensor, *, clip: float) -> Tensor:
    """min(ratio * advantage, clipped ratio * advantage) [M], to be maximised.

    Args:
        log_prob_M: under the present weights, with gradient.
        old_log_prob_M: under the weights of the rollout, without.
        advantage_M: of each token's sample.
        clip: the ratio counts within 1 - clip and 1 + clip.
    """
    ratio_M = (log_prob_M - old_log_prob_M).exp()
    return torch.minimum(ratio_M * advantage_M, ratio_M.clamp(1 - clip, 1 + clip) * advantage_M)


def is_clipped(log_prob_M: Tensor, old_log_prob_M: Tensor, advantage_M: Tensor, *, clip: float) -> Tensor:
    """Where the clipped branch is the smaller one, so that the token has no gradient [M]."""
    ratio_M = (log_prob_M - old_log_prob_M).exp()
    return torch.where(advantage_M > 0, ratio_M > 1 + clip, (ratio_M < 1 - clip) & (advantage_M < 0))


def kl_estimate(log_prob_M: Tensor, reference_log_prob_M: Tensor) -> Tensor:
    """The divergence from the reference at each token [M], estimated without bias by r - log r - 1.

    r is reference / policy; the estimate is never below 0 (arXiv:2402.03300, equation 4).
    """
    log_r_M = reference_log_prob_M - log_prob_M
    return log_r_M.exp() - log_r_M - 1
