"""The gradient against a loop that reads one position at a time, in float64."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from grpo_toys import ToyPredictor, ToyTask, gradients, make_trainer

from flexeval.grpo.objective import group_advantages
from flexeval.grpo.rollout import RolloutSample
from flexeval.grpo.scoring import batches, canvas_at, collect
from flexeval.records import Grade, SamplingConfig, Trajectory
from flexeval.sampling import Sampler, SampleRequest


def one_log_prob(predictor, canvas, position, token, temperature=1.0):
    """log p(token) at one position of one canvas: a forward of its own, the head everywhere, the mask left out."""
    logits = predictor.module.head(predictor.hidden(torch.tensor([canvas])))[0]
    logits[:, predictor.mask_id] = -math.inf
    return (logits / temperature).log_softmax(dim=-1)[len(canvas) - 5 + position, token]


def brute_force_gradients(trainer, predictor, *, all_positions=False, recorded=True, reference=None):
    """GRPO's equation as it stands, sample by sample and position by position, at AR order."""
    config = trainer.config
    rollout = trainer.roll_out(0)
    predictor.module.zero_grad()
    groups = [rollout.samples[n : n + config.group_size] for n in range(0, len(rollout.samples), config.group_size)]
    varied = [group for group in groups if len({sample.grade.correct for sample in group}) == 2]
    assert 0 < len(varied) < len(groups)  # both kinds of group are seen
    total = 0.0
    for group in varied:
        rewards = [1.0 if sample.grade.correct else config.wrong_reward for sample in group]
        mean = sum(rewards) / len(rewards)
        deviation = math.sqrt(sum((reward - mean) ** 2 for reward in rewards) / len(rewards))
        for sample, reward in zip(group, rewards, strict=True):
            advantage = (reward - mean) / (deviation + 1e-4)
            answer = sample.trajectory.token_ids_G.tolist()
            ends = [t for t, token in enumerate(answer) if token == predictor.eos_id]
            length = len(answer) if all_positions or not ends else ends[0] + 1
            of_sample = 0.0
            for t in range(length):
                canvas = sample.prompt_ids + answer[:t] + [predictor.mask_id] * (len(answer) - t)
                new = one_log_prob(predictor, canvas, t, answer[t])
                old = math.log(sample.trajectory.prob_G[t]) if recorded else new.detach()
                ratio = torch.exp(new - old)
                clipped = torch.clamp(ratio, 1 - config.clip, 1 + config.clip)
                value = torch.min(ratio * advantage, clipped * advantage)
                if reference is not None:
                    r = torch.exp(one_log_prob(reference, canvas, t, answer[t]).detach() - new)
                    value = value - config.kl * (r - torch.log(r) - 1)
                of_sample = of_sample + value / length
            total = total - of_sample / (len(varied) * config.group_size)
    total.backward()
    return {f"module.{name}": weight.grad.clone() for name, weight in predictor.module.named_parameters()}


def assert_equal(ours, theirs, tolerance=1e-9):
    assert ours.keys() == theirs.keys()
    assert max(gradient.abs().max() for gradient in theirs.values()) > 1e-3
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=tolerance, atol=tolerance, msg=lambda m, n=name: n + m)


SETTINGS = {
    "as sampled": {},
    "recomputed": {"recompute_old": True},
    "wrong is -1": {"wrong_reward": -1.0},
    "one canvas a forward": {"tokens_per_forward": 1},
    "every position": {"loss_positions": "all"},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_the_gradient_is_that_of_one_position_at_a_time(settings):
    predictor = ToyPredictor()
    trainer = make_trainer(predictor, ToyTask(), problems_per_step=6, group_size=4, **settings)
    theirs = brute_force_gradients(
        trainer,
        predictor,
        all_positions=settings.get("loss_positions") == "all",
        recorded="recompute_old" not in settings,
    )
    predictor.module.zero_grad()
    assert_equal(gradients(trainer), theirs)


def test_the_gradient_with_a_reference_model_and_ratios_that_are_clipped():
    """The weights move between rollout and gradient, so that ratios differ from 1 and some are clipped."""
    predictor = ToyPredictor()
    trainer = make_trainer(predictor, ToyTask(), problems_per_step=6, group_size=4, kl=0.3, clip=0.05)
    reference = copy.deepcopy(predictor)
    rollout = trainer.roll_out(0)
    trainer.roll_out = lambda number: rollout
    with torch.no_grad():
        for weight in predictor.module.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, dtype=weight.dtype, generator=torch.manual_seed(3)))
    theirs = brute_force_gradients(trainer, predictor, reference=reference)
    predictor.module.zero_grad()
    assert_equal(gradients(trainer), theirs)
    update = trainer.prepare(rollout, group_advantages(rollout.rewards(wrong=0.0)))
    totals = trainer.accumulate(update)
    assert 0 < totals["clipped"] < totals["readings"]
    assert totals["kl"] > 0


