"""The group advantage, the clipped ratio and the divergence: formulas, and what follows from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flexeval.grpo.objective import EPSILON, clipped_surrogate, group_advantages, is_clipped


@pytest.mark.parametrize("right", range(1, 8))
def test_binary_rewards_have_the_closed_form(right):
    """With a share p right, (1 - p) / s for a right answer and -p / s for a wrong one, s = sqrt(p (1 - p))."""
    reward_PG = np.array([[1.0] * right + [0.0] * (8 - right)])
    p = right / 8
    scale = np.sqrt(p * (1 - p)) + EPSILON
    expected = np.array([[(1 - p) / scale] * right + [-p / scale] * (8 - right)])
    np.testing.assert_allclose(group_advantages(reward_PG), expected, rtol=1e-12)


def test_groups_do_not_see_each_other():
    rng = np.random.default_rng(0)
    reward_PG = rng.random((5, 7))
    alone = np.concatenate([group_advantages(row[None]) for row in reward_PG])
    np.testing.assert_array_equal(group_advantages(reward_PG), alone)
    np.testing.assert_allclose(alone.mean(axis=1), 0, atol=1e-12)


def test_the_wrong_reward_only_changes_what_epsilon_does():
    """Standardising takes shift and scale away: 0 and 1, or -1 and 1, agree up to epsilon."""
    zero_one = np.array([[1.0, 0.0, 0.0, 1.0, 0.0]])
    np.testing.assert_allclose(group_advantages(2 * zero_one - 1), group_advantages(zero_one), rtol=1e-3)


@pytest.mark.parametrize("size", [2, 5, 16])
def test_dividing_by_the_samples_deviation_scales_all_advantages(size):
    """By sqrt((n - 1) / n) where epsilon is small against the deviation."""
    reward_PG = np.random.default_rng(size).random((4, size)) * 1e6
    ratio_PG = group_advantages(reward_PG, degrees=1) / group_advantages(reward_PG)
    np.testing.assert_allclose(ratio_PG, np.sqrt((size - 1) / size), rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 0.1])
def test_equal_rewards_give_exactly_zero(value):
    assert not group_advantages(np.full((2, 3), value)).any()


def test_the_ratio_counts_between_one_minus_and_one_plus_clip():
    """min(ratio, 1.2) times an advantage above 0, max(ratio, 0.8) times one below; beyond, a token has no gradient."""
    ratio_M = torch.tensor([0.5, 0.75, 0.79, 0.81, 0.83, 1.0, 1.19, 1.21, 2.0], dtype=torch.float64)
    old_M = torch.linspace(-3, -1, len(ratio_M), dtype=torch.float64)
    for advantage, expected_M in ((2.0, 2 * ratio_M.clamp(max=1.2)), (-2.0, -2 * ratio_M.clamp(min=0.8))):
        log_prob_M = (old_M + ratio_M.log()).requires_grad_()
        advantage_M = torch.full_like(old_M, advantage)
        surrogate_M = clipped_surrogate(log_prob_M, old_M, advantage_M, clip=0.2)
        torch.testing.assert_close(surrogate_M, expected_M)
        surrogate_M.sum().backward()
        clipped_M = is_clipped(log_prob_M, old_M, advantage_M, clip=0.2)
        assert clipped_M.tolist() == (log_prob_M.grad == 0).tolist() and 2 <= int(clipped_M.sum()) <= 3
