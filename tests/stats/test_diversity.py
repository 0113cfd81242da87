"""Diversity against sacrebleu's own sentence scores, and against sets of canvases."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sacrebleu.metrics import BLEU

from flexeval.errors import InputError
from flexeval.stats.bootstrap import interval
from flexeval.stats.diversity import collapse_band, collapse_table, diversity_table, require_one_n, self_bleu

WORDS = ["so", "then", "the", "sum", "of", "two", "and", "three", "is", "five", ".", "thus", ",", "we", "add", "four"]


def random_texts(seed, n):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=rng.integers(0, 15))) for _ in range(n)]


@pytest.mark.parametrize("seed", range(5))
def test_self_bleu_is_the_mean_of_sacrebleus_sentence_scores(seed):
    texts = random_texts(seed, 7) + ["We add 2,000 and 3.5%: so it's \\boxed{2003.5}."] * 2
    bleu = BLEU(effective_order=True)
    scores = [bleu.sentence_score(text, texts[:i] + texts[i + 1 :]).score / 100 for i, text in enumerate(texts)]
    assert self_bleu(texts) == pytest.approx(np.mean(scores), abs=1e-12)


def test_self_bleu_of_copies_is_1_and_of_strangers_0():
    assert self_bleu(["we add two and two"] * 3) == pytest.approx(1)
    assert self_bleu(["a b c d e", "f g h i j", "k l m n o"]) == 0


def samples(rows):
    return pd.DataFrame(rows, columns=["problem_id", "extracted", "text"], dtype=object)


def test_shares_of_distinct_answers_and_texts_of_each_problem():
    table = diversity_table(
        samples(
            [("q", "7", "it is 7"), ("q", "7", "7 it is"), ("q", None, "it"), ("q", "8", "it")]
            + [("p", None, "so")] * 4
        )
    )
    assert table.index.tolist() == ["q", "p"]
    assert table["distinct_answers"].tolist() == [2 / 4, 0]
    assert table["distinct_texts"].tolist() == [3 / 4, 1 / 4]
    assert table["self_bleu"].iloc[1] == pytest.approx(1)


def test_means_come_with_intervals():
    rows = [(f"p{i}", str(j % (1 + i % 3)), text) for i in range(9) for j, text in enumerate(random_texts(i, 4))]
    answers = interval(diversity_table(samples(rows)))["distinct_answers"]
    assert answers.estimate == pytest.approx(2 / 4) and 1 / 4 < answers.low < 2 / 4 < answers.high < 3 / 4


def test_compares_at_one_n_only():
    with pytest.raises(InputError, match="'p' has 2 samples and 'q' has 3; take the first 2 of each"):
        diversity_table(samples([("p", "1", "a")] * 2 + [("q", "1", "a")] * 3))
    two, three = (samples([("p", "1", "a")] * n) for n in (2, 3))
    require_one_n(two, two)
    with pytest.raises(InputError, match="problems have 2 to 3 samples; compare the first 2 samples of each"):
        require_one_n(two, three)
    with pytest.raises(InputError, match="at least 2 samples"):
        diversity_table(samples([("p", "1", "a")]))
    with pytest.raises(InputError, match="no sample"):
        diversity_table(samples([]))
    with pytest.raises(InputError, match="at least two"):
        self_bleu(["a"])


def random_tokens(seed, problems=3, n=5, positions=6):
    """Few tokens and small permutations, so that canvases coincide; some samples leave early."""
    rng = np.random.default_rng(seed)
    rows = []
    for problem in range(problems):
        for sample in range(n):
            order = np.roll(np.arange(positions), rng.integers(0, 2))
            for step, position in enumerate(order[: rng.integers(3, positions + 1)]):
                rows.append((f"p{problem}", sample, position, rng.integers(0, 2), step // 2))
    return pd.DataFrame(rows, columns=["problem_id", "sample_index", "position", "token_id", "commit_step"])


def listed(tokens):
    return tokens[["problem_id", "sample_index"]].drop_duplicates()


@pytest.mark.parametrize("seed", range(4))
def test_collapse_counts_the_sets_of_committed_tokens(seed):
    tokens = random_tokens(seed)
    table = collapse_table(tokens.sample(frac=1, random_state=seed), listed(tokens))
    assert table.columns.tolist() == list(range(tokens["commit_step"].max() + 1))
    for problem, of_problem in tokens.groupby("problem_id"):
        for step, share in table.loc[problem].items():
            canvases = {
                frozenset(rows.loc[rows["commit_step"] <= step, ["position", "token_id"]].itertuples(index=False))
                for _, rows in of_problem.groupby("sample_index")
            }
            assert share == pytest.approx(len(canvases) / 5)
    assert table[0].mean() < 1, "canvases that all differ would show nothing"


def test_collapse_of_copies_and_of_strangers():
    one = random_tokens(0, problems=1, n=1)
    copies = pd.concat([one.assign(sample_index=i) for i in range(4)])
    assert (collapse_table(copies, listed(copies)) == 0.25).all(axis=None)
    strangers = pd.concat([one.assign(sample_index=i, token_id=i) for i in range(4)])
    assert (collapse_table(strangers, listed(strangers)) == 1).all(axis=None)


def test_samples_that_committed_nothing_share_the_empty_canvas():
    one = random_tokens(0, problems=1, n=1)
    samples = pd.DataFrame({"problem_id": "p0", "sample_index": range(4)})
    assert (collapse_table(one, samples) == 2 / 4).all(axis=None)


def test_collapse_compares_at_one_n_and_the_samples_of_one_run():
    tokens = random_tokens(0)
    fewer = listed(tokens).iloc[1:]
    with pytest.raises(InputError, match="'p0' has 4 samples"):
        collapse_table(tokens[(tokens["problem_id"] != "p0") | (tokens["sample_index"] > 0)], fewer)
    with pytest.raises(InputError, match="no sample"):
        collapse_table(tokens[:0], fewer[:0])
    with pytest.raises(InputError, match="samples that are not listed"):
        collapse_table(tokens, listed(tokens)[lambda rows: rows["problem_id"] != "p2"])


# ----- the band of the collapse curve -----


def binary_tokens(problems: int, samples: int, length: int, seed: int = 0, same: bool = False) -> pd.DataFrame:
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


def test_its_estimate_is_the_mean_over_problems():
    rows = binary_tokens(5, 4, 6)
    mine = collapse_band(rows, listed(rows))
    assert mine["step"].tolist() == list(range(6))
    assert mine["estimate"].to_numpy() == pytest.approx(collapse_table(rows, listed(rows)).mean().to_numpy())
    assert ((mine["low"] <= mine["estimate"]) & (mine["estimate"] <= mine["high"])).all()


def test_a_problem_that_ends_early_keeps_its_last_share():
    long, short = binary_tokens(1, 4, 6), binary_tokens(1, 4, 2, seed=1).assign(problem_id="q")
    rows = pd.concat([long.astype({"problem_id": str}), short], ignore_index=True)
    alone = [collapse_table(part, listed(part)).iloc[0] for part in (long, short)]
    expected = (alone[0].to_numpy() + alone[1].reindex(range(6)).ffill().to_numpy()) / 2
    assert collapse_band(rows, listed(rows))["estimate"].to_numpy() == pytest.approx(expected)


def test_equal_samples_are_one_in_n_without_width():
    rows = binary_tokens(3, 4, 5, same=True)
    mine = collapse_band(rows, listed(rows))
    assert mine[["estimate", "low", "high"]].to_numpy() == pytest.approx(np.full((5, 3), 0.25))
