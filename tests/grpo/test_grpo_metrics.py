"""What a step logs, by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from flexeval.grpo.metrics import Tally

ALONE = SimpleNamespace(device="cpu", reduce=lambda values, how: values)
"""One process."""
SECONDS = dict.fromkeys(("rollout_seconds", "reward_seconds", "update_seconds"), 1.0)


def sample(length, entropies):
    entropy_G = np.array([*entropies, *[np.nan] * (5 - len(entropies))], dtype=np.float32)
    trajectory = SimpleNamespace(length=length, token_ids_G=np.zeros(5, dtype=np.int32), entropy_G=entropy_G)
    return SimpleNamespace(trajectory=trajectory)


def test_a_step_is_told_as_means():
    """Three problems: one solved by one of two samples, one by both, one by none. Entropies are of texts and ends."""
    samples = [sample(2, [1, 2, 3, 4]), sample(0, [5, 7]), *(sample(5, [1] * 5) for _ in range(4))]
    tally = Tally()
    tally.add_rollout(SimpleNamespace(samples=samples), np.array([[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]]), skipped=2)
    nothing = tally.combined(ALONE, step=3, with_kl=True, seconds=SECONDS)
    assert (nothing.loss, nothing.clipped, nothing.drift, nothing.kl, nothing.readings) == (None, None, None, None, 0)
    sums = {"loss": 0.5, "clipped": 2.0, "drift": 4.0, "kl": 1.0, "readings": 8.0, "canvases": 6.0}
    tally.add_update({name: 9 * value for name, value in sums.items()}, grad_norm=1.0)
    tally.add_update(sums, grad_norm=2.0)
    found = tally.combined(ALONE, step=3, with_kl=True, seconds=SECONDS)
    assert (found.samples, found.reward, found.skipped_groups) == (6, 0, 2)
    assert (found.solved, found.solved_problems) == pytest.approx((1 / 2, 2 / 3))
    assert (found.length, found.ended, found.empty) == pytest.approx((22 / 6, 2 / 6, 1 / 6))
    assert found.entropy == pytest.approx((1 + 2 + 3 + 5 + 20) / (3 + 1 + 20))
    # Of the last update alone.
    assert (found.loss, found.grad_norm, found.clipped, found.drift, found.kl) == (0.5, 2.0, 1 / 4, 1 / 2, 1 / 8)
    assert (found.readings, found.canvases) == (8, 6)
