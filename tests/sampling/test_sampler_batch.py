"""A sample does not depend on its batch, its neighbours or when it was drawn; work is not done twice."""

from __future__ import annotations

import dataclasses
import random
import threading
import time

import numpy as np
import pytest
import torch
from oracles import JointOracle, RandomOracle
from precision import UNIT

from flexeval.errors import InputError
from flexeval.orders import Order, get_order
from flexeval.records import SamplingConfig
from flexeval.sampling import Sampler, SampleRequest
from flexeval.sampling.forward import LIMITS, Forward

SPECS = ["ar", "confidence", "top_prob", "random", "egi", "threshold:tau=0.4", "eb:gamma=1"]


def requests(problems: int = 4, samples: int = 4) -> list[SampleRequest]:
    return [
        SampleRequest(problem_id=f"p{p}", sample_index=i, prompt_ids=list(range(1, p + 2)))
        for p in range(problems)
        for i in range(samples)
    ]


def draw(oracle, spec, config, batch_size, wanted):
    got = Sampler(oracle, get_order(spec), config, batch_size=batch_size).run(wanted)
    return {(t.problem_id, t.sample_index): t for t in got}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for key, trajectory in one.items():
        for field in dataclasses.fields(trajectory):
            assert_equal(getattr(trajectory, field.name), getattr(other[key], field.name), f"{field.name} of {key}")


def assert_equal(got, want, what=""):
    """Equal; what was measured in float32 but for rounding, since the shape of a batch decides how a row is summed."""
    if np.asarray(got).dtype == np.float32:
        np.testing.assert_allclose(got, want, rtol=16 * UNIT, atol=16 * UNIT, err_msg=what)
    else:
        np.testing.assert_array_equal(got, want, err_msg=what)


@pytest.mark.parametrize("spec", SPECS)
def test_a_sample_is_the_same_in_any_batch(spec):
    oracle = RandomOracle(words=6, eos_bonus=1.0)
    config = SamplingConfig(gen_length=10, block_length=5, temperature=0.9, seed=2)
    alone = draw(oracle, spec, config, 1, requests())
    shuffled = requests()
    random.Random(0).shuffle(shuffled)
    for batch_size, wanted in [(3, requests()), (7, shuffled), (64, requests()), (5, requests()[6:] + requests()[:6])]:
        assert_same(alone, draw(oracle, spec, config, batch_size, wanted))


class ShapedOracle(RandomOracle):
    """Its numbers change with the shape of what is computed, as those of kernels in half precision do."""

    def hidden(self, tokens_BL, attention_BL=None, asked_BL=None):
        hidden_BLD = super().hidden(tokens_BL, attention_BL, asked_BL)
        shape = (*tokens_BL.shape, attention_BL is None, None if asked_BL is None else int(asked_BL.sum()))
        noise = np.random.default_rng(list(repr(shape).encode())).normal(size=hidden_BLD.shape[-1])
        return hidden_BLD + torch.tensor(noise, dtype=torch.float32)


@pytest.mark.parametrize("spec", SPECS)
def test_batch_invariant_samples_are_the_same_in_any_batch_whatever_shapes_do(spec):
    config = SamplingConfig(gen_length=8, block_length=4, temperature=0.9, seed=2, batch_invariant=True)
    plain = dataclasses.replace(config, batch_invariant=False)
    alone = draw(ShapedOracle(words=6), spec, config, 1, requests())
    for batch_size in (3, 64):
        assert_same(alone, draw(ShapedOracle(words=6), spec, config, batch_size, requests()))
    run = Sampler(ShapedOracle(words=6), get_order(spec), config, batch_size=16, workers=2).run(requests())
    assert_same(alone, {(t.problem_id, t.sample_index): t for t in run})
    with pytest.raises(AssertionError):  # the oracle would show it
        assert_same(
            draw(ShapedOracle(words=6), spec, plain, 1, requests()),
            draw(ShapedOracle(words=6), spec, plain, 64, requests()),
        )


@pytest.mark.parametrize("spec", SPECS)
def test_leaving_at_the_end_of_the_text_changes_no_text(spec):
    oracle = RandomOracle(words=6, eos_bonus=1.0)
    settings = {"gen_length": 10, "block_length": 5, "temperature": 0.9, "seed": 2}
    early = draw(oracle, spec, SamplingConfig(**settings), 8, requests())
    full = draw(oracle, spec, SamplingConfig(**settings, stop_at_eos=False), 8, requests())
    saved = 0
    for key, trajectory in early.items():
        end = trajectory.length + 1
        assert trajectory.length == full[key].length
        for name in ("token_ids_G", "commit_step_G", "entropy_G", "rank_G", "passes_G"):
            assert_equal(getattr(trajectory, name)[:end], getattr(full[key], name)[:end])
        saved += full[key].nfe - trajectory.nfe
        assert (full[key].token_ids_G != oracle.mask_id).all()
    assert saved > 0


