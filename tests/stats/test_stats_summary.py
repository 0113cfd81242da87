"""The rows that the command line prints."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest

from flexeval.errors import InputError
from flexeval.records import SamplingEffort
from flexeval.stats.bootstrap import Bootstrap
from flexeval.stats.curves import comparison, pass_at_k_differences
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.summary import difference_frame, endings_frame, summarize, summary_frame


def counts(c, n=4):
    return pd.DataFrame({"problem_id": [f"p{i}" for i in range(len(c))], "n": n, "c": c})


def samples(nfe, length):
    return pd.DataFrame({"problem_id": [f"p{i}" for i in range(len(nfe))], "nfe": nfe, "length": length})


def test_a_row_states_percent_and_totals():
    effort = SamplingEffort(samples=8, seconds=2.0, evaluations=100, distinct=25)
    summary = summarize(
        "ar", counts([0, 4], [4, 8]), samples([10, 20], [5, 19]), effort, ks=[1, 4], bootstrap=Bootstrap(replicates=100)
    )
    rows = summary_frame([summary])
    assert rows["k"].tolist() == [1, 4] and set(rows["num_samples"]) == {4}, "of the problem that has the fewest"
    assert rows["pass_percent"].tolist() == pytest.approx([25, 100 * (1 - 1 / 70) / 2])
    assert (rows["low_percent"] <= rows["pass_percent"]).all() and (rows["high_percent"] >= rows["pass_percent"]).all()
    assert rows[["nfe", "saved_percent", "samples_per_second"]].to_numpy().tolist() == [[15, 75, 4]] * 2
    assert rows["tokens_per_forward"].tolist() == pytest.approx([24 / 30] * 2)


def test_nothing_sampled_has_no_speed():
    summary = summarize(
        "ar", counts([1]), samples([3], [3]), SamplingEffort(), ks=[1], bootstrap=Bootstrap(replicates=10)
    )
    assert summary.saved is None and summary.samples_per_second is None


def test_endings_are_shares_of_samples():
    endings = pd.DataFrame(
        {
            "problem_id": ["a", "a", "b", "b"],
            "answer_started": [True, False, False, True],
            "budget_exhausted": [True, True, False, True],
        }
    )
    rows = endings_frame("ar", endings, bootstrap=Bootstrap(replicates=100))
    assert rows[["ending", "percent"]].to_numpy().tolist() == [
        ["answer started", 50], ["budget exhausted", 75], ["exhausted before an answer", 25],
    ]  # fmt: skip
    assert (rows["low_percent"] <= rows["percent"]).all() and (rows["high_percent"] >= rows["percent"]).all()


def test_of_unknown_lengths_only_the_answers_are_told():
    endings = pd.DataFrame({"problem_id": ["a", "b"], "answer_started": [True, False]})
    rows = endings_frame("ar", endings, bootstrap=Bootstrap(replicates=100))
    assert rows[["ending", "percent"]].to_numpy().tolist() == [["answer started", 50]]


def test_difference_rows_are_points_with_a_verdict():
    tables = [pass_at_k_table(counts(c), [1, 4]) for c in ([4] * 9, [1] * 9)]
    rows = difference_frame("ar", "confidence", comparison(*tables, largest=1.0))
    assert rows["difference_points"].tolist() == pytest.approx([75, 0])
    assert rows["verdict"].tolist() == ["above", "unresolved"]
    assert rows["p_value"].tolist() == pytest.approx([2 * 0.5**9, 1])
    assert (rows["band_low_points"] <= rows["low_points"]).all()


def test_too_few_samples_for_a_k_is_an_error():
    with pytest.raises(InputError, match="pass@8 needs 8 samples"):
        pass_at_k_differences(counts([1]), counts([1], n=8), ks=[8])


def test_statistics_do_not_import_torch():
    code = (
        "import importlib, pkgutil, sys, flexeval.stats\n"
        "for module in pkgutil.iter_modules(flexeval.stats.__path__):\n"
        "    importlib.import_module(f'flexeval.stats.{module.name}')\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
