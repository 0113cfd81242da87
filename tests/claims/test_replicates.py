"""Trainings with other seeds are replicates of a claim: one number each, whatever the number of their problems."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from planted import run_of, solved
from scipy import stats

from flexeval.claims import CLAIMS, examine
from flexeval.claims.built_in import built_in
from flexeval.claims.replicates import are_replicated, replicate, replicates_frame
from flexeval.claims.training import TrainingClaim
from flexeval.errors import InputError
from flexeval.models.lineage import Lineage
from flexeval.runs.store import RunSet

NAME = "ar-better-at-largest-k"
SOLVED = {"seed-0": 60, "seed-1": 40, "seed-2": 79}
"""Model -> problems that confidence order solves; AR order solves 80."""


def runs_of(solved_by_confidence, *, repeat=1):
    made = []
    for model, number in solved_by_confidence.items():
        made += [
            run_of(np.tile(solved(range(80)), (repeat, 1)), "ar", model=model),
            run_of(np.tile(solved(range(number)), (repeat, 1)), "confidence", model=model),
        ]
    return RunSet(tuple(made))


def row_of(runs):
    frame = replicates_frame(replicate(runs))
    return frame[(frame["claim"] == NAME) & (frame["temperature"] == 0.6)].iloc[0]


def test_each_model_is_one_number_of_students_interval():
    row = row_of(runs_of(SOLVED))
    gaps = np.array([0.2, 0.4, 0.01])
    assert row["mean"] == pytest.approx(gaps.mean())
    low, high = stats.t.interval(0.95, 2, loc=gaps.mean(), scale=stats.sem(gaps))
    assert (row["low"], row["high"]) == pytest.approx((low, high))
    assert (row["models"], row["measured"], row["holding"], row["refuted"]) == (3, 3, 2, 0)


def test_replicates_are_compared_on_what_all_of_them_have():
    """Else "the largest k" of one would not be that of another, nor its problems the same."""
    small = runs_of(SOLVED)
    larger = [run_of(np.tile(solved(range(number)), (1, 2)), order, model="seed-0")
              for number, order in ((80, "ar"), (60, "confidence"))]  # fmt: skip
    other = [run for run in small if run.model != "seed-0"]
    mixed, alone = row_of(RunSet((*larger, *other))), row_of(small)
    assert mixed["seed-0_measured"] == alone["seed-0_measured"] and mixed["mean"] == alone["mean"]


def test_the_interval_ends_where_the_quantity_does():
    frame = replicates_frame(replicate(runs_of({"a": 80, "b": 79, "c": 20})))
    subset = frame[(frame["claim"] == "nearly-a-subset") & (frame["temperature"] == 0.6)].iloc[0]
    assert subset["mean"] <= subset["high"] <= 1 and subset["low"] >= 0


def test_more_problems_of_the_same_models_do_not_narrow_the_interval():
    once, thrice = row_of(runs_of(SOLVED)), row_of(runs_of(SOLVED, repeat=3))
    assert (once["low"], once["high"]) == pytest.approx((thrice["low"], thrice["high"]))


def test_models_in_folders_are_called_by_the_name_of_the_folder():
    runs = runs_of({"/somewhere/seed-0": 60, "/somewhere/seed-1": 50, "tiny": 40})
    assert row_of(runs)["model"] == "seed-0, seed-1, tiny"
    runs = runs_of({"/first/seed": 60, "/second/seed": 50})
    assert row_of(runs)["model"] == "/first/seed, /second/seed"


def test_each_model_is_corrected_by_itself():
    runs = runs_of(SOLVED)
    row = row_of(runs)
    for model in SOLVED:
        alone = examine(RunSet(tuple(run for run in runs if run.model == model)))
        (finding,) = [each for each in alone if each.claim == NAME]
        assert row[f"{model}_verdict"] == finding.verdict
        assert row[f"{model}_estimate"] == finding.estimate


def test_a_claim_that_one_model_lacks_is_measured_on_the_others():
    runs = runs_of(SOLVED)
    row = row_of(RunSet(tuple(runs)[:-1]))
    assert (row["models"], row["measured"]) == (3, 2)


def test_each_training_is_a_replicate_beside_the_model_before_it():
    def lineage(training):
        return of_seed(training, recipe="one", seed=int(training[-1]))

    before = run_of(solved(range(40)), "ar", model="tiny")
    trained = [
        run_of(solved(range(number)), "ar", model=f"runs/{name}", lineage=lineage(name))
        for name, number in (("seed-0", 70), ("seed-1", 80))
    ]
    frame = replicates_frame(replicate(RunSet((before, *trained))))
    row = frame[(frame["claim"] == "grpo-raises-accuracy") & (frame["temperature"] == 0.6)].iloc[0]
    assert (row["models"], row["measured"]) == (2, 2)
    assert row["mean"] == pytest.approx((0.3 + 0.4) / 2)


def of_seed(training, **more):
    about = {"rollout_order": "ar", "fast": False, "step": 9, "samples": 99, "seconds": 1.0, **more}
    return Lineage(base="tiny", training=training, **about)


def test_only_seeds_are_replicates_and_recipes_are_not():
    trained = {"sound-0": 60, "sound-1": 80, "answer-0": 45, "answer-1": 55, "once-0": 99}
    before = [run_of(solved(range(40)), order, model="tiny") for order in ("ar", "confidence")]
    runs = [
        run_of(
            solved(range(number)),
            "ar",
            model=f"runs/{name}",
            lineage=of_seed(name, recipe=name[:-2], seed=int(name[-1])),
        )
        for name, number in trained.items()
    ]
    frame = replicates_frame(replicate(RunSet((*before, *runs))))
    # What is said of the model before training would be the same for every training.
    assert set(frame["claim"]) <= {name for name in CLAIMS if issubclass(CLAIMS.get(name), TrainingClaim)}
    rows = frame[(frame["claim"] == "grpo-raises-accuracy") & (frame["temperature"] == 0.6)].set_index("model")
    means = {"tiny+sound-0, tiny+sound-1": 0.3, "tiny+answer-0, tiny+answer-1": 0.1}
    assert rows["mean"].to_dict() == {names: pytest.approx(mean) for names, mean in means.items()}
    assert set(rows["models"]) == {2}
    assert not are_replicated(RunSet((*before, runs[0], runs[-1])))
    with pytest.raises(InputError, match="differ in their seed alone"):
        replicate(RunSet((*before, runs[0], runs[-1])))


def trained_run(number, training, order="ar", **more):
    return run_of(solved(range(number)), order, model=f"runs/{training}", lineage=of_seed(training, **more))


def gain_in(*runs):
    """Name -> estimate of what training gained, in each replicate."""
    (found,) = [
        each
        for each in replicate(RunSet((run_of(solved(range(40)), "ar", model="tiny"), *runs)))
        if each.first.claim == "grpo-raises-accuracy"
    ]
    return {name: finding.estimate for name, finding in found.named.items()}


def test_replicates_have_drawn_equally_many_rollouts():
    """One that was continued is taken where the other stands."""
    runs = [
        trained_run(50, "a", recipe="one", seed=0),
        trained_run(90, "a", recipe="one", seed=0, step=20, samples=220),
        trained_run(60, "b", recipe="one", seed=1),
    ]
    assert gain_in(*runs) == {"tiny+a": pytest.approx(0.1), "tiny+b": pytest.approx(0.2)}


@pytest.mark.parametrize(
    "second",
    [
        {"recipe": "one", "seed": 0},  # the same training again
        {"recipe": "", "seed": None},  # nothing is known of it
        {"recipe": "one", "seed": 1, "samples": 50},  # never as far as the first
    ],
)
def test_what_is_no_other_seed_of_the_same_training_is_no_replicate(second):
    first = trained_run(50, "a", recipe="one", seed=0)
    with pytest.raises(InputError, match="differ in their seed alone"):
        gain_in(first, trained_run(60, "b", **second))


def test_trainings_of_one_name_are_told_apart_by_their_seed():
    runs = [trained_run(50 + 10 * seed, "run", recipe="one", seed=seed) for seed in (0, 1)]
    assert gain_in(*runs) == {f"tiny+run (seed {seed})": pytest.approx(0.1 + 0.1 * seed) for seed in (0, 1)}


def test_trained_models_without_the_one_before_are_replicates_of_claims_about_orders():
    runs = [
        trained_run(number, f"t{seed}", order, recipe="one", seed=seed)
        for seed in (0, 1)
        for order, number in (("ar", 80), ("confidence", 60 - 10 * seed))
    ]
    (found,) = [
        each for each in replicate(RunSet(tuple(runs))) if each.first.claim == NAME and each.first.temperature == 0.6
    ]
    assert [finding.estimate for finding in found.findings] == pytest.approx([0.2, 0.3])


def test_an_approximate_cache_makes_no_replicate():
    runs = [run_of(solved(range(60)), "ar", model="tiny"), run_of(solved(range(60)), "ar", model="tiny", cache="dual")]
    with pytest.raises(InputError, match="several models"):
        replicate(RunSet(tuple(runs)))


def test_one_model_has_no_replicates():
    with pytest.raises(InputError, match="several models"):
        replicate(runs_of({"seed-0": 60}))


def test_a_bundled_model_says_what_is_built_in_and_others_do_not_know():
    bundled = [run_of(solved(range(number)), order, model="tiny") for order, number in (("ar", 80), ("confidence", 60))]
    (finding,) = [each for each in examine(RunSet(tuple(bundled))) if each.claim == NAME]
    assert finding.built_in == "no"
    elsewhere = [dataclasses.replace(run, config=dataclasses.replace(run.config, model="own")) for run in bundled]
    (finding,) = [each for each in examine(RunSet(tuple(elsewhere))) if each.claim == NAME]
    assert finding.built_in == ""
    for model in ("forks", "tiny-block"):  # of the same texts
        assert built_in(model, "forks:min_numbers=4", "connectors-bypassed").startswith("in part")