def test_equal_canvases_are_evaluated_once():
    """At T = 0 all samples of a problem are one: the work is that of one sample, the count that of all."""
    oracle = RandomOracle(words=6)
    config = SamplingConfig(gen_length=9, temperature=0.0)
    sampler = Sampler(oracle, get_order("confidence"), config, batch_size=8)
    trajectories = list(sampler.run(requests(problems=2, samples=4)))
    assert sampler.counters.evaluations == sum(t.nfe for t in trajectories)
    assert sampler.counters.distinct == sum(t.nfe for t in trajectories if t.sample_index == 0)
    assert sum(len(batch) for batch in oracle.evaluated) == sampler.counters.distinct
    for batch in oracle.evaluated:
        assert len(np.unique(batch, axis=0)) == len(batch)


def test_samples_of_a_problem_go_together_however_many():
    """At T = 0 all samples of a problem are one, also where a lane usually holds fewer."""
    oracle = RandomOracle(words=6)
    config = SamplingConfig(gen_length=4, temperature=0.0)
    sampler = Sampler(oracle, get_order("confidence"), config, workers=2)
    wanted = [*requests(1, 150), *requests(4, 20)[20:], SampleRequest(problem_id="p9", sample_index=0, prompt_ids=[1])]
    trajectories = list(sampler.run(wanted))
    assert len(trajectories) == len(wanted)
    assert sampler.counters.distinct == sum(t.nfe for t in trajectories if t.sample_index == 0)
    # Unless the user says how many.
    bounded = Sampler(oracle, get_order("confidence"), config, batch_size=50, workers=1)
    nfe = [t.nfe for t in bounded.run(requests(1, 150))]
    assert bounded.counters.distinct == 3 * nfe[0]


def test_canvases_that_only_look_equal_after_padding_are_kept_apart():
    """The prompt [m, 1] and the prompt [1] padded with m are different canvases."""
    oracle = RandomOracle(words=6)
    pad = oracle.mask_id
    wanted = [SampleRequest(problem_id="p", sample_index=0, prompt_ids=[pad, 1]),
              SampleRequest(problem_id="p", sample_index=1, prompt_ids=[1])]  # fmt: skip
    config = SamplingConfig(gen_length=5)
    together = draw(oracle, "ar", config, 2, wanted)
    apart = draw(oracle, "ar", config, 1, wanted)
    assert_same(together, apart)


def test_rows_are_refilled_while_others_are_still_decoding():
    oracle = RandomOracle(words=6, eos_bonus=1.0)
    config = SamplingConfig(gen_length=16, temperature=1.0, seed=4)
    wanted = [SampleRequest(problem_id=f"p{i}", sample_index=0, prompt_ids=[1, 2, i % 6]) for i in range(24)]
    sampler = Sampler(oracle, get_order("ar"), config, batch_size=4, workers=1)
    needed = sum(t.nfe for t in sampler.run(wanted))
    steps = len(oracle.evaluated)
    # Four rows kept full: hardly more steps than a quarter of the evaluations, plus the tail of the last ones.
    assert steps <= needed / 4 + 16
    assert max(len(batch) for batch in oracle.evaluated) <= 4


def test_samples_come_as_they_finish_and_requests_are_read_as_rows_free_up():
    oracle = RandomOracle(words=6, eos_bonus=1.0)
    read = []

    def stream():
        for request in requests(problems=30, samples=1):
            read.append(request)
            yield request

    run = Sampler(oracle, get_order("ar"), SamplingConfig(gen_length=16), batch_size=2).run(stream())
    next(run)
    assert len(read) < 10


def test_a_forward_that_does_not_fit_is_split(monkeypatch):
    class Small(RandomOracle):
        def hidden(self, tokens_BL, attention_BL=None, asked_BL=None):
            if len(tokens_BL) > 2:
                raise torch.OutOfMemoryError("too many canvases")
            return super().hidden(tokens_BL, attention_BL, asked_BL)

    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    config = SamplingConfig(gen_length=6, temperature=1.0)
    assert_same(
        draw(Small(words=6), "top_prob", config, 8, requests()),
        draw(RandomOracle(words=6), "top_prob", config, 8, requests()),
    )


