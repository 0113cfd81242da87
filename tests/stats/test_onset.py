"""Adjacent contrasts of CoverageAUC: what they add up to, and how planted losses are read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flexeval.errors import InputError
from flexeval.stats.bootstrap import Bootstrap
from flexeval.stats.onset import AT_FIRST, DISTRIBUTED, LATE, NOWHERE, READINGS, adjacent_losses, auc_ks
from flexeval.stats.pass_at_k import coverage_auc

FEW = Bootstrap(replicates=500)
BLOCKS = (1, 2, 4, 8)


def counts(chances, problems=60, n=16, seed=0):
    """Block length -> counts; `chances` are of a correct sample, block by block, and the same problems are hard."""
    rng = np.random.default_rng(seed)
    ease = rng.uniform(0.5, 1.5, size=problems)
    return {
        block: pd.DataFrame(
            {
                "problem_id": [f"p{i}" for i in range(problems)],
                "n": n,
                "c": rng.binomial(n, np.minimum(1, ease * chance)),
            }
        )
        for block, chance in zip(BLOCKS, chances, strict=False)
    }


def test_losses_add_up_to_that_from_the_first_to_the_last():
    given = counts([0.2, 0.15, 0.15, 0.1])
    losses = adjacent_losses(given, [4, 8, 16], bootstrap=FEW)
    assert losses["shorter"].tolist() == [1, 2, 4] and losses["longer"].tolist() == [2, 4, 8]
    first, last = (coverage_auc(given[block], [4, 8, 16])["coverage_auc"].mean() for block in (1, 8))
    assert losses["difference"].sum() == pytest.approx(first - last)


def test_the_band_holds_every_interval():
    losses = adjacent_losses(counts([0.2, 0.1, 0.1, 0.1]), [4, 16], bootstrap=FEW)
    assert (losses["band_low"] <= losses["low"]).all() and (losses["high"] <= losses["band_high"]).all()


@pytest.mark.parametrize(
    ("chances", "reading"),
    [
        ([0.30, 0.05, 0.05, 0.05], AT_FIRST),
        ([0.30, 0.30, 0.05, 0.05], LATE),
        ([0.30, 0.30, 0.30, 0.05], LATE),
        ([0.40, 0.15, 0.15, 0.02], DISTRIBUTED),
        ([0.10, 0.10, 0.10, 0.10], NOWHERE),
        ([0.30, 0.05], ""),
    ],
)
def test_planted_losses_are_read_as_was_fixed(chances, reading):
    losses = adjacent_losses(counts(chances), [4, 8, 16], bootstrap=FEW)
    assert set(losses["reading"]) == {reading}


def test_every_outcome_has_one_reading():
    assert len(READINGS) == len(set(READINGS.values())) == 4


def test_tasks_count_equally_whatever_their_sizes():
    given = counts([0.3, 0.1], problems=40)
    tasks = ["large"] * 30 + ["small"] * 10
    area = {block: coverage_auc(of_block, [4, 16])["coverage_auc"].to_numpy() for block, of_block in given.items()}
    change = area[1] - area[2]
    (row,) = adjacent_losses(given, [4, 16], tasks=tasks, bootstrap=FEW).to_dict("records")
    assert row["difference"] == pytest.approx((change[:30].mean() + change[30:].mean()) / 2)


def test_the_rows_may_be_in_any_order():
    given = counts([0.3, 0.1, 0.1])
    shuffled = {block: of_block.sample(frac=1, random_state=block) for block, of_block in given.items() if block > 1}
    again = adjacent_losses({1: given[1], **shuffled}, [4, 16], bootstrap=FEW)
    pd.testing.assert_frame_equal(adjacent_losses(given, [4, 16], bootstrap=FEW), again)


def test_the_grid_goes_as_far_as_the_samples():
    assert [auc_ks(n) for n in (2, 4, 20, 64, 128)] == [[2], [4], [4, 8, 16], [4, 8, 16, 32, 64], [4, 8, 16, 32, 64]]


def test_refuses_a_single_block_length_and_other_problems():
    given = counts([0.3, 0.1])
    with pytest.raises(InputError, match="two or more, not 1"):
        adjacent_losses({1: given[1]}, [4])
    with pytest.raises(InputError, match="has no value"):
        adjacent_losses({1: given[1], 2: given[2].iloc[1:]}, [4])
