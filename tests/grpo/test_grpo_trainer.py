"""Steps of the trainer: what they reach, what leaves the weights alone, and what the record says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from grpo_toys import ToyPredictor, ToyTask, make_trainer, odd_sum
from precision import LOGITS, assert_equal_but_rounding, near, rounding

from flexeval.errors import InputError
from flexeval.grpo.policy import Policy
from flexeval.grpo.problems import step_problems
from flexeval.grpo.scoring import collect
from flexeval.records import Grade


def weights_of(trainer):
    return {name: weight.detach().clone() for name, weight in trainer.policy.named_parameters()}


def test_a_bandit_reaches_its_optimum():
    """One generated token, right when it is the one that the prompt's length calls for: the optimum is reward 1."""
    task = ToyTask(right=lambda problem, text: text.split() == [str((len(problem.question) - 2) % 4)])
    trainer = make_trainer(ToyPredictor(), task, gen_length=1, group_size=8, problems_per_step=6, learning_rate=0.05)
    solved = [trainer.step(number).solved for number in range(40)]
    assert np.mean(solved[:3]) < 0.5
    assert min(solved[-3:]) > 0.95


def test_a_constant_reward_changes_nothing():
    """Not even after an earlier step has given the optimiser momentum."""
    verdicts = {"right": True}
    task = ToyTask(right=lambda problem, text: verdicts["right"] or len(text) % 4 == 0)
    trainer = make_trainer(ToyPredictor(), task, weight_decay=0.1)
    before = weights_of(trainer)
    constant = trainer.step(0)
    assert constant.skipped_groups == trainer.config.problems_per_step
    assert constant.loss is constant.grad_norm is None
    assert constant.readings == 0
    assert all(torch.equal(weight, before[name]) for name, weight in weights_of(trainer).items())

    verdicts["right"] = False
    assert trainer.step(1).grad_norm > 0
    moved = weights_of(trainer)
    assert any(not torch.equal(weight, before[name]) for name, weight in moved.items())
    verdicts["right"] = True
    trainer.step(2)
    assert all(torch.equal(weight, moved[name]) for name, weight in weights_of(trainer).items())


def test_weights_decay_by_themselves():
    """AdamW: beside the step, by the learning rate times the decay."""
    plain, decaying = (make_trainer(ToyPredictor(), ToyTask(), weight_decay=decay) for decay in (0.0, 0.3))
    before = weights_of(plain)
    for trainer in (plain, decaying):
        trainer.step(0)
    for name, weight in weights_of(decaying).items():
        torch.testing.assert_close(weight, weights_of(plain)[name] - 1e-2 * 0.3 * before[name])


@pytest.mark.parametrize("most", [1e-3, 1e3])
def test_the_optimiser_sees_gradients_of_the_largest_norm_at_most(most):
    """Its first moment is a tenth of the first gradient; what is logged is the norm before."""
    trainer = make_trainer(ToyPredictor(), ToyTask(), max_grad_norm=most)
    norm = trainer.step(0).grad_norm
    moments = [state["exp_avg"] for state in trainer.optimizer.state.values()]
    seen = 10 * torch.sqrt(sum((moment**2).sum() for moment in moments)).item()
    assert 1e-3 < norm < 1e3 and seen == pytest.approx(min(norm, most), rel=1e-3)


def test_in_a_first_update_the_ratio_is_one():
    """The log-probability that the update computes is the one that the sampler recorded, and nothing is clipped."""
    trainer = make_trainer(ToyPredictor(), ToyTask())
    metrics = trainer.step(0)
    assert metrics.readings > 20
    assert metrics.drift < 1e-6
    assert metrics.clipped == 0
    # With a ratio of 1 the objective is the mean advantage, which is 0 over each group.
    assert abs(metrics.loss) < 1e-6


def test_the_bundled_model_samples_and_trains_the_same_distribution():
    from flexeval import get_task, load_model

    model = load_model("tiny", device="cpu", dtype="float32")
    trainer = make_trainer(
        model, get_task("word-problems:split=train"), gen_length=8, group_size=4, problems_per_step=2
    )
    rollout = trainer.roll_out(0)
    # Whatever the verdicts: advantages that differ within each group.
    update = trainer.prepare(rollout, np.tile([1.0, -1.0, 1.0, -1.0], (2, 1)))
    totals = trainer.accumulate(update)
    assert totals["readings"] > 32
    assert totals["drift"] / totals["readings"] < rounding(LOGITS)


