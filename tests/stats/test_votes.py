"""maj@k against all subsets of the samples; the entropy of answers by hand."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexeval.errors import InputError
from flexeval.stats.pass_at_k import pass_at_k
from flexeval.stats.votes import answer_entropy_table, majority_table


def samples(answers, correct, problem_id="p"):
    return pd.DataFrame(
        {"problem_id": problem_id, "extracted": pd.Series(answers, dtype=object), "correct": np.array(correct, bool)}
    )


def enumerated(answers, correct, k):
    """The mean over all subsets of k samples; of tied answers each wins with the same chance."""
    share = {
        answer: np.mean([right for own, right in zip(answers, correct, strict=True) if own == answer])
        for answer in answers
    }
    values = []
    for subset in combinations(range(len(answers)), k):
        votes = Counter(answers[i] for i in subset if answers[i] is not None)
        winners = [answer for answer, number in votes.items() if number == max(votes.values())]
        values.append(np.mean([share[answer] for answer in winners]) if winners else 0.0)
    return np.mean(values)


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["1", "2", "3", "4", None]), min_size=1, max_size=9), st.sets(st.sampled_from("1234")))
def test_is_the_mean_over_all_subsets(answers, right):
    correct = [answer in right for answer in answers]
    ks = list(range(1, len(answers) + 1))
    found = majority_table(samples(answers, correct), ks).loc["p"].tolist()
    assert found == pytest.approx([enumerated(answers, correct, k) for k in ks], abs=1e-12)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("123"), st.booleans()), min_size=1, max_size=12))
def test_one_vote_is_one_sample_whatever_verdict_counts(drawn):
    # Samples of one answer may differ in the verdict, as in soundness.
    answers, counts = zip(*drawn, strict=True)
    assert majority_table(samples(answers, counts), [1]).loc["p", 1] == pytest.approx(np.mean(counts))


def test_an_answer_that_was_graded_in_two_ways_counts_in_part():
    answers, correct = ["7", "7", "7", "8"], [True, True, False, False]
    found = majority_table(samples(answers, correct), [1, 2, 3, 4]).loc["p"].tolist()
    assert found == pytest.approx([enumerated(answers, correct, k) for k in (1, 2, 3, 4)])


def test_with_one_vote_it_is_pass_at_1_and_with_two_too():
    # Two voters agree, or tie; a tie is decided by chance.
    c, n = 5, 12
    table = majority_table(samples(["1"] * c + ["2"] * (n - c), [True] * c + [False] * (n - c)), [1, 2])
    assert table.loc["p"].tolist() == pytest.approx([c / n, c / n])


def test_many_different_wrong_answers_leave_the_rare_right_one_the_majority():
    n, c = 64, 8
    table = majority_table(samples(["1"] * c + [f"w{i}" for i in range(n - c)], [True] * c + [False] * (n - c)), [64])
    assert table.loc["p", 64] == 1
    wrong = majority_table(samples(["1"] * c + ["2"] * (n - c), [True] * c + [False] * (n - c)), [1, 8, 64])
    assert c / n > wrong.loc["p", 8] > wrong.loc["p", 64] == 0


def test_two_answers_and_an_odd_k_are_the_hypergeometric_tail():
    from scipy.stats import hypergeom

    n, c, k = 1024, 480, 101
    found = majority_table(samples(["1"] * c + ["2"] * (n - c), [True] * c + [False] * (n - c)), [k]).loc["p", k]
    assert found == pytest.approx(hypergeom(n, c, k).sf(k // 2), rel=1e-9)


def test_without_rivals_a_single_right_vote_suffices():
    n, c = 24, 3
    table = majority_table(samples(["1"] * c + [None] * (n - c), [True] * c + [False] * (n - c)), [1, 4, 24])
    assert table.loc["p"].tolist() == pytest.approx([pass_at_k(n, c, k) for k in (1, 4, 24)])


@pytest.mark.parametrize(
    ("frame", "ks", "message"),
    [
        (samples([], []), [1], "at least 1 sample"),
        (samples(["1"], [True]), [], "1 k"),
        (samples(["1"], [True]), [0], "k must be at least 1"),
        (samples(["1"], [True]), [1.0], "k must be whole numbers"),
        (samples(["1"], [True]), [2], "maj@2 needs 2 samples of every problem, but 'p' has 1"),
        (samples(["1"] * 1025, [True] * 1025), [1], "up to 1024 samples"),
    ],
)
def test_refuses_what_has_no_meaning(frame, ks, message):
    with pytest.raises(InputError, match=message):
        majority_table(frame, ks)


def test_entropy_of_answers_by_hand():
    frame = pd.concat(
        [samples(["1", "1", "2", None], [1, 1, 0, 0], "a"), samples(["5"] * 4, [1] * 4, "b"),
         samples(["1", "2", "3", "4"], [1, 0, 0, 0], "c")]
    )  # fmt: skip
    table = answer_entropy_table(frame)["answer_entropy"]
    assert table.index.tolist() == ["a", "b", "c"]
    assert table.tolist() == pytest.approx([0.5 * np.log(2) + 0.5 * np.log(4), 0, np.log(4)])
    with pytest.raises(InputError, match="no answer"):
        answer_entropy_table(frame[:0])
