"""Which pairs the analysis of circulation looks at."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[2] / "analyses" / "circulation.py"))


def events(steps, *, block_length=8, length=8):
    """Position -> step at which it was committed."""
    position = np.arange(len(steps))
    found = SCRIPT["events"](position, np.array(steps), position // block_length, length)
    return [(event.step, event.frontier, event.other, event.bypassed) for event in found]


def test_from_left_to_right_every_frontier_is_taken():
    assert events([0, 1, 2, 3]) == [(0, 0, 1, False), (1, 1, 2, False), (2, 2, 3, False)]


def test_a_frontier_is_bypassed_at_each_step_that_commits_another():
    assert events([3, 0, 1, 2]) == [(0, 0, 1, True), (1, 0, 2, True), (2, 0, 3, True)]
    assert events([1, 0, 2, 3]) == [(0, 0, 1, True), (1, 0, 2, False), (2, 2, 3, False)]


def test_pairs_stay_in_a_block_and_in_the_text():
    assert events([0, 1, 2, 3], block_length=2) == [(0, 0, 1, False), (2, 2, 3, False)]
    assert events([0, 1, 3, 2], length=2) == [(0, 0, 1, False)]


def test_contrasts_compare_sizes_within_thirds_of_surprisal():
    rng = np.random.default_rng(0)
    surprisal = np.tile([0.1, 1.0, 5.0], 200)
    pairs = pd.DataFrame(
        {
            "problem_id": np.repeat([f"p{i}" for i in range(20)], 30),
            "bypassed": rng.random(600) < np.where(surprisal > 2, 0.9, 0.1),
            "surprisal": surprisal + 1e-3 * rng.random(600),
            "circulation": surprisal * rng.choice([-1, 1], 600),
        }
    )
    rows = {row[0]: row for row in SCRIPT["contrasts"](pairs)}
    assert rows["all pairs"][-1] == "above", "surprising pairs are bypassed and have the larger circulation"
    assert all(row[-1] == "unresolved" for name, row in rows.items() if name != "all pairs")