def test_the_samples_deviation_makes_gradients_smaller():
    """By sqrt((n - 1) / n), so a group of 6 has 0.913 of the gradient."""
    norms = {
        deviation: make_trainer(ToyPredictor(), ToyTask(), deviation=deviation).step(0).grad_norm
        for deviation in ("population", "sample")
    }
    assert norms["sample"] / norms["population"] == pytest.approx(np.sqrt(5 / 6), rel=1e-3)


@dataclass(frozen=True, kw_only=True)
class TwoVerdicts(ToyTask):
    """Right when the sum is odd; `long` when three words are said, whatever they are."""

    verdicts: ClassVar[tuple[str, ...]] = ("long",)

    def grade(self, problem, text):
        return Grade(correct=odd_sum(problem, text), verdicts={"long": len(text.split()) >= 3})


def test_any_verdict_of_the_task_can_be_rewarded():
    trainer = make_trainer(ToyPredictor(), TwoVerdicts(), reward="long", wrong_reward=-1.0)
    rollout = trainer.roll_out(0)
    long = np.array([[sample.grade.verdicts["long"] for sample in rollout.samples]]).reshape(-1, 6)
    assert 0 < long.mean() < 1
    metrics = trainer.step(0)
    assert metrics.solved == long.mean()
    assert metrics.reward == pytest.approx(2 * long.mean() - 1)
    assert metrics.skipped_groups == (long == long[:, :1]).all(axis=1).sum()


def test_a_verdict_that_the_task_does_not_give_is_refused():
    with pytest.raises(InputError, match=r"unknown verdict of task 'toy': 'lnog'\. Did you mean 'long'\?"):
        make_trainer(ToyPredictor(), TwoVerdicts(), reward="lnog")


def test_more_updates_on_a_rollout_move_the_ratio():
    trainer = make_trainer(ToyPredictor(), ToyTask(), updates_per_rollout=3, learning_rate=0.05)
    metrics = trainer.step(0)
    assert metrics.drift > 0.01
    assert metrics.clipped > 0


def test_a_strong_reference_holds_the_policy():
    """The divergence after the same steps is smaller with a penalty on it."""
    found = []
    for kl in (1e-9, 5.0):
        trainer = make_trainer(ToyPredictor(), ToyTask(), kl=kl, problems_per_step=6, learning_rate=0.02)
        found.append([trainer.step(number).kl for number in range(6)][-1])
    assert found[0] > 2 * found[1] > 0


@pytest.mark.parametrize("settings", [{"temperature": 0.7}, {"rollout_order": "egi:first_temperature=0.5"}])
def test_at_other_temperatures_the_ratio_of_a_first_update_is_one(settings):
    """The record is untempered; what the ratio divides by is computed anew, by the weights that sampled."""
    trainer = make_trainer(ToyPredictor(), ToyTask(), **settings)
    rollout = trainer.roll_out(0)
    update = trainer.prepare(rollout, np.tile([1.0, -1.0], (3, 3)))
    totals = trainer.accumulate(update)
    assert totals["readings"] > 20
    assert totals["drift"] < 1e-12
    # What the record holds would not do.
    readings = collect(rollout.samples, order=trainer.order, sampling=trainer.sampling, positions="answer")
    tempered = readings.temperature_M != 1
    assert tempered.any()
    difference = np.abs(readings.recorded_M - update.old_log_prob_M.numpy())
    assert difference[tempered].max() > 0.05
    assert not (~tempered).any() or difference[~tempered].max() < 1e-5


def test_a_gradient_that_is_not_finite_is_one_line():
    trainer = make_trainer(ToyPredictor(), ToyTask())
    before = weights_of(trainer)
    next(trainer.policy.parameters()).register_hook(lambda gradient: gradient * np.nan)
    with pytest.raises(InputError, match="the gradient of step 0 is not finite") as caught:
        trainer.step(0)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(weight, before[name]) for name, weight in weights_of(trainer).items())


