"""`flexeval.sample`: texts by prompt."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from oracles import RandomOracle

import flexeval
from flexeval.errors import InputError
from flexeval.orders import get_order
from flexeval.records import Prompt, SamplingConfig
from flexeval.sampling import Sampler, SampleRequest, engine

CONFIG = SamplingConfig(gen_length=8, temperature=1.0, seed=3)


def test_texts_come_in_the_order_of_the_prompts():
    oracle = RandomOracle(words=6, eos_bonus=1.0)
    prompts = ["dog", Prompt(user="cat"), "bird"]
    together = flexeval.sample(oracle, prompts, order="top_prob", config=CONFIG, num_samples=3)
    assert [len(samples) for samples in together] == [3, 3, 3]
    for prompt, samples in zip(prompts, together, strict=True):
        [alone] = flexeval.sample(oracle, [prompt], order="top_prob", config=CONFIG, num_samples=3, batch_size=1)
        assert [s.text for s in alone] == [s.text for s in samples]
        for sample in samples:
            ids = sample.trajectory.token_ids_G[: sample.trajectory.length]
            assert sample.text == oracle.decode(ids.tolist())


def test_a_prompt_given_twice_gets_new_samples():
    oracle = RandomOracle(words=6)
    first, second = flexeval.sample(oracle, ["dog", "dog"], config=CONFIG, num_samples=2)
    texts = [tuple(s.trajectory.token_ids_G.tolist()) for s in first + second]
    assert len(set(texts)) == 4
    [four] = flexeval.sample(oracle, ["dog"], config=CONFIG, num_samples=4)
    assert [tuple(s.trajectory.token_ids_G.tolist()) for s in four] == texts


def test_the_seed_matters_and_the_default_order_is_ar():
    oracle = RandomOracle(words=6)
    [[one]] = flexeval.sample(oracle, ["dog"], config=CONFIG)
    [[other]] = flexeval.sample(oracle, ["dog"], config=SamplingConfig(gen_length=8, temperature=1.0, seed=4))
    assert one.trajectory.token_ids_G.tolist() != other.trajectory.token_ids_G.tolist()
    np.testing.assert_array_equal(one.trajectory.commit_step_G, np.arange(8))


def test_a_single_string_is_not_a_list_of_prompts():
    with pytest.raises(TypeError, match=r"\[prompt\]"):
        flexeval.sample(RandomOracle(words=6), "dog")


def test_torch_has_its_threads_back_whatever_happens(monkeypatch):
    """Forwards run side by side and divide torch's threads, whoever draws; a program around it keeps its own."""
    # Whatever this process has run for good.
    monkeypatch.setattr(engine, "_USERS", engine._Users())
    threads = torch.get_num_threads()
    inside = []

    class Watching(RandomOracle):
        def hidden(self, *args, **kwargs):
            inside.append(torch.get_num_threads())
            return super().hidden(*args, **kwargs)

    try:
        torch.set_num_threads(3)
        flexeval.sample(Watching(words=6), ["dog"], config=CONFIG, num_samples=4)
        assert torch.get_num_threads() == 3
        with pytest.raises(InputError):
            flexeval.sample(Watching(words=6), ["dog"], order="none-such", config=CONFIG)
        assert torch.get_num_threads() == 3

        # So does a sampler by itself, also where it is left in the middle, and where two overlap.
        wanted = [SampleRequest(problem_id="p", sample_index=i, prompt_ids=[1]) for i in range(4)]
        sampler = Sampler(Watching(words=6), get_order("ar"), CONFIG)
        assert sampler.workers == 3
        first, second = sampler.run(wanted), Sampler(Watching(words=6), get_order("ar"), CONFIG).run(wanted)
        next(first), next(second)
        first.close()
        assert torch.get_num_threads() == 1
        second.close()
        assert torch.get_num_threads() == 3
        assert set(inside) == {1}

        # So do two threads of the caller, of which the second begins and ends within the first.
        ends = {}

        def in_a_thread(_):
            run = sampler.run(wanted)
            next(run)
            ends["second"] = torch.get_num_threads()
            run.close()
            ends["after"] = torch.get_num_threads()

        def with_its_own(first):
            torch.set_num_threads(2)
            in_a_thread(first)

        def while_another_runs(work):
            first = Sampler(Watching(words=6), get_order("ar"), CONFIG).run(wanted)
            next(first)
            thread = threading.Thread(target=work, args=[first])
            thread.start()
            thread.join()
            first.close()

        while_another_runs(in_a_thread)
        assert ends == {"second": 1, "after": 3} and torch.get_num_threads() == 3
        # A thread that had set a number of its own has that one back.
        while_another_runs(with_its_own)
        assert ends["after"] == 2 and torch.get_num_threads() == 3
        # What another thread ends, as a collector may, is made good at the next beginning.
        while_another_runs(lambda first: first.close())
        assert Sampler(Watching(words=6), get_order("ar"), CONFIG).workers == 3
        flexeval.sample(Watching(words=6), ["dog"], config=CONFIG)
        assert torch.get_num_threads() == 3

        # One sample at a time has them all.
        inside.clear()
        flexeval.sample(Watching(words=6), ["dog"], config=CONFIG)
        assert set(inside) == {3}
    finally:
        torch.set_num_threads(threads)