@pytest.mark.parametrize("spec", SPECS)
def test_forwards_side_by_side_change_no_sample(spec, monkeypatch):
    threads = set()

    class Watched(RandomOracle):
        def hidden(self, tokens_BL, attention_BL=None, asked_BL=None):
            threads.add(threading.get_ident())
            time.sleep(0.001)
            return super().hidden(tokens_BL, attention_BL, asked_BL)

    config = SamplingConfig(gen_length=6, temperature=0.9)
    alone = draw(RandomOracle(words=6), spec, config, 1, requests())
    monkeypatch.setitem(LIMITS, "cpu", dataclasses.replace(LIMITS["cpu"], canvases=2))
    run = Sampler(Watched(words=6), get_order(spec), config, batch_size=16, workers=3).run(requests())
    assert_same(alone, {(t.problem_id, t.sample_index): t for t in run})
    assert len(threads) == 3


def test_one_lane_is_evaluated_while_the_other_waits():
    """Each forward waits for another one to begin: with one at a time, nothing would ever be evaluated."""
    together = threading.Barrier(2, timeout=120)

    class Watched(RandomOracle):
        def hidden(self, tokens_BL, attention_BL=None, asked_BL=None):
            together.wait()
            return super().hidden(tokens_BL, attention_BL, asked_BL)

    config = SamplingConfig(gen_length=6, temperature=0.9, stop_at_eos=False)
    for batch_size in (2, None):
        run = Sampler(Watched(words=6), get_order("ar"), config, batch_size=batch_size, workers=2).run(requests(2, 1))
        assert len(list(run)) == 2


@pytest.mark.parametrize("how", ["closed", "failed"])
def test_forwards_that_nobody_waits_for_do_not_begin(how):
    begun = []

    class Slow(RandomOracle):
        def hidden(self, tokens_BL, attention_BL=None, asked_BL=None):
            begun.append(len(tokens_BL))
            time.sleep(0.02)
            if how == "failed" and len(begun) > 20:
                raise RuntimeError("no more")
            return super().hidden(tokens_BL, attention_BL, asked_BL)

    config = SamplingConfig(gen_length=8, temperature=1.0)
    sampler = Sampler(Slow(words=6, eos_bonus=1.0), get_order("ar"), config, batch_size=64, workers=2)
    for forward in sampler._forwards:
        forward._batch_size = 1
    run = sampler.run(requests(8, 8))
    if how == "closed":
        next(run)
        run.close()
    else:
        with pytest.raises(RuntimeError, match="no more"):
            list(run)
    begun_then = len(begun)
    time.sleep(0.3)
    # Those that were running, one in each thread, may be followed by one that was taken in the same moment.
    assert len(begun) <= begun_then + 2


def test_reading_what_was_not_asked_is_an_error():
    forward = Forward(RandomOracle(words=6), SamplingConfig(), batch_size=2)
    tokens_RL = np.full((1, 4), 7)
    logits = forward.start(tokens_RL, np.ones_like(tokens_RL, dtype=bool), np.array([[True, False]]))
    assert len(list(logits.softmax(np.array([[True, False]])))) == 1
    with pytest.raises(ValueError, match="not asked"):
        list(logits.softmax(np.array([[False, True]])))