def test_the_reference_of_adapters_is_the_model_without_them(llada_folder):
    """As with a copy of the model: no divergence before the first update, and the same one after it."""
    from flexeval import load_model

    task = ToyTask(right=lambda problem, text: sum(text.encode()) % 2 == 1)
    model = load_model(llada_folder, device="cpu")
    trainer = make_trainer(model, task, lora_rank=2, kl=0.1, gen_length=3, learning_rate=0.05)
    assert trainer.step(0).kl < 1e-6
    rollout = trainer.roll_out(1)
    update = trainer.prepare(rollout, np.tile([1.0, -1.0], (3, 3)))
    copy = Policy(load_model(llada_folder, device="cpu"))
    for batch in update.batches:
        expected = copy(batch).detach()
        assert update.reference_log_prob_M[batch.reading_M].tolist() == near(expected.tolist())
        assert not torch.allclose(trainer.policy(batch).detach(), expected, atol=1e-3)


def test_the_record_counts_what_was_sampled():
    trainer = make_trainer(ToyPredictor(), ToyTask())
    rollout = trainer.roll_out(0)
    metrics = trainer.step(0)
    graded = [sample.grade.correct for sample in rollout.samples]
    lengths = [sample.trajectory.length for sample in rollout.samples]
    assert metrics.samples == len(graded) == 18
    assert metrics.solved == metrics.reward == np.mean(graded)
    assert metrics.solved_problems == np.mean([any(graded[n : n + 6]) for n in range(0, 18, 6)])
    assert metrics.length == np.mean(lengths)
    assert metrics.ended == np.mean([length < 5 for length in lengths])
    assert metrics.rollout_seconds > 0


def test_grades_see_the_completion_only():
    seen = []
    task = ToyTask(right=lambda problem, text: seen.append(text) or False)
    trainer = make_trainer(ToyPredictor(), task)
    samples = trainer.roll_out(0).samples
    texts = [trainer.sampler.predictor.decode(s.trajectory.token_ids_G[: s.trajectory.length]) for s in samples]
    assert sorted(seen) == sorted(texts)


def test_each_step_draws_new_samples_of_new_problems():
    """Every problem once before any comes again, and new random numbers when it does."""
    problems = ToyTask().problems()
    steps = [step_problems(problems, step=n, count=3, seed=0) for n in range(4)]
    assert {p.id for p in steps[0] + steps[1]} == {p.id for p in problems} == {p.id for p in steps[2] + steps[3]}
    assert [p.id for p in steps[0]] != [p.id for p in steps[2]]
    trainer = make_trainer(ToyPredictor(), ToyTask(), problems_per_step=6)
    first, second = (
        {(s.trajectory.problem_id, *s.trajectory.token_ids_G.tolist()) for s in trainer.roll_out(n).samples}
        for n in (0, 1)
    )
    assert first != second


def test_adapters_train_and_the_rest_stays(llada_folder):
    from flexeval import load_model

    model = load_model(llada_folder, device="cpu")
    task = ToyTask(right=lambda problem, text: sum(text.encode()) % 2 == 1)
    plain = {name: weight.detach().clone() for name, weight in model.module.named_parameters()}
    trainer = make_trainer(model, task, lora_rank=2, gradient_checkpointing=True, gen_length=3)
    assert trainer.step(0).grad_norm > 0
    for name, weight in weights_of(trainer).items():
        original = plain.get(name.removeprefix("module.").replace(".base_layer.", "."))
        if original is not None:
            assert torch.equal(weight, original), name
    moved = [name for name, weight in weights_of(trainer).items() if "lora_B" in name and weight.any()]
    assert len(moved) == 2 * 7


def test_recomputing_activations_changes_no_gradient(llada_folder):
    from grpo_toys import gradients

    from flexeval import load_model

    task = ToyTask(right=lambda problem, text: sum(text.encode()) % 2 == 1)
    found = [
        gradients(make_trainer(load_model(llada_folder, device="cpu"), task, gradient_checkpointing=on, gen_length=3))
        for on in (False, True)
    ]
    for name, gradient in found[0].items():
        assert_equal_but_rounding(found[1][name], gradient)


@pytest.mark.parametrize("order", ["confidence", "threshold", "factor", "parallel-2"])
def test_orders_that_propose_are_refused_with_the_reason(order):
    with pytest.raises(InputError, match="draws a token at every eligible position and keeps the most confident"):
        make_trainer(ToyPredictor(), ToyTask(), rollout_order=order)


def test_a_step_needs_enough_problems():
    with pytest.raises(InputError, match="takes 7 problems, but there are 6"):
        make_trainer(ToyPredictor(), ToyTask(), problems_per_step=7)
