"""The comparison of connectors with other words: exact on a small case, and with the level that it claims."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency

from flexeval.errors import InputError
from flexeval.stats import enrichment

BLOCK = 4


def frame(problem, position, connector, bypassed) -> pd.DataFrame:
    return pd.DataFrame(
        {"problem_id": problem, "position": position, "connector": connector, "passes": np.asarray(bypassed, int)}
    )


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
    found = enrichment(frame(np.arange(400) // 40, 0, connector, connector), BLOCK, permutations=99, replicates=10)
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

    found = enrichment(frame("p", position, connector, bypassed), BLOCK, permutations=40_000, replicates=10)
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
        rejected += enrichment(words, BLOCK, permutations=199, replicates=2, seed=seed).p_value <= 0.05
        rejected_blindly += chi2_contingency(pd.crosstab(words["connector"], words["passes"])).pvalue <= 0.05
    # 200 trials at 5 % lie outside 1 % to 9 % but once in a hundred times.
    assert 0.01 <= rejected / simulations <= 0.09
    assert rejected_blindly / simulations > 0.5


def test_an_effect_is_found():
    rng = np.random.default_rng(2)
    found = [enrichment(simulated(rng, effect=1.0), BLOCK, permutations=199, replicates=200) for _ in range(20)]
    assert np.mean([one.p_value <= 0.05 for one in found]) > 0.8
    assert np.mean([one.difference.low > 0 for one in found]) > 0.7
    assert all(one.ratio.estimate > 1 for one in found)


def test_the_interval_of_the_difference_is_symmetric_and_stays_within_one():
    found = enrichment(simulated(np.random.default_rng(4)), BLOCK, permutations=1, replicates=200).difference
    assert found.low < found.estimate < found.high
    assert found.low + found.high == pytest.approx(2 * found.estimate)
    whole = frame(np.repeat(["p", "q"], 2), [0, 0, 0, 0], [True, False] * 2, [1, 0, 0, 0])
    assert enrichment(whole, BLOCK, permutations=1, replicates=200).difference.high <= 1


def test_without_a_bypass_there_is_no_difference():
    rng = np.random.default_rng(3)
    found = enrichment(simulated(rng).assign(passes=0), BLOCK, replicates=50)
    assert (found.rate, found.matched_rate, found.difference.estimate, found.p_value) == (0, 0, 0, 1)
    assert np.isnan(found.ratio.estimate)


def test_swapping_the_labels_turns_the_sign_where_groups_are_equal():
    position = np.tile([0, 0, 1, 1], 5)
    connector = np.tile([True, False], 10)
    bypassed = np.arange(20) % 3 == 0
    words = frame(np.repeat(["p", "q"], 10), position, connector, bypassed)
    one = enrichment(words, BLOCK, replicates=50)
    other = enrichment(words.assign(connector=~connector), BLOCK, replicates=50)
    assert one.difference.estimate == pytest.approx(-other.difference.estimate)
    assert one.p_value == other.p_value


def test_connectors_without_a_counterpart_are_counted_and_refused_when_there_are_only_such():
    words = frame(["p", "p", "q"], [0, 0, 0], [True, False, True], [1, 0, 1])
    assert enrichment(words, BLOCK, replicates=50).unmatched == 1
    with pytest.raises(InputError, match="none of the 2 connectors"):
        enrichment(frame(["p", "q", "q"], [0, 0, 1], [True, True, False], [1, 0, 1]), BLOCK)
