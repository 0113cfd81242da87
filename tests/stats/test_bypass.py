"""Bypasses and delays are those of a decode followed by hand; enrichment is exact and keeps its level."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from oracles import RandomOracle
from scipy.stats import chi2_contingency
from token_rows import decoded_rows, text_rows

from flexeval.errors import InputError
from flexeval.orders import get_order
from flexeval.records import SamplingConfig
from flexeval.sampling import Sampler, SampleRequest
from flexeval.stats.bootstrap import Bootstrap
from flexeval.stats.bypass import bypass_table, enrichment, most_bypassed
from flexeval.stats.words import find_words


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
    table = bypass_table(find_words(rows)).set_index("word")
    assert dict(table["bypassed"]) == {"So": 1, "it": 0, "is": 0}
    assert table.loc["So", "delay"] == 3
    assert np.isnan(table.loc["it", "delay"])


@pytest.mark.parametrize("order", ["top_prob", "confidence", "random"])
def test_rates_and_delays_are_those_of_the_commit_steps(order):
    rows = decode(order, stop_at_eos=False, block_length=6)
    facts = followed(rows, block_length=6)
    found = find_words(rows)
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
    found = find_words(decode("ar"))
    table = bypass_table(found)
    assert (table["rate"] == 0).all()
    assert (table["delay"] == 0).all()
    assert len(most_bypassed(found, min_count=1)) == 0


def test_most_bypassed_ranks_by_rate_among_frequent_words():
    pieces = ["a "] * 6 + ["b "] * 6 + ["c "]
    passes = [1, 1, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 9]
    found = find_words(text_rows([("p", 0, pieces)], passes=passes))
    assert list(most_bypassed(found, min_count=6)["word"]) == ["a", "b"]
    assert most_bypassed(found, min_count=7).empty
    assert list(most_bypassed(found, min_count=1, top=2)["word"]) == ["c", "a"]


def test_bad_input_is_refused():
    found = find_words(text_rows([("p", 0, ["a"])]))
    with pytest.raises(InputError, match="no column 'wort'"):
        bypass_table(found, by="wort")


# ----- enrichment -----


BLOCK = 4
FEW = Bootstrap(replicates=200)


def frame(problem, position, connector, bypassed) -> pd.DataFrame:
    words = pd.DataFrame(
        {"problem_id": problem, "position": position, "connector": connector, "passes": np.asarray(bypassed, int)}
    )
    return words.assign(in_block=words["position"] % BLOCK)


def simulated(rng: np.random.Generator, *, effect: float = 0.0, problems: int = 10, words: int = 40) -> pd.DataFrame:
    """Words whose chance of being a connector, and of being bypassed, both depend on the problem and the place."""
    problem = np.repeat(np.arange(problems), words)
    position = rng.integers(0, 3 * BLOCK, size=len(problem))
    mood = rng.normal(size=problems)[problem] - 0.5 * (position % BLOCK)
    connector = rng.random(len(problem)) < 1 / (1 + np.exp(-mood))
    bypassed = rng.random(len(problem)) < 1 / (1 + np.exp(-mood - effect * connector))
    return frame(problem, position, connector, bypassed)


def test_no_number_of_permutations_shows_that_something_never_happens():
    connector = np.arange(400) % 2 == 0
    found = enrichment(frame(np.arange(400) // 40, 0, connector, connector), permutations=99, bootstrap=FEW)
    assert found.p_value == pytest.approx(1 / 100)


def test_numbers_of_a_small_case():
    """Two strata of one problem; the p-value is that of all ways to shuffle the labels."""
    position = np.array([0, 0, 4, 4, 0, 1, 1, 5])
    connector = np.array([1, 0, 0, 1, 0, 1, 0, 0], bool)
    bypassed = np.array([1, 0, 0, 1, 1, 1, 0, 0], bool)
    strata = [np.flatnonzero(position % BLOCK == place) for place in (0, 1)]

    def excess(labels: np.ndarray) -> float:
        of_strata = []
        for members in strata:
            mine, others = members[labels[members]], members[~labels[members]]
            of_strata.append(bypassed[mine].sum() - len(mine) * bypassed[others].mean())
        return sum(of_strata)

    shuffles = []
    for chosen in itertools.product(itertools.combinations(strata[0], 2), itertools.combinations(strata[1], 1)):
        labels = np.zeros(len(position), bool)
        labels[list(itertools.chain(*chosen))] = True
        shuffles.append(excess(labels))
    exact = np.mean(np.abs(shuffles) >= abs(excess(connector)) - 1e-9)

    found = enrichment(frame("p", position, connector, bypassed), permutations=40_000, bootstrap=FEW)
    assert (found.connectors, found.unmatched) == (3, 0)
    assert found.rate == 1
    assert found.matched_rate == pytest.approx((2 / 3) / 3)
    assert found.difference.estimate == pytest.approx(excess(connector) / 3)
    assert found.ratio.estimate == pytest.approx(4.5)
    assert found.p_value == pytest.approx(exact, abs=0.01)


def test_the_permutation_test_has_its_level():
    """Problem and place move labels and bypasses together; a test that ignored them would reject far too often."""
    rng = np.random.default_rng(1)
    rejected, rejected_blindly, simulations = 0, 0, 200
    for seed in range(simulations):
        words = simulated(rng)
        rejected += enrichment(words, permutations=199, bootstrap=Bootstrap(replicates=2, seed=seed)).p_value <= 0.05
        rejected_blindly += chi2_contingency(pd.crosstab(words["connector"], words["passes"])).pvalue <= 0.05
    # 200 trials at 5 % lie outside 1 % to 9 % but once in a hundred times.
    assert 0.01 <= rejected / simulations <= 0.09
    assert rejected_blindly / simulations > 0.5


def test_an_effect_is_found():
    rng = np.random.default_rng(2)
    found = [enrichment(simulated(rng, effect=1.0), permutations=199, bootstrap=FEW) for _ in range(20)]
    assert np.mean([one.p_value <= 0.05 for one in found]) > 0.8
    assert np.mean([one.difference.low > 0 for one in found]) > 0.7
    assert all(one.ratio.estimate > 1 for one in found)


def test_the_interval_of_the_difference_is_symmetric_and_stays_within_one():
    found = enrichment(simulated(np.random.default_rng(4)), permutations=1, bootstrap=FEW).difference
    assert found.low < found.estimate < found.high
    assert found.low + found.high == pytest.approx(2 * found.estimate)
    whole = frame(np.repeat(["p", "q"], 2), [0, 0, 0, 0], [True, False] * 2, [1, 0, 0, 0])
    assert enrichment(whole, permutations=1, bootstrap=FEW).difference.high <= 1


def test_without_a_bypass_there_is_no_difference():
    rng = np.random.default_rng(3)
    found = enrichment(simulated(rng).assign(passes=0), bootstrap=FEW)
    assert (found.rate, found.matched_rate, found.difference.estimate, found.p_value) == (0, 0, 0, 1)
    assert np.isnan(found.ratio.estimate)


def test_swapping_the_labels_turns_the_sign_where_groups_are_equal():
    position = np.tile([0, 0, 1, 1], 5)
    connector = np.tile([True, False], 10)
    bypassed = np.arange(20) % 3 == 0
    words = frame(np.repeat(["p", "q"], 10), position, connector, bypassed)
    one = enrichment(words, bootstrap=FEW)
    other = enrichment(words.assign(connector=~connector), bootstrap=FEW)
    assert one.difference.estimate == pytest.approx(-other.difference.estimate)
    assert one.p_value == other.p_value


def test_connectors_without_a_counterpart_are_counted_and_refused_when_there_are_only_such():
    words = frame(["p", "p", "q"], [0, 0, 0], [True, False, True], [1, 0, 1])
    assert enrichment(words, bootstrap=FEW).unmatched == 1
    with pytest.raises(InputError, match=r"none of the 2 connectors .* in the block; sample more$"):
        enrichment(frame(["p", "q", "q"], [0, 0, 1], [True, True, False], [1, 0, 1]))
    with pytest.raises(InputError, match=r"^there is no connector among the words"):
        enrichment(frame(["p", "q"], [0, 0], [False, False], [1, 0]))