def test_neither_the_size_of_a_forward_nor_padding_changes_the_gradient():
    """Prompts of four lengths: canvases of all of them in one padded forward, or each alone."""
    found = []
    for tokens in (1, 20, 37, 10**6):
        trainer = make_trainer(ToyPredictor(), ToyTask(), problems_per_step=6, tokens_per_forward=tokens)
        found.append(gradients(trainer))
    for other in found[1:]:
        assert_equal(other, found[0], tolerance=1e-12)


def test_padding_changes_nothing_for_a_real_network(llada_folder):
    from flexeval import load_model

    sums = ToyTask(right=lambda problem, text: sum(text.encode()) % 2 == 1)
    found = []
    for tokens in (1, 10**6):
        model = load_model(llada_folder, device="cpu")
        found.append(gradients(make_trainer(model, sums, tokens_per_forward=tokens)))
    assert_equal(found[0], found[1], tolerance=1e-4)


def test_equal_canvases_are_computed_once():
    """A group of equal prompts shares its first canvas; a group of copies shares everything."""
    trainer = make_trainer(ToyPredictor(), ToyTask())
    (sample, *_) = trainer.roll_out(0).samples
    wanted = {"order": trainer.order, "sampling": trainer.sampling, "positions": "answer"}
    for copies in (1, 3):
        samples = [sample] * copies
        readings = collect(samples, **wanted)
        made = batches(samples, readings, mask_id=5, tokens_per_forward=10**6)
        assert len(readings.token_M) == copies * len(made[0].canvas_N)
        assert sum(len(batch.tokens_UL) for batch in made) == len(np.unique(readings.step_M))


def test_likelihoods_of_all_answers_add_up_to_one():
    """Every answer over two words and the end, of at most three tokens, each with the likelihood that is trained."""
    predictor = ToyPredictor(words=2)
    trainer = make_trainer(predictor, ToyTask())
    answers = [
        answer
        for length in (1, 2, 3)
        for answer in itertools.product(range(3), repeat=length)
        if 2 not in answer[:-1] and (answer[-1] == 2 or length == 3)
    ]
    samples = [_sample(predictor, answer, gen_length=3) for answer in answers]
    config = SamplingConfig(gen_length=3, temperature=1.0)
    readings = collect(samples, order=trainer.order, sampling=config, positions="answer")
    (batch,) = batches(samples, readings, mask_id=predictor.mask_id, tokens_per_forward=10**6)
    log_prob_M = trainer.policy(batch).detach().numpy()
    log_likelihood_S = np.bincount(readings.sample_M[batch.reading_M], weights=log_prob_M)
    assert math.isclose(np.exp(log_likelihood_S).sum(), 1.0, rel_tol=1e-12)


def _sample(predictor, answer, *, gen_length):
    committed = np.arange(gen_length) < len(answer)
    blank = np.zeros(gen_length, dtype=np.float32)
    trajectory = Trajectory(
        problem_id="x",
        sample_index=0,
        prompt_length=2,
        token_ids_G=np.array([*answer, *[predictor.mask_id] * (gen_length - len(answer))], dtype=np.int32),
        length=answer.index(2) if 2 in answer else gen_length,
        commit_step_G=np.where(committed, np.arange(gen_length), -1).astype(np.int32),
        nfe=len(answer),
        entropy_G=blank,
        prob_G=blank + 1,
        rank_G=blank.astype(np.int32),
        top_prob_G=blank,
        eligible_entropy_G=blank,
        frontier_step_G=blank.astype(np.int32),
        frontier_entropy_G=blank,
        passes_G=blank.astype(np.int32),
    )
    return RolloutSample(prompt_ids=[0, 1], trajectory=trajectory, grade=Grade(correct=False))


