"""`analyses/revision.py`: its tables say what the runs hold."""

from __future__ import annotations

import dataclasses
import re
import runpy
from pathlib import Path

import pytest
from oracles import RandomOracle
from runs_fakes import CONFIG, make

from flexeval.errors import InputError
from flexeval.runs.store import RunSet
from flexeval.sampling import Sampler

report = runpy.run_path(str(Path(__file__).resolve().parents[2] / "analyses" / "revision.py"))["report"]
EDIT = "edit:tau=0.4,tau_edit=0.3"
HALF = 0.05 + 1e-9
"""Of the last digit of a percentage, and what floats add."""
ORDERS = ("ar", "confidence", EDIT, "edit:tau=0.4,tau_edit=1")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("revision")
    sampling = dataclasses.replace(CONFIG.sampling, temperature=1.0)
    configs = [dataclasses.replace(CONFIG, order=order, num_samples=4, sampling=sampling) for order in ORDERS]
    spoken = RandomOracle(words=5, sharpness=1.5, eos_bonus=-1.0)
    return RunSet(
        tuple(make(config, folder / str(i), predictor=spoken, make_sampler=Sampler) for i, config in enumerate(configs))
    )


def tables(text):
    """title -> rows of cells by their first cell, for each table of Markdown."""
    found = {}
    for title, body in re.findall(r"\n([^\n|]+):\n+((?:\|.*\n)+)", text):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()]
        found[title.split(",")[0].split(";")[0].split(" (")[0]] = rows[:1] + rows[2:]
    return found


def test_the_tables_say_what_the_runs_hold(runs):
    found = tables("\n".join(report(runs)) + "\n")
    by_order = {run.config.order: run for run in runs}
    edit = next(order for order in by_order if order.startswith("edit") and "tau_edit=1" not in order)

    solved = {row[0].strip("`"): row for row in found["Pass@k"][1:]}
    for order, run in by_order.items():
        assert float(solved[order][1]) == pytest.approx(100 * run.samples["correct"].mean(), abs=HALF)
        assert float(solved[order][-1]) == pytest.approx(run.samples["nfe"].mean(), abs=HALF)

    # The order that revises is compared with its own rule first, then with the others.
    compared = [[cell.strip("`") for cell in row[:2]] for row in found["Differences at k = 1 and at k = 4"][1:]]
    other = next(order for order in by_order if "tau_edit=1" in order)
    assert compared == [[edit, other], [edit, "ar"], [edit, "confidence"]]

    ((name, a_sample, positions, commits, back, masked, capped),) = found["What was taken back"][1:]
    revisions, tokens = by_order[edit].revisions(), by_order[edit].tokens()
    assert name.strip("`") == edit and len(revisions)
    assert float(a_sample) == pytest.approx(len(revisions) / len(by_order[edit].samples), abs=HALF / 10)
    standing = int((tokens["commit_step"] >= 0).sum())
    assert float(commits) == pytest.approx(100 * len(revisions) / (standing + len(revisions)), abs=HALF)
    assert 0 < float(positions) <= 100 and 0 <= float(back) <= 100
    # Editing rewrites, and never caps.
    assert float(capped) == 0
    assert float(masked) == pytest.approx(100 * (revisions["new_token"] < 0).mean(), abs=HALF)

    entropies = {row[0].strip("`"): row[1:] for row in found["Entropy at commit"][1:]}
    assert [bool(cell) for cell in entropies["ar"]] == [True, False, True, False]
    assert all(entropies[edit])


def test_it_needs_a_rule_with_and_without_taking_back(runs):
    with pytest.raises(InputError, match="wino:tau_back=0"):
        list(report(RunSet(tuple(run for run in runs if "tau_edit=1" not in run.config.order))))
