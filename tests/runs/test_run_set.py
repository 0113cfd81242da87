"""Which runs may be paired problem by problem."""

from __future__ import annotations

import pytest
from pooled_runs import written

from flexeval.cli.main import main
from flexeval.errors import InputError
from flexeval.report import render
from flexeval.runs.store import RunSet, alike, changed_problem, on_same_problems


def test_equal_ids_of_other_data_are_not_paired(tmp_path):
    ar, same, other = (
        written(tmp_path / f"{i}", order, target=target)
        for i, (order, target) in enumerate([("ar", "1"), ("confidence", "1"), ("random", "2")])
    )
    assert changed_problem((ar, same)) is None and changed_problem((ar, same, other)) == "p0"
    assert [run.config.order for run in alike(ar, same)] == ["ar", "confidence"]
    pairs = (lambda: alike(ar, other), lambda: on_same_problems((same, other)), lambda: render(RunSet((ar, other))))
    for pair in pairs:
        with pytest.raises(InputError, match="'p0' is not the same problem in all runs: the data changed"):
            pair()


def test_entropies_of_other_data_have_no_difference(tmp_path, capsys):
    for order, target in (("ar", "1"), ("confidence", "2")):
        written(tmp_path / order, order, target=target)
    assert main(["entropy", str(tmp_path), "--min-count", "1"]) == 0
    assert "The runs are not on the same problems, so differences are left out" in capsys.readouterr().out


def test_orders_are_found_by_any_of_their_names(tmp_path):
    runs = RunSet(tuple(written(tmp_path / order, order) for order in ("confidence", "wino:tau_back=0")))
    for name in ("confidence", "low_confidence", "arbitrary"):
        assert list(runs.where(order=name)) == [runs[0]]
    for spec in ("wino:tau_back=0", "wino:tau_back=0.0"):
        assert list(runs.where(order=spec)) == [runs[1]]
    # Runs may be of an order whose package is not here.
    assert not len(runs.where(order="ar")) and not len(runs.where(order="elsewhere"))
    assert list(runs.where(order=["arbitrary", "wino:tau_back=0"], temperature=(0.6, 1))) == list(runs)
    assert not len(runs.where(order=["arbitrary"], temperature=[1])) and not len(runs.where(order=[]))
