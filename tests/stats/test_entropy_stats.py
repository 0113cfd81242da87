"""Mean entropies are the means of the occurrences; intervals and differences are by problem."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from oracles import RandomOracle
from token_rows import decoded_rows, text_rows

from flexeval.errors import InputError
from flexeval.orders import get_order
from flexeval.records import SamplingConfig
from flexeval.sampling import Sampler, SampleRequest
from flexeval.stats.bootstrap import Bootstrap, interval, paired_difference
from flexeval.stats.entropy import connector_entropy, entropy_difference, entropy_table, highest_entropy_words
from flexeval.stats.words import find_words

PIECES = ["So", " it", " is", ".", " Then", " we", " go", ".", " so"]
FEW = Bootstrap(replicates=200)


def rows(problems: int = 12, samples: int = 3, seed: int = 0) -> pd.DataFrame:
    """Texts of one wording; entropies differ by problem."""
    rng = np.random.default_rng(seed)
    frame = text_rows([(f"p{p:02}", i, PIECES) for p in range(problems) for i in range(samples)])
    of_problem = rng.gamma(2.0, size=problems)[frame["problem_id"].cat.codes]
    noise = rng.gamma(2.0, size=(4, len(frame)))
    return frame.assign(
        entropy=of_problem * noise[0],
        eligible_entropy=of_problem * noise[1],
        frontier_entropy=np.where(noise[2] > 1, of_problem * noise[2], np.nan),
        ar_entropy=of_problem * noise[3],
        in_text=frame["position"] < 8,
    )


def one(table: pd.DataFrame, **where) -> pd.Series:
    for name, value in where.items():
        table = table[table[name] == value]
    (row,) = (row for _, row in table.iterrows())
    return row


def test_estimates_are_means_over_text_tokens():
    frame = rows()
    text = frame[frame["in_text"]]
    table = entropy_table(frame, bootstrap=FEW).set_index("quantity")
    expected = {
        "entropy": text["entropy"],
        "eligible_entropy": text["eligible_entropy"],
        "frontier_entropy": text["frontier_entropy"],
        "closure": text["frontier_entropy"] - text["entropy"],
        "ar_entropy": text["ar_entropy"],
        "ar_gap": text["ar_entropy"] - text["entropy"],
    }
    assert list(table.index) == list(expected)
    for quantity, values in expected.items():
        assert table.loc[quantity, "estimate"] == pytest.approx(values.mean())
        assert table.loc[quantity, "count"] == values.notna().sum()
        assert table.loc[quantity, "problems"] == 12
        assert table.loc[quantity, "low"] < values.mean() < table.loc[quantity, "high"]


def test_with_as_many_tokens_in_each_problem_the_interval_is_that_of_problem_means():
    frame = rows()
    means = frame[frame["in_text"]].groupby("problem_id", observed=True)[["entropy"]].mean()
    expected = interval(means, bootstrap=FEW)["entropy"]
    found = one(entropy_table(frame, quantities=["entropy"], bootstrap=FEW))
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))


def test_intervals_follow_a_change_of_unit():
    frame = rows()
    nats = entropy_table(frame, quantities=["entropy"], bootstrap=FEW)
    bits = entropy_table(frame.assign(entropy=frame["entropy"] / np.log(2)), quantities=["entropy"], bootstrap=FEW)
    for name in ("estimate", "low", "high"):
        assert bits[name].iloc[0] == pytest.approx(nats[name].iloc[0] / np.log(2))


def test_copies_of_every_sample_are_no_further_evidence():
    frame = rows()
    copies = pd.concat([frame, frame.assign(sample_index=frame["sample_index"] + 3)])
    copies = copies.sort_values(["problem_id", "sample_index", "position"], ignore_index=True)
    once, twice = (entropy_table(f, quantities=["entropy"], bootstrap=FEW) for f in (frame, copies))
    assert list(twice["count"]) == [2 * count for count in once["count"]]
    for name in ("estimate", "low", "high"):
        assert twice[name].iloc[0] == pytest.approx(once[name].iloc[0])


def test_by_word_is_each_word_by_itself():
    found = find_words(rows())
    table = entropy_table(found, by="word", bootstrap=FEW)
    assert set(table["word"]) == {"So", "it", "is", "Then", "we", "go"}
    for word in ("So", "go"):
        alone = entropy_table(found[found["word"] == word], bootstrap=FEW).reset_index(drop=True)
        mine = table[table["word"] == word].drop(columns="word").reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, alone)


def test_connectors_and_other_words_make_up_all_words():
    frame = rows()
    table = connector_entropy(frame, find_words(frame), quantities=["entropy"], bootstrap=FEW)
    assert list(table["group"]) == ["all tokens", "connectors", "other words", "So", "Then"]
    connectors, others = one(table, group="connectors"), one(table, group="other words")
    assert connectors["count"] == one(table, group="So")["count"] + one(table, group="Then")["count"]
    everything = entropy_table(find_words(frame), quantities=["entropy"], bootstrap=FEW).iloc[0]
    total = connectors["estimate"] * connectors["count"] + others["estimate"] * others["count"]
    assert total == pytest.approx(everything["estimate"] * everything["count"])
    assert one(table, group="all tokens")["count"] == 12 * 3 * 8, "punctuation is text, too"


def test_a_group_without_a_value_has_none():
    frame = rows().assign(eligible_entropy=np.nan)
    found = one(entropy_table(frame, bootstrap=FEW), quantity="eligible_entropy")
    assert (found["count"], found["problems"]) == (0, 0)
    assert found[["estimate", "low", "high"]].isna().all()


def test_a_rare_word_has_an_interval_too():
    frame = rows()
    rare = find_words(frame).query("problem_id in ['p00', 'p01'] and word == 'So'")
    found = one(entropy_table(rare, quantities=["entropy"], bootstrap=FEW))
    assert found["problems"] == 2
    by_problem = rare.groupby("problem_id", observed=True)["entropy"].mean()
    assert found["low"] == pytest.approx(by_problem.min())
    assert found["high"] == pytest.approx(by_problem.max())


def test_differences_are_paired_by_problem():
    first, second = rows(seed=0), rows(seed=1)
    found = entropy_difference(first, second, bootstrap=FEW)["entropy"]
    turned = entropy_difference(second, first, bootstrap=FEW)["entropy"]
    assert found.estimate == pytest.approx(
        first.query("in_text")["entropy"].mean() - second.query("in_text")["entropy"].mean()
    )
    assert turned.estimate == pytest.approx(-found.estimate)
    shifted = entropy_difference(first.assign(entropy=first["entropy"] + 0.1), first, bootstrap=FEW)["entropy"]
    assert (shifted.estimate, shifted.low, shifted.high) == pytest.approx((0.1, 0.1, 0.1))
    assert shifted.verdict == "above"
    same = entropy_difference(first, first, bootstrap=FEW)["entropy"]
    assert (same.low, same.high, same.verdict) == (0, 0, "unresolved")


def test_with_as_many_tokens_in_each_problem_a_difference_is_that_of_problem_means():
    first, second = rows(seed=0), rows(seed=1)
    means = [
        frame[frame["in_text"]].groupby("problem_id", observed=True)[["entropy"]].mean() for frame in (first, second)
    ]
    expected = paired_difference(*means, bootstrap=FEW)["entropy"]
    found = entropy_difference(first, second, bootstrap=FEW)["entropy"]
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_differences_need_the_same_problems():
    with pytest.raises(InputError, match="'p11' is only in the first"):
        entropy_difference(rows(problems=12), rows(problems=11))


def test_highest_words_are_ranked_against_the_average_token():
    frame = rows()
    found = find_words(frame)
    table = highest_entropy_words(found, frame, top=3, min_count=5, bootstrap=FEW)
    means = found.groupby("word", observed=True)["entropy"].mean().sort_values(ascending=False)
    assert list(table["word"]) == list(means.index[:3])
    assert list(table["rank"]) == [1, 2, 3]
    assert list(table["ratio"]) == pytest.approx(list(means.iloc[:3] / frame.query("in_text")["entropy"].mean()))
    assert dict(zip(table["word"], table["connector"], strict=True)) == {w: w in ("So", "Then") for w in table["word"]}
    occurrences = found["word"].value_counts()
    most = occurrences.max()
    assert len(highest_entropy_words(found, frame, min_count=most, bootstrap=FEW)) == (occurrences == most).sum()
    assert len(highest_entropy_words(found, frame, min_count=most + 1, bootstrap=FEW)) == 0


def test_under_ar_nothing_closes():
    oracle = RandomOracle(words=6)
    requests = [SampleRequest(problem_id=p, sample_index=0, prompt_ids=[1]) for p in "abc"]
    sampler = Sampler(oracle, get_order("ar"), SamplingConfig(gen_length=8))
    table = entropy_table(decoded_rows(sampler.run(requests), oracle.pieces), bootstrap=FEW).set_index("quantity")
    assert table.loc["closure", ["estimate", "low", "high"]].tolist() == [0, 0, 0]
    assert table.loc["entropy", "estimate"] == table.loc["frontier_entropy", "estimate"] > 0


def test_pooled_intervals_cover():
    """Problems differ in their mean and in how many tokens they have, the two together."""
    rng = np.random.default_rng(4)
    hits, simulations, problems = 0, 150, 50
    truth = (10 * 0.75 + 30 * 1.25) / (10 + 30)  # counts of 10 and 30 are equally likely
    for _ in range(simulations):
        count = rng.choice([10, 30], size=problems)
        mean = 1 + (count - 20) / 40 + rng.normal(scale=0.5, size=problems)
        problem = np.repeat(np.arange(problems), count)
        frame = pd.DataFrame({"problem_id": problem, "entropy": mean[problem] + rng.normal(size=len(problem))})
        found = one(entropy_table(frame, quantities=["entropy"], bootstrap=Bootstrap(replicates=500)))
        hits += found["low"] <= truth <= found["high"]
    assert 0.9 <= hits / simulations <= 0.99


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="no 'ar_gap'; they have entropy"):
        entropy_table(rows().drop(columns="ar_entropy"), quantities=["ar_gap"])
    with pytest.raises(InputError, match="no quantity"):
        entropy_table(rows(), quantities=[])
    with pytest.raises(InputError, match="no column 'wort'"):
        entropy_table(rows(), by="wort")
    with pytest.raises(InputError, match="level"):
        entropy_table(rows(), bootstrap=Bootstrap(level=95))