@pytest.mark.parametrize(
    ("spec", "temperature", "first"),
    [("ar", 0.7, 0.7), ("top_prob", 1.0, 1.0), ("egi", 1.0, 0.9), ("random", 1.3, 1.3), ("entropy", 1.0, 1.0),
     ("margin", 1.0, 1.0), ("permutation", 1.0, 1.0), ("eb:gamma=1.5", 1.0, 1.0), ("fork:tau=0.4", 1.0, 1.0)],
)  # fmt: skip
def test_a_trajectory_has_the_likelihood_of_the_canvases_that_were_shown(spec, temperature, first):
    """The sampler runs one sample at a time and the canvases that it shows the model are written down."""
    predictor = ToyPredictor()
    trainer = make_trainer(
        predictor, ToyTask(), rollout_order=spec, temperature=temperature, block_length=3, loss_positions="all"
    )
    shown: list[np.ndarray] = []
    hidden = predictor.hidden
    predictor.hidden = lambda tokens, *rest: (shown.extend(tokens.numpy().copy()), hidden(tokens, *rest))[1]
    prompt = [1, 2, 3]
    request = SampleRequest(problem_id="x", sample_index=0, prompt_ids=prompt)
    (trajectory,) = Sampler(predictor, trainer.order, trainer.sampling, batch_size=1).run([request])
    predictor.hidden = hidden

    finished = [*prompt, *trajectory.token_ids_G.tolist()]
    expected = torch.zeros(5, dtype=torch.float64)
    for step, (before, after) in enumerate(itertools.pairwise([*shown, np.array(finished)])):
        for position in np.flatnonzero(before != after) - len(prompt):
            drawn_at = first if step == 0 else temperature
            token = finished[len(prompt) + position]
            expected[position] = one_log_prob(predictor, before.tolist(), position, token, drawn_at)

    sample = RolloutSample(prompt_ids=prompt, trajectory=trajectory, grade=Grade(correct=True))
    readings = collect([sample], order=trainer.order, sampling=trainer.sampling, positions="all")
    ours = torch.empty(5, dtype=torch.float64)
    for batch in batches([sample], readings, mask_id=predictor.mask_id, tokens_per_forward=30):
        ours[readings.position_M[batch.reading_M]] = trainer.policy(batch).detach()
    torch.testing.assert_close(ours, expected.detach(), rtol=1e-9, atol=1e-9)


def test_fast_keeps_the_positions_of_highest_entropy():
    trainer = make_trainer(ToyPredictor(), ToyTask())
    samples = trainer.roll_out(0).samples
    wanted = {"order": trainer.order, "sampling": trainer.sampling, "positions": "answer"}
    exact, fast = collect(samples, **wanted), collect(samples, **wanted, entropy_share=0.5)
    for index, sample in enumerate(samples):
        everywhere, kept = (readings.position_M[readings.sample_M == index] for readings in (exact, fast))
        left_out = np.setdiff1d(everywhere, kept)
        assert len(kept) == math.ceil(len(everywhere) / 2)
        entropy_G = sample.trajectory.entropy_G
        assert not len(left_out) or entropy_G[kept].min() >= entropy_G[left_out].max()
        # A kept position counts as much as it does among all of them.
        assert set(fast.share_M[fast.sample_M == index]) == set(exact.share_M[exact.sample_M == index])


def test_the_share_of_fast_is_of_whole_positions():
    """0.55 of 100 positions are 55, though 0.55 * 100 is above 55 in floats; a part of a position counts whole."""
    predictor = ToyPredictor(words=2)
    order = make_trainer(predictor, ToyTask()).order
    for length, share, kept in ((100, 0.55, 55), (100, 0.07, 7), (10, 0.25, 3), (3, 0.01, 1)):
        sample = _sample(predictor, (0,) * length, gen_length=length)
        config = SamplingConfig(gen_length=length, temperature=1.0)
        readings = collect([sample], order=order, sampling=config, positions="answer", entropy_share=share)
        assert len(readings.token_M) == kept


def test_every_reading_is_in_one_batch_which_has_its_canvas():
    trainer = make_trainer(ToyPredictor(), ToyTask(), rollout_order="random", problems_per_step=6)
    samples = trainer.roll_out(0).samples
    readings = collect(samples, order=trainer.order, sampling=trainer.sampling, positions="answer")
    made = batches(samples, readings, mask_id=5, tokens_per_forward=24)
    assert len(made) > 5
    assert sorted(np.concatenate([batch.reading_M for batch in made])) == list(range(len(readings.token_M)))
    for batch in made:
        for row, reading in zip(batch.row_M, batch.reading_M, strict=True):
            sample = samples[readings.sample_M[reading]]
            seen = batch.tokens_UL[batch.canvas_N[row]][batch.attended_UL[batch.canvas_N[row]]]
            np.testing.assert_array_equal(seen, canvas_at(sample, readings.step_M[reading], mask_id=5))
            assert batch.column_N[row] == batch.tokens_UL.shape[1] - 5 + readings.position_M[reading]


def test_fast_with_every_position_is_exact():
    found = [
        gradients(make_trainer(ToyPredictor(), ToyTask(), problems_per_step=6, **settings))
        for settings in ({}, {"fast": True, "fast_share": 1.0})
    ]
    assert_equal(found[1], found[0], tolerance=0)
