"""Claims about training: runs of a model and of what it became, with a planted truth, get the planted verdict."""

from __future__ import annotations

import dataclasses

import pytest
from planted import run_of, solved

from flexeval.claims import CLAIMS
from flexeval.claims.selection import groups
from flexeval.claims.training import TrainingClaim
from flexeval.models.lineage import Lineage
from flexeval.runs.store import RunSet

TRAINING = [name for name in CLAIMS if issubclass(CLAIMS.get(name), TrainingClaim)]
LAST = Lineage(
    base="tiny", training="ar", rollout_order="ar", fast=False, step=30, samples=1920, seconds=600.0, basis="b", seed=0
)


def after(correct_PS, order="ar", *, pace=None, block=32, **lineage):
    """A run of a checkpoint: of the last one in AR order, unless the lineage says otherwise."""
    of_model = dataclasses.replace(LAST, **lineage)
    folder = f"checkpoints/{of_model.label}"
    return run_of(correct_PS, order, lineage=of_model, pace=pace, block=block, model=folder)


def examined(name, *runs):
    (finding,) = CLAIMS.get(name)().examine(RunSet(tuple(runs)))
    return finding


@pytest.mark.parametrize(
    ("count", "expected"), [(70, "holds"), (20, "does not hold"), (52, "unresolved"), (50, "unresolved")]
)
def test_accuracy_before_and_after(count, expected):
    finding = examined("grpo-raises-accuracy", run_of(solved(range(50))), after(solved(range(count))))
    assert finding.verdict == expected
    assert finding.estimate == pytest.approx((count - 50) / 100)
    assert (finding.model, finding.task) == ("tiny", "word-problems")


def test_the_last_checkpoint_of_exact_training_in_ar_order_counts():
    """By rollouts, not by name: step 9 comes before step 30."""
    runs = [
        run_of(solved(range(50))),
        after(solved(range(60)), step=9, samples=576),
        after(solved(range(80))),
        after(solved(range(0)), training="fast", fast=True, samples=4480),
        after(solved(range(0)), training="random", rollout_order="random", samples=2560),
    ]
    for arrangement in (runs, runs[::-1]):
        finding = examined("grpo-raises-accuracy", *arrangement)
        assert finding.estimate == pytest.approx(0.3)
        assert "tiny+ar@30 minus tiny" in finding.measured


def test_arbitrary_order_is_told_beside_it():
    runs = [run_of(solved(range(50))), after(solved(range(80)))]
    alone = examined("grpo-raises-accuracy", *runs)
    arbitrary = [run_of(solved(range(40)), "confidence"), after(solved(range(60)), "confidence")]
    beside = examined("grpo-raises-accuracy", *runs, *arbitrary)
    assert "under confidence +20.0 points" in beside.measured
    assert (beside.estimate, beside.low, beside.high) == (alone.estimate, alone.low, alone.high)


@pytest.mark.parametrize(("count", "expected"), [(60, "holds"), (10, "does not hold"), (31, "unresolved")])
def test_the_gain_is_taken_where_most_tokens_are_committed_a_step(count, expected):
    """At 2 tokens a step the truth is the opposite of what it is at 4."""
    runs = [
        run_of(solved(range(30)), "parallel-4", pace=4),
        run_of(solved(range(50)), "eb:gamma=0.5", pace=2),
        run_of(solved(range(0)), "parallel-8", pace=8),  # not of the trained model
        after(solved(range(80 - count)), "eb:gamma=0.5", pace=8),
        after(solved(range(count)), "parallel-4", pace=4),
        run_of(solved(range(90)), "threshold:tau=0.5", block=8, pace=16),
        after(solved(range(10)), "threshold:tau=0.5", block=8, pace=16),  # another block
    ]
    finding = examined("gain-survives-parallel-decoding", *runs)
    assert finding.verdict == expected
    assert finding.estimate == pytest.approx((count - 30) / 100)
    assert "at 4.0 tokens a step (parallel-4)" in finding.measured
    assert f"{30 - count:+.1f} at 2.0 (eb:gamma=0.5)" in finding.measured


