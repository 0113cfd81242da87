"""Claims about orders that take tokens back, on runs whose truth is planted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from planted import run_of, solved

from flexeval.claims import CLAIMS
from flexeval.orders import get_order
from flexeval.runs.store import RunSet


def examined(name, *runs):
    (finding,) = CLAIMS.get(name)().examine(RunSet(tuple(runs)))
    return finding


def drawn(chance, *, problems=100, samples=16, seed=0):
    return np.random.default_rng(seed).random((problems, samples)) < chance


def answering(run, distinct):
    """The run, with so many distinct answers to each problem."""
    answers = run.samples["sample_index"] % distinct
    return dataclasses.replace(run, samples=run.samples.assign(extracted=answers.astype(str), text="x y"))


def costing(run, nfe):
    return dataclasses.replace(run, samples=run.samples.assign(nfe=nfe))


@pytest.mark.parametrize(
    ("spec", "committing"),
    [
        ("wino:tau=0.5", "wino:tau=0.5,tau_back=0"),
        ("remdm:eta=0.1", "remdm:eta=0"),
        ("remdm:rule=conf", "remdm:eta=0"),
        ("edit:tau=0.5,tau_edit=0.4", "edit:tau=0.5,tau_edit=1"),
        ("t2m:rule=t2t", "t2m:rule=t2t,remasks=0"),
    ],
)
def test_the_rule_with_nothing_taken_back_is_the_rule_in_all_else(spec, committing):
    order = get_order(spec)
    assert order.committing == get_order(committing)
    assert order.committing.committing == order.committing
    assert order.committing.most_steps(8) <= order.most_steps(8)


def test_orders_that_commit_for_good_have_no_other():
    for spec in ("ar", "confidence", "klass", "tct", "remdm:rule=loop"):
        assert get_order(spec).committing is None


@pytest.mark.parametrize(
    ("claim", "revising", "committing"),
    [
        ("wino-raises-accuracy", "wino:tau=0.5", "wino:tau=0.5,tau_back=0"),
        ("remdm-raises-accuracy", "remdm", "remdm:eta=0"),
        ("editing-raises-accuracy", "edit", "edit:tau_edit=1"),
        ("masking-beats-rewriting", "t2m", "edit:tau=0.5"),
    ],
)
@pytest.mark.parametrize(("chance", "expected"), [(0.7, "holds"), (0.5, "unresolved"), (0.3, "does not hold")])
def test_accuracy_with_and_without_taking_back(claim, revising, committing, chance, expected):
    runs = run_of(drawn(0.5, seed=1), committing), run_of(drawn(chance), revising)
    finding = examined(claim, *runs, run_of(drawn(0.9), "wino:tau=0.9"), run_of(drawn(0.1), "confidence"))
    assert finding.verdict == expected
    assert finding.estimate == pytest.approx(runs[1].samples["correct"].mean() - runs[0].samples["correct"].mean())


def test_a_rule_is_compared_with_its_own_settings_only():
    finding = examined(
        "wino-raises-accuracy", run_of(drawn(0.5), "wino:tau=0.5"), run_of(drawn(0.1), "wino:tau_back=0")
    )
    assert finding.verdict == "not measured" and "wino:tau=0.5,tau_back=0" in finding.measured
    # A rule that has no other is passed over for one that has.
    loop, conf, off = (run_of(drawn(chance), f"remdm:{rest}")
                       for chance, rest in ((0.1, "rule=loop"), (0.9, "rule=conf"), (0.5, "eta=0")))  # fmt: skip
    assert examined("remdm-raises-accuracy", loop, conf, off).verdict == "holds"
    assert "remdm:rule=loop" in examined("remdm-raises-accuracy", loop, off).measured
    # One that takes nothing back is no run of the order.
    assert examined("remdm-raises-accuracy", off).measured.startswith("no run of this order")


@pytest.mark.parametrize(("distinct", "expected"), [(4, "holds"), (8, "unresolved"), (12, "does not hold")])
def test_distinct_answers(distinct, expected):
    runs = [run_of(solved(range(50)), order) for order in ("wino", "wino:tau_back=0")]
    finding = examined("wino-narrows-answers", answering(runs[0], distinct), answering(runs[1], 8))
    assert finding.verdict == expected
    assert finding.estimate == pytest.approx((distinct - 8) / 16)


@pytest.mark.parametrize(("count", "expected"), [(80, "holds"), (60, "does not hold")])
def test_the_gap_is_closed(count, expected):
    runs = run_of(solved(range(80)), "ar"), run_of(solved(range(count)), "tlc")
    assert examined("position-temperature-closes-the-gap", *runs).verdict == expected


@pytest.mark.parametrize(("nfe", "expected"), [(8, "holds"), (32, "unresolved"), (64, "does not hold")])
def test_equal_cost_counts_evaluations(nfe, expected):
    """One sample of each order is as good as that of another; what differs is how many a budget pays for."""
    costs = {"ar": 32, "confidence": 32, "tct": nfe}
    ar, confidence, tct = (
        costing(run_of(drawn(0.1, seed=seed), order), cost) for seed, (order, cost) in enumerate(costs.items())
    )
    finding = examined("position-temperature-at-equal-cost", ar, confidence, tct)
    assert finding.verdict == expected
    assert f"within {min(32, nfe) * 16} evaluations" in finding.measured


def test_at_equal_cost_both_orders_are_to_be_exceeded():
    ar, confidence, tct = (
        costing(run_of(drawn(chance, seed=seed), order), 32)
        for seed, (order, chance) in enumerate({"ar": 0.02, "confidence": 0.1, "tct": 0.1}.items())
    )
    finding = examined("position-temperature-at-equal-cost", ar, confidence, tct)
    assert finding.low > 0 and finding.verdict == "unresolved"
