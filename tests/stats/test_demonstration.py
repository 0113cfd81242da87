"""`analyses/demonstration.py`: what it computes, by hand."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flexeval.errors import InputError
from flexeval.runs.store import RunSet

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[2] / "analyses" / "demonstration.py"))
against_shuffles, explained, first_choices = (
    SCRIPT[name] for name in ("against_shuffles", "explained", "first_choices")
)
report, results_and_operands = SCRIPT["report"], SCRIPT["results_and_operands"]


def test_labels_that_decide_explain_everything():
    """Within each problem; that one problem is easier than another counts for nothing."""
    problem = pd.Series(["a"] * 4 + ["b"] * 4)
    solved = pd.Series([1, 1, 0, 0, 0, 1, 0, 1])
    assert explained(pd.Series(list("xxyyxyxy")), solved, problem) == pytest.approx(1)
    assert explained(pd.Series(list("xxxxxxxx")), solved, problem) == pytest.approx(0)
    assert np.isnan(explained(pd.Series(list("xyxyxyxy")), pd.Series([1] * 4 + [0] * 4), problem))


def test_a_share_by_hand():
    """Of one problem: label x has 1 of 2 right, y 1 of 1 and z 0 of 1; 0.5 of the total of 1 lies between them."""
    share = explained(pd.Series(list("xxyz")), pd.Series([1, 0, 1, 0]), pd.Series(["a"] * 4))
    assert share == pytest.approx(0.5)


def test_random_labels_explain_as_much_as_shuffled_ones():
    rng = np.random.default_rng(1)
    problem = pd.Series(np.repeat(np.arange(50), 40))
    labels = pd.Series(rng.choice(list("uvw"), size=len(problem)))
    found, mean, highest = against_shuffles(labels, pd.Series(rng.random(len(problem)) < 0.4), problem)
    # Two of 39 degrees of freedom lie between three labels.
    assert found == pytest.approx(2 / 39, abs=0.02)
    assert mean == pytest.approx(2 / 39, abs=0.01)
    assert mean <= highest < 0.1


def test_the_lead_is_part_of_the_choice_and_its_number_is_not_the_word():
    texts = pd.Series(["We pass 29. Notice that 6 * 5 = 30. But that", "Notice that 6 * 5 = 30.", None])
    found = first_choices(texts)
    assert found["word"].tolist() == ["TrueNotice", "FalseNotice", "False"]
    assert found["sentence"].tolist() == ["We pass 29. Notice that 6 * 5 = 30", "Notice that 6 * 5 = 30", ""]


def test_a_result_before_an_operand():
    """One equation in order, one whose result comes before its second operand, one whose first operand comes last."""
    pieces = [
        "First",
        " 2",
        " +",
        " 3",
        " =",
        " 5",
        ".",
        " So",
        " 5",
        " *",
        " 2",
        " =",
        " 11",
        " 7",
        " -",
        " 1",
        " =",
        " 6",
    ]
    steps = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 10, 20, 16, 17, 18, 19]
    rows = pd.DataFrame({"piece": pieces, "position": range(len(pieces)), "commit_step": steps})
    found = results_and_operands(rows)
    assert found["early"].tolist() == [False, True, True]
    assert found["true"].tolist() == [True, False, True]


def test_equations_do_not_reach_over_two_samples():
    rows = pd.DataFrame({"piece": [" 2", " +", " 3", " =", " 5"], "position": [6, 7, 8, 0, 1], "commit_step": range(5)})
    assert results_and_operands(rows).empty


def test_nothing_is_made_of_no_runs():
    with pytest.raises(InputError, match="needs runs"):
        list(report(RunSet(())))


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("demonstration", ["nowhere"], "no run in 'nowhere'"),
        ("demonstration", ["nowhere", "-o", "nowhere/table.md"], "no folder 'nowhere'"),
        ("revision", ["nowhere", "-o", "nowhere/table.md"], "no folder 'nowhere'"),
        ("stats_speed_tokens", ["nowhere"], "no run in nowhere"),
        ("grader_agreement", ["--data-dir", "nowhere"], "no data folder 'nowhere'"),
        ("sandbox_report", ["--data-dir", "nowhere"], "no data folder 'nowhere'"),
    ],
)
def test_bad_arguments_are_one_line(name, words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, *words])
    main = runpy.run_path(str(Path(__file__).resolve().parents[2] / "analyses" / f"{name}.py"))["main"]
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