@pytest.mark.parametrize(
    ("before", "count", "expected"),
    [
        (60, 60, "holds"),
        (60, 40, "holds"),
        (60, 90, "does not hold"),
        (60, 62, "unresolved"),
        (98, 98, "unresolved"),  # nothing is left to gain
    ],
)
def test_the_ceiling(before, count, expected):
    runs = [run_of(solved(range(n), problems=150)) for n in (before * 3 // 2, count * 3 // 2)]
    trained = dataclasses.replace(runs[1], record={"lineage": LAST.as_dict()})
    assert examined("ceiling-does-not-rise", runs[0], trained).verdict == expected


def test_the_ceiling_is_not_the_floor():
    """More at one try and no more at many: the first claim and the last hold together."""
    before = solved(range(60), problems=150)
    before[:60, 4:] = False
    runs = run_of(before), after(solved(range(60), problems=150))
    assert examined("grpo-raises-accuracy", *runs).verdict == "holds"
    assert examined("ceiling-does-not-rise", *runs).verdict == "holds"


@pytest.mark.parametrize(("random", "expected"), [(40, "holds"), (90, "does not hold"), (69, "unresolved")])
def test_rollout_orders_are_compared_at_equal_rollouts(random, expected):
    runs = [
        run_of(solved(range(50))),
        after(solved(range(100)), step=40, samples=2560),  # random training did not go so far
        after(solved(range(70))),
        after(solved(range(65)), step=10, samples=640),
        after(solved(range(random)), training="random", rollout_order="random"),
        after(solved(range(99)), training="random", rollout_order="random", step=10, samples=640),
        after(solved(range(60)), training="top_prob", rollout_order="top_prob"),
    ]
    finding = examined("ar-rollouts-train-better", *runs)
    assert finding.verdict == expected
    assert finding.estimate == pytest.approx((70 - random) / 100)
    assert "after 1920 rollouts" in finding.measured
    assert "minus tiny+top_prob@30 (top_prob rollouts) +10.0 points" in finding.measured


def test_unequal_budgets_are_not_compared():
    runs = [run_of(solved(range(50))), after(solved(range(70)))]
    random = after(solved(range(60)), rollout_order="random", samples=1919)
    finding = examined("ar-rollouts-train-better", *runs, random)
    assert finding.verdict == "not measured"
    assert "equally many rollouts" in finding.measured


@pytest.mark.parametrize(("fast", "expected"), [(90, "holds"), (50, "does not hold"), (71, "unresolved")])
def test_fast_training_at_the_nearest_time(fast, expected):
    runs = [
        run_of(solved(range(30))),
        after(solved(range(70))),
        after(solved(range(0)), training="fast", fast=True, step=30, samples=1920, seconds=300.0),
        after(solved(range(fast)), training="fast", fast=True, step=70, samples=4480, seconds=640.0),
        after(solved(range(100)), training="fast", fast=True, step=90, samples=5760, seconds=820.0),
    ]
    finding = examined("fast-at-equal-time", *runs)
    assert finding.verdict == expected
    assert finding.estimate == pytest.approx((fast - 70) / 100)
    assert "tiny+fast@70 (4480 rollouts in 640 s) minus tiny+ar@30 (1920 rollouts in 600 s)" in finding.measured


@pytest.mark.parametrize(("seconds", "measured"), [(450.0, True), (449.0, False), (750.0, True), (751.0, False)])
def test_times_that_differ_by_a_quarter_are_not_equal(seconds, measured):
    fast = after(solved(range(90)), training="fast", fast=True, seconds=seconds)
    finding = examined("fast-at-equal-time", run_of(solved(range(30))), after(solved(range(70))), fast)
    assert (finding.verdict != "not measured") == measured
    if not measured:
        assert f"took {seconds:.0f} s" in finding.measured


# ----- which runs are taken -----


def test_each_training_is_examined_by_itself():
    """Two seeds and two rewards: no training is taken for another, whatever the order of the runs."""
    solved_after = {"sound-0": 60, "sound-1": 70, "answer-0": 80}
    trained = [
        after(solved(range(number)), training=name, recipe=name.partition("-")[0], seed=int(name[-1]))
        for name, number in solved_after.items()
    ]
    runs = [run_of(solved(range(50))), *trained]
    for arrangement in (runs, runs[::-1]):
        findings = CLAIMS.get("grpo-raises-accuracy")().examine(RunSet(tuple(arrangement)))
        found = {finding.training: finding.estimate for finding in findings}
        assert found == {name: pytest.approx((number - 50) / 100) for name, number in solved_after.items()}
        for finding in findings:
            assert f"tiny+{finding.training}@30 minus tiny" in finding.measured


def test_trainings_in_other_orders_are_compared_with_equal_settings_and_seeds():
    def random(number, **lineage):
        return after(solved(range(number)), training=f"random-{number}", rollout_order="random", **lineage)

    runs = [
        run_of(solved(range(50))),
        *(after(solved(range(80)), training=f"ar-{seed}", basis="one", seed=seed) for seed in (0, 1, 2)),
        after(solved(range(80)), training="lonely", basis="two", seed=0),
        random(40, basis="one", seed=0),
        random(30, basis="one", seed=1),
        random(20, basis="three", seed=0),
    ]
    for arrangement in (runs, runs[::-1]):
        findings = CLAIMS.get("ar-rollouts-train-better")().examine(RunSet(tuple(arrangement)))
        measured = {finding.training: finding for finding in findings if finding.estimate is not None}
        # No random training has the third seed, and the last one has other settings; that is told once.
        gaps = {name: finding.estimate for name, finding in measured.items()}
        assert gaps == {"ar-0": pytest.approx(0.4), "ar-1": pytest.approx(0.5)}
        assert "tiny+ar-1@30 (ar rollouts) minus tiny+random-30@30 (random rollouts)" in measured["ar-1"].measured
        (lacking,) = [finding for finding in findings if finding.estimate is None]
        assert "in order random" in lacking.measured


def test_a_training_whose_run_is_not_finished_is_not_left_out_in_silence():
    whole = run_of(solved(range(50)))
    unfinished = after(solved(range(80)), training="b", seed=1)
    unfinished = dataclasses.replace(unfinished, samples=unfinished.samples.iloc[:-3])
    findings = CLAIMS.get("grpo-raises-accuracy")().examine(
        RunSet((whole, after(solved(range(60)), training="a", seed=0), unfinished))
    )
    assert {finding.training: finding.verdict != "not measured" for finding in findings} == {"a": True, "b": False}


def test_trained_models_are_no_models_of_their_own_beside_their_base():
    base = [run_of(solved(range(80))), run_of(solved(range(50)), "confidence")]
    trained = [after(solved(range(90)), order) for order in ("ar", "confidence")]

    def by_themselves(*runs):
        """Without the correction for the other claims, of which there are more beside checkpoints."""
        found = [CLAIMS.get(name)().examine(RunSet(runs)) for name in CLAIMS if name not in TRAINING]
        return [finding for findings in found for finding in findings]

    of_base, of_all = by_themselves(*base), by_themselves(*base, *trained)
    assert of_all == of_base


def test_trained_models_alone_are_examined_like_any_model():
    trained = [after(solved(range(90)), "ar"), after(solved(range(50)), "confidence")]
    finding = examined("ar-better-at-largest-k", *trained)
    assert (finding.model, finding.verdict) == ("tiny+ar@30", "holds")


def test_runs_at_another_canvas_or_of_another_task_belong_to_nobody():
    of_canvas = run_of(solved(range(90)), lineage=LAST, gen_length=16, block=16)
    of_task = run_of(solved(range(90)), lineage=LAST, task="sudoku4")
    of_base = dataclasses.replace(LAST, base="other")
    for trained in (of_canvas, of_task, run_of(solved(range(90)), lineage=of_base)):
        group, *_ = groups(RunSet((run_of(solved(range(50))), trained)))
        assert not group.trained


@pytest.mark.parametrize("name", TRAINING)
def test_without_training_one_line_says_what_to_run(name):
    runs = [run_of(solved(range(50)), task=task) for task in ("word-problems", "sudoku4", "gsm8k")]
    finding = examined(name, *runs)
    assert finding.verdict == "not measured"
    assert "flexeval reproduce --preset forks-grpo" in finding.measured


def test_what_is_missing_of_a_training_is_said():
    runs = [run_of(solved(range(50))), after(solved(range(70)))]
    by_claim = {name: examined(name, *runs).measured for name in TRAINING}
    assert "parallel-4 or eb:gamma=0.5" in by_claim["gain-survives-parallel-decoding"]
    assert by_claim["ar-rollouts-train-better"] == "needs runs of a model trained with rollouts in order random"
    assert by_claim["fast-at-equal-time"] == "needs runs of a model trained with rollouts in order ar and fast"
