"""The band of the collapse curve goes with the curve."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flexeval import stats


def tokens(problems: int, samples: int, length: int, seed: int = 0, same: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    shape = (problems, samples, length)
    problem, sample, position = (axis.ravel() for axis in np.indices(shape))
    return pd.DataFrame(
        {
            "problem_id": pd.Categorical([f"p{p}" for p in problem]),
            "sample_index": sample,
            "position": position,
            "token_id": 1 if same else rng.integers(0, 2, len(position)),
            "commit_step": position,
        }
    )


def listed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[["problem_id", "sample_index"]].drop_duplicates()


def test_its_estimate_is_the_mean_over_problems():
    rows = tokens(5, 4, 6)
    mine = stats.collapse_band(rows, listed(rows))
    assert mine["step"].tolist() == list(range(6))
    assert mine["estimate"].to_numpy() == pytest.approx(stats.collapse_table(rows, listed(rows)).mean().to_numpy())
    assert ((mine["low"] <= mine["estimate"]) & (mine["estimate"] <= mine["high"])).all()


def test_a_problem_that_ends_early_keeps_its_last_share():
    long, short = tokens(1, 4, 6), tokens(1, 4, 2, seed=1).assign(problem_id="q")
    rows = pd.concat([long.astype({"problem_id": str}), short], ignore_index=True)
    alone = [stats.collapse_table(part, listed(part)).iloc[0] for part in (long, short)]
    expected = (alone[0].to_numpy() + alone[1].reindex(range(6)).ffill().to_numpy()) / 2
    assert stats.collapse_band(rows, listed(rows))["estimate"].to_numpy() == pytest.approx(expected)


def test_equal_samples_are_one_in_n_without_width():
    rows = tokens(3, 4, 5, same=True)
    mine = stats.collapse_band(rows, listed(rows))
    assert mine[["estimate", "low", "high"]].to_numpy() == pytest.approx(np.full((5, 3), 0.25))