@pytest.mark.parametrize("batch_size", [1, 2, 5, None])
def test_batching_is_deterministic(batch_size):
    """Samples come in the same order, and equally many canvases merge, however long each forward takes."""

    class Unsteady(RandomOracle):
        def hidden(self, tokens_BL, attention_BL=None, asked_BL=None):
            time.sleep(random.random() * 0.003)
            return super().hidden(tokens_BL, attention_BL, asked_BL)

    config = SamplingConfig(gen_length=8, temperature=0.5)
    outcomes = set()
    for _ in range(3):
        oracle = Unsteady(words=6, eos_bonus=1.0)
        sampler = Sampler(oracle, get_order("ar"), config, batch_size=batch_size, workers=2)
        order = tuple((t.problem_id, t.sample_index) for t in sampler.run(requests(6, 4)))
        assert sampler.counters.distinct == sum(map(len, oracle.evaluated))
        assert batch_size is None or max(map(len, oracle.evaluated)) <= max(1, batch_size // 2)
        outcomes.add((order, sampler.counters))
    assert len(outcomes) == 1 and len(order) == 24


@pytest.mark.parametrize(("spec", "asked_once_begun"), [("ar", 1), ("random", 2), ("confidence", 5), ("entropy", 5)])
def test_only_what_an_order_needs_is_asked_of_the_model(spec, asked_once_begun):
    """The chosen position and a frontier that is new, or the block, where the order reads the model."""
    counts = []

    class Watched(RandomOracle):
        def hidden(self, tokens_BL, attention_BL=None, asked_BL=None):
            assert asked_BL is not None and (tokens_BL[asked_BL] == self.mask_id).all()
            counts.append(int(asked_BL.sum()))
            return super().hidden(tokens_BL, attention_BL, asked_BL)

    config = SamplingConfig(gen_length=10, block_length=5, stop_at_eos=False)
    draw(Watched(words=6), spec, config, 1, requests(1, 1))
    assert max(counts) <= asked_once_begun
    if spec in ("confidence", "entropy"):
        assert counts == [5, 4, 3, 2, 1] * 2


@pytest.mark.parametrize("spec", ["ar", "confidence", "entropy", "random"])
def test_equal_canvases_may_be_in_different_blocks(spec):
    """Where the mask can be drawn, a canvas does not say how far its sample is."""
    oracle = RandomOracle(words=2, sharpness=0.5)
    config = SamplingConfig(gen_length=4, block_length=2, temperature=1.0, logits_mask_inf=False, seed=1)
    wanted = requests(1, 60)
    together = Sampler(oracle, get_order(spec), config, batch_size=8)
    assert_same(
        draw(oracle, spec, config, 1, wanted), {(t.problem_id, t.sample_index): t for t in together.run(wanted)}
    )
    assert together.counters.distinct < together.counters.evaluations


def test_rows_of_a_large_head_are_processed_in_chunks(monkeypatch):
    sizes = []

    class Watched(RandomOracle):
        def logits(self, hidden_ND):
            sizes.append(len(hidden_ND))
            return super().logits(hidden_ND)

    config = SamplingConfig(gen_length=10, temperature=0.9)
    whole = {spec: draw(RandomOracle(words=6), spec, config, 8, requests()) for spec in SPECS}
    few = dataclasses.replace(LIMITS["cpu"], head_bytes=5 * 4 * 8, softmax_bytes=2 * 4 * 8)
    monkeypatch.setitem(LIMITS, "cpu", few)
    for spec in SPECS:
        assert_same(draw(Watched(words=6), spec, config, 8, requests()), whole[spec])
    assert max(sizes) == 5


def test_orders_share_their_random_numbers():
    """A canvas of one position leaves nothing to order: every select-then-sample order draws the same token."""
    oracle = JointOracle(np.arange(5)[:, None], np.full(5, 0.2), words=5)
    config = SamplingConfig(gen_length=1, temperature=1.0, seed=9)
    wanted = [SampleRequest(problem_id="p", sample_index=i, prompt_ids=[0]) for i in range(50)]
    tokens = {spec: [int(t.token_ids_G[0]) for _, t in sorted(draw(oracle, spec, config, 50, wanted).items())]
              for spec in ("ar", "top_prob", "random", "entropy", "confidence")}  # fmt: skip
    assert len({tuple(drawn) for drawn in tokens.values()}) == 1
    assert len(set(tokens["ar"])) == 5


def test_the_state_that_an_order_sees_is_read_only():
    class Meddler(Order):
        name = "meddler"
        reads = frozenset({"entropy"})

        def __call__(self, state):
            state.entropy_BG[:] = 0

    with pytest.raises(ValueError, match="read-only"):
        draw_with(Meddler())


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda state: np.zeros_like(state.eligible_BG), "chose no position"),
        (lambda state: ~state.eligible_BG, "not eligible"),
        (lambda state: state.eligible_BG.astype(int), "boolean array"),
    ],
)
def test_an_order_that_breaks_the_contract_is_named(answer, says):
    class Broken(Order):
        name = "broken"

        def __call__(self, state):
            return answer(state)

    with pytest.raises((ValueError, TypeError), match=rf"'broken'.*{says}"):
        draw_with(Broken())


def draw_with(order):
    config = SamplingConfig(gen_length=4, block_length=2)
    return list(Sampler(RandomOracle(words=6), order, config, batch_size=2).run(requests(1, 2)))


def test_a_prompt_that_does_not_fit_is_refused_with_the_numbers():
    sampler = Sampler(RandomOracle(words=6, max_length=12), get_order("ar"), SamplingConfig(gen_length=10))
    with pytest.raises(InputError, match=r"'p2'.* 3 tokens.* 10 .* 13, .* 12 "):
        list(sampler.run(requests(problems=4, samples=1)))


@pytest.mark.parametrize("settings", [{"steps": 5}, {"tokens_per_step": 2}, {"steps_per_block": 2}])
def test_an_adaptive_order_refuses_a_schedule(settings):
    with pytest.raises(InputError, match="leave out steps"):
        Sampler(RandomOracle(words=6), get_order("threshold"), SamplingConfig(gen_length=10, **settings))


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(InputError, match="at least 1"):
        Sampler(RandomOracle(words=6), get_order("ar"), SamplingConfig(), batch_size=0)
