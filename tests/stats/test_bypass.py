"""Bypasses and delays are those of a decode followed by hand; Wilson's interval is scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from oracles import RandomOracle
from scipy.stats import binomtest
from token_rows import decoded_rows, text_rows

from flexeval.errors import InputError
from flexeval.orders import get_order
from flexeval.records import SamplingConfig
from flexeval.sampling import Sampler, SampleRequest
from flexeval.stats import bypass_table, most_bypassed, wilson, words


def decode(order: str, **settings):
    oracle = RandomOracle(words=7, eos_bonus=-1.0)
    requests = [SampleRequest(problem_id=p, sample_index=i, prompt_ids=[1, 2]) for p in "abc" for i in range(6)]
    config = SamplingConfig(**{"gen_length": 12, "temperature": 0.8, **settings})
    return decoded_rows(Sampler(oracle, get_order(order), config).run(requests), oracle.pieces)


def followed(rows, block_length: int) -> dict[tuple[str, int, int], tuple[int, int | None]]:
    """(problem, sample, position) -> (passes, delay or None), from the commit steps alone."""
    facts = {}
    for (problem, sample), decoded in rows.groupby(["problem_id", "sample_index"], observed=True):
        step_of = dict(zip(decoded["position"], decoded["commit_step"], strict=True))
        passes, since = dict.fromkeys(step_of, 0), {}
        for step in range(max(step_of.values()) + 1):
            masked = [position for position, committed in step_of.items() if committed >= step]
            # A sample may leave at its end, with later positions never committed: they are no row.
            frontier = min(masked)
            since.setdefault(frontier, step)
            if step_of[frontier] != step:
                passes[frontier] += 1
        for position, committed in step_of.items():
            delay = committed - since[position] if position in since else None
            facts[problem, sample, position] = (passes[position], delay)
    return facts


def test_a_decode_by_hand():
    """Commit steps 3, 0, 1, 2 of "So it is ." in one block.

    "So" is the frontier from step 0 on and passed over at steps 0, 1 and 2. Nothing else ever is the frontier.
    """
    rows = text_rows(
        [("p", 0, ["So", " it", " is", "."])],
        commit_step=[3, 0, 1, 2], frontier_step=[0, -1, -1, -1], passes=[3, 0, 0, 0],
    )  # fmt: skip
    table = bypass_table(words(rows)).set_index("word")
    assert dict(table["bypassed"]) == {"So": 1, "it": 0, "is": 0}
    assert table.loc["So", "delay"] == 3
    assert np.isnan(table.loc["it", "delay"])


@pytest.mark.parametrize("order", ["top_prob", "confidence", "random"])
def test_rates_and_delays_are_those_of_the_commit_steps(order):
    rows = decode(order, stop_at_eos=False, block_length=6)
    facts = followed(rows, block_length=6)
    found = words(rows)
    table = bypass_table(found).set_index("word")
    assert table["bypassed"].sum() > 5, "a decode without bypasses would show nothing"
    for word, row in table.iterrows():
        at = found[found["word"] == word][["problem_id", "sample_index", "position"]].itertuples(index=False, name=None)
        known = [facts[key] for key in at]
        assert row["occurrences"] == len(known)
        assert row["bypassed"] == sum(passes > 0 for passes, _ in known)
        delays = [delay for _, delay in known if delay is not None]
        assert row["delay"] == pytest.approx(np.mean(delays) if delays else np.nan, nan_ok=True)
        assert row["rate"] == row["bypassed"] / row["occurrences"]


def test_ar_bypasses_nothing():
    found = words(decode("ar"))
    table = bypass_table(found)
    assert (table["rate"] == 0).all()
    assert (table["delay"] == 0).all()
    assert len(most_bypassed(found, min_count=1)) == 0


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_wilson_is_scipys(level):
    n = np.array([1, 1, 2, 7, 40, 40, 40, 5000])
    k = np.array([0, 1, 1, 3, 0, 40, 11, 4999])
    low, high = wilson(k, n, level=level)
    for at in range(len(n)):
        theirs = binomtest(int(k[at]), int(n[at])).proportion_ci(level, method="wilson")
        assert (low[at], high[at]) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_of_nothing_is_everything():
    low, high = wilson([0], [0])
    assert (low[0], high[0]) == (0, 1)


def test_most_bypassed_ranks_by_rate_among_frequent_words():
    pieces = ["a "] * 6 + ["b "] * 6 + ["c "]
    passes = [1, 1, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 9]
    found = words(text_rows([("p", 0, pieces)], passes=passes))
    assert list(most_bypassed(found, min_count=2)["word"]) == ["a", "b"]
    assert list(most_bypassed(found, min_count=1, top=2)["word"]) == ["c", "a"]


def test_bad_input_is_refused():
    found = words(text_rows([("p", 0, ["a"])]))
    with pytest.raises(InputError, match="no column 'wort'"):
        bypass_table(found, by="wort")
    with pytest.raises(InputError, match="level"):
        wilson([1], [2], level=95)
