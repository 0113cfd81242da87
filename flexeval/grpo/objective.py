"""The objective of GRPO at each scored token: the clipped ratio, and the KL divergence to a reference model.

arXiv:2402.03300, equations 3 and 4, with the log-probabilities of `scoring.py`. Natural logarithms throughout.
"""

from __future__ import annotations

import torch
from torch import Tensor


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
