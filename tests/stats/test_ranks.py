"""Ranks of committed tokens: shares of what is there, and what a sampled decode must show."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from oracles import RandomOracle
from token_rows import decoded_rows, text_rows

from flexeval.errors import InputError
from flexeval.orders import get_order
from flexeval.records import SamplingConfig
from flexeval.sampling import Sampler, SampleRequest
from flexeval.stats.bootstrap import Bootstrap
from flexeval.stats.ranks import non_top_rate, proposal_against_commit, rank_by_step

RANKS = [0, 0, 1, 3, 0, 12, 5, 0]


@pytest.fixture
def rows():
    frame = text_rows([("p", 0, ["x "] * 5), ("q", 0, ["x "] * 4)])
    return frame.assign(rank=[*RANKS, 7], in_text=[True] * 8 + [False], top_prob=0.5, prob=0.4)


@functools.cache
def decode(order: str, temperature: float):
    oracle = RandomOracle(words=5, sharpness=1.5)
    requests = [SampleRequest(problem_id=f"p{i}", sample_index=0, prompt_ids=[i % 5]) for i in range(80)]
    config = SamplingConfig(gen_length=6, temperature=temperature, seed=11)
    return decoded_rows(Sampler(oracle, get_order(order), config).run(requests), oracle.pieces)


def test_non_top_rate_is_the_share_of_later_ranks(rows):
    found = non_top_rate(rows, bootstrap=Bootstrap(replicates=100))
    assert found.estimate == pytest.approx(4 / 8)
    assert found.problems == 2


def test_greedy_decoding_commits_top_tokens_only():
    found = non_top_rate(decode("top_prob", 0.0), bootstrap=Bootstrap(replicates=100))
    # Problems that are alike are no proof of a rate of 0: the rule of three.
    assert (found.low, found.estimate, found.high) == pytest.approx((0, 0, 1 - 0.05 ** (1 / found.problems)))


def test_confidence_filters_what_top_prob_keeps():
    """arXiv:2609.34509: at equal temperature the most probable proposal is nearly always a top token."""
    keeps, filters = (
        non_top_rate(decode(order, 1.0), bootstrap=Bootstrap(replicates=500)) for order in ("top_prob", "confidence")
    )
    assert filters.high < keeps.low


def test_ranks_by_step_are_shares(rows):
    table = rank_by_step(rows)
    assert list(table["rank"].unique()) == ["0", "1", "2-4", "5-9", "10+"]
    assert table.groupby("step")["share"].sum().tolist() == pytest.approx([1.0] * 5)
    assert table["count"].sum() == 8
    at_two = table[table["step"] == 2].set_index("rank")["count"]
    assert at_two.to_dict() == {"0": 1, "1": 1, "2-4": 0, "5-9": 0, "10+": 0}


def test_steps_can_be_grouped(rows):
    table = rank_by_step(rows, bins=2, edges=(0, 1))
    assert list(table["step"].unique()) == [0, 3]
    assert list(table["rank"].unique()) == ["0", "1+"]
    assert table.set_index(["step", "rank"])["share"].to_dict() == pytest.approx(
        {(0, "0"): 3 / 6, (0, "1+"): 3 / 6, (3, "0"): 1 / 2, (3, "1+"): 1 / 2}
    )


def test_at_temperature_one_select_then_sample_commits_the_top_token_as_often_as_it_is_likely():
    for order in ("ar", "top_prob"):
        table = proposal_against_commit(decode(order, 1.0), bins=4)
        error = np.sqrt((table["top_prob"] * (1 - table["top_prob"]) / table["count"]).clip(lower=1e-9))
        assert ((table["committed"] - table["top_prob"]).abs() < 4 * error).all()


def test_at_temperature_one_the_best_proposal_is_the_top_token_more_often_than_it_is_likely():
    table = proposal_against_commit(decode("confidence", 1.0), bins=1).iloc[0]
    assert table["committed"] > table["top_prob"] + 0.05


def test_ranges_of_probability_hold_all_tokens_once():
    frame = decode("ar", 1.0)
    text = frame[frame["in_text"]]
    table = proposal_against_commit(frame, bins=5)
    assert table["count"].sum() == len(text)
    assert ((table["low"] <= table["top_prob"]) & (table["top_prob"] <= table["high"])).all()
    assert (table["prob"] <= table["top_prob"] + 1e-6).all()
    for name, column in (("top_prob", text["top_prob"]), ("prob", text["prob"])):
        assert np.average(table[name], weights=table["count"]) == pytest.approx(column.mean(), abs=1e-6)


def test_a_certain_token_is_in_the_last_range(rows):
    assert proposal_against_commit(rows.assign(top_prob=1.0))["high"].tolist() == [1.0]


def test_bad_input_is_refused(rows):
    for edges in ((1, 2), ()):
        with pytest.raises(InputError, match="rise from 0"):
            rank_by_step(rows, edges=edges)
    for table in (rank_by_step, proposal_against_commit):
        with pytest.raises(InputError, match="bins"):
            table(rows, bins=0)
