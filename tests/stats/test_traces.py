"""Confidence traces and block-wise entropy by hand, and by what must hold of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from token_rows import text_rows

from flexeval.errors import InputError
from flexeval.stats.bootstrap import Bootstrap
from flexeval.stats.traces import block_entropy, trace_table, traces_by_verdict

FEW = Bootstrap(replicates=200)


def decoded(entropies, prob=0.5, in_text=True, block=2):
    """Token rows of one sample a problem: (problem, entropies of its positions)."""
    frame = text_rows([(problem, 0, ["x"] * len(own)) for problem, own in entropies.items()])
    values = [value for own in entropies.values() for value in own]
    return frame.assign(entropy=values, prob=prob, in_text=in_text, block=frame["position"] // block)


def samples(**correct):
    return pd.DataFrame({"problem_id": list(correct), "sample_index": 0, "correct": list(map(bool, correct.values()))})


def test_mean_and_variance_of_log_confidence_by_hand():
    frame = decoded({"p": [0, 0, 0, 0]}, prob=[0.5, 0.25, 1.0, 0.5], in_text=[True, True, True, False])
    (row,) = trace_table(frame, samples(p=1)).to_dict("records")
    logs = np.log([0.5, 0.25, 1.0])
    assert row["log_prob"] == pytest.approx(logs.mean())
    assert row["log_prob_variance"] == pytest.approx((logs**2).mean() - logs.mean() ** 2)


def test_an_even_spread_has_no_variance_and_any_other_of_the_same_likelihood_has_some():
    even, uneven = decoded({"p": [0] * 2}, prob=[0.3, 0.3]), decoded({"p": [0] * 2}, prob=[0.1, 0.9])
    found = [trace_table(frame, samples(p=1))["log_prob_variance"].item() for frame in (even, uneven)]
    assert found == pytest.approx([0, (np.log(9) / 2) ** 2])


@pytest.mark.parametrize(
    ("entropies", "descends", "correlation"),
    [
        ([4, 2, 2, 2, 1, 0], 1, -1),  # means 3, 2, 0.5
        ([1, 1, 3, 3, 2, 2], 0, 0.5),
        ([1, 1, 2, 2, 3], 0, 1),
        ([2, 2, 2, 2], 1, np.nan),
        ([2, 1], np.nan, np.nan),
    ],
)
def test_descent_of_block_means(entropies, descends, correlation):
    (row,) = trace_table(decoded({"p": entropies}), samples(p=1)).to_dict("records")
    assert row["entropy_descends"] == pytest.approx(descends, nan_ok=True)
    assert row["entropy_correlation"] == pytest.approx(correlation, nan_ok=True)


def test_the_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    # Some texts are of one block, and the next one begins in the same.
    means = {f"p{i}": rng.integers(0, 4, size=rng.integers(1, 9)).tolist() for i in range(30)}
    table = trace_table(decoded(means, block=1), samples(**dict.fromkeys(means, 1)))
    for own, found in zip(means.values(), table["entropy_correlation"], strict=True):
        if np.ptp(own):
            assert found == pytest.approx(spearmanr(range(len(own)), own).statistic)


def test_blocks_of_the_same_entropies_are_equal_in_whatever_order_they_are_added():
    """0.3 + 0.2 + 0.1 and 0.1 + 0.2 + 0.3 differ by rounding, which is no rise."""
    (row,) = trace_table(decoded({"p": [0.3, 0.2, 0.1, 0.1, 0.2, 0.3]}, block=3), samples(p=1)).to_dict("records")
    assert row["entropy_descends"] == 1 and np.isnan(row["entropy_correlation"])


def test_the_gap_is_the_difference_of_the_two_means():
    frame = decoded({"p": [3, 3, 1, 1], "q": [1, 1, 3, 3], "r": [2, 2, 1, 1], "s": []})
    table = trace_table(frame, samples(p=1, q=0, r=0, s=1))
    assert table["problem_id"].tolist() == ["p", "q", "r", "s"] and np.isnan(table["log_prob"].iloc[3])
    found = traces_by_verdict(table, bootstrap=FEW)
    descends = found[found["quantity"] == "entropy_descends"].set_index("verdict")
    assert descends["estimate"].to_dict() == {"correct": 1, "incorrect": 0.5, "correct − incorrect": 0.5}
    assert descends["count"].tolist() == [1, 2, 3]
    # Two shares differ by 1 at most, and two correlations by 2.
    gaps = found[found["verdict"] == "correct − incorrect"].set_index("quantity")
    for quantity, most in (("entropy_descends", 1), ("entropy_correlation", 2)):
        assert -most <= gaps.loc[quantity, "low"] <= gaps.loc[quantity, "high"] <= most
    opposite = trace_table(decoded({"p": [3, 3, 1, 1], "q": [1, 1, 3, 3]}), samples(p=1, q=0))
    found = traces_by_verdict(opposite, bootstrap=FEW).set_index(["quantity", "verdict"])
    assert found.loc[("entropy_correlation", "correct − incorrect"), ["estimate", "low"]].tolist() == [-2, -2]


def test_without_incorrect_samples_their_side_is_unknown():
    found = traces_by_verdict(trace_table(decoded({"p": [1, 2]}), samples(p=1)), bootstrap=FEW)
    assert found.loc[found["verdict"] != "correct", "estimate"].isna().all()
    with pytest.raises(InputError, match="no sample"):
        traces_by_verdict(trace_table(decoded({"p": [1]}), samples()[:0]), bootstrap=FEW)


def test_entropy_of_blocks_is_the_mean_of_their_tokens():
    frame = decoded({"p": [3, 1, 1], "q": [1, 0, 7], "r": [5]})
    table = block_entropy(frame, samples(p=1, q=1, r=0), bootstrap=FEW)
    assert table[["verdict", "block", "estimate", "count", "problems"]].to_numpy().tolist() == [
        ["correct", 0, 5 / 4, 4, 2],
        ["correct", 1, 4, 2, 2],
        ["incorrect", 0, 5, 1, 1],
    ]
