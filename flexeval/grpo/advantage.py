"""Rewards of a group of samples -> advantages."""

from __future__ import annotations

import numpy as np

from flexeval.records import FloatArray

EPSILON = 1e-4
"""Added to the standard deviation, as in the released code of arXiv:2601.15165."""


def group_advantages(reward_PG: FloatArray) -> FloatArray:
    """(reward - mean) / (standard deviation + 1e-4) within each group (arXiv:2402.03300, section 4.1.2).

    The standard deviation is that of the group itself (divided by its size).

    Args:
        reward_PG: one row a problem, one column a sample.

    Returns:
        [P, G], each row of mean 0; exactly 0 where a group's rewards are all equal.
    """
    deviation_PG = reward_PG - reward_PG.mean(axis=1, keepdims=True)
    varied_P1 = (reward_PG != reward_PG[:, :1]).any(axis=1, keepdims=True)
    advantage_PG: FloatArray = np.where(varied_P1, deviation_PG / (reward_PG.std(axis=1, keepdims=True) + EPSILON), 0.0)
    return advantage_PG
