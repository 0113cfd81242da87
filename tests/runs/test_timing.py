"""Timing: what a few samples take is what they are said to take, and it never takes long."""

from __future__ import annotations

import dataclasses
import json
import time
from types import SimpleNamespace

import pytest

import flexeval
from flexeval.orders import get_order
from flexeval.records import RunConfig, SamplingConfig, SamplingEffort
from flexeval.runs import timing
from flexeval.runs.runner import Here
from flexeval.sampling import SampleRequest
from flexeval.tasks import get_task

SLOW = 0.01
"""Seconds of an evaluation."""


class StandIn:
    """A sampler that evaluates one canvas after the other, and asks the order before each."""

    def __init__(self, model, order, config, **options):
        self.order, self.config, self.counters = order, config, SamplingEffort()
        self.now, self.drawn, self.batch_size = model.clock, model.drawn, 48

    def run(self, requests):
        for request in requests:
            for _ in range(8):
                self.order(SimpleNamespace())
                self.now[0] += SLOW
                self.counters = SamplingEffort(evaluations=self.counters.evaluations + 1)
            self.drawn.append(request)
            yield SimpleNamespace(nfe=8)


@pytest.fixture
def model(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(type(get_order("ar")), "__call__", lambda self, state: state)
    return SimpleNamespace(clock=clock, drawn=[], device="cpu")


CONFIG = RunConfig(order="ar", num_samples=64, limit=50, sampling=SamplingConfig(gen_length=8))
PROMPTS = [(f"p{i}", [1, 2, 3]) for i in range(50)]


def test_whole_samples_are_timed_where_that_is_quick(model):
    """Two samplers full of 8 evaluations a sample: 1.92 s each, and a third would take longer than it may."""
    few = dataclasses.replace(CONFIG, num_samples=16)
    assert timing.seconds_per_sample(few, model, PROMPTS, StandIn) == pytest.approx(8 * SLOW)
    assert len(model.drawn) >= 1 + 48
    problem = model.drawn[17].problem_id
    assert model.drawn[17] == SampleRequest(problem_id=problem, sample_index=0, prompt_ids=[1, 2, 3])
    assert problem != model.drawn[1].problem_id


def test_the_problems_that_are_timed_are_of_the_whole_run(model):
    """Here the second half needs no evaluation at all, so a sample takes half as long on average."""

    class Uneven(StandIn):
        def run(self, requests):
            hard = [request for request in requests if int(request.problem_id[1:]) < 25]
            yield from super().run(hard)
            yield from (SimpleNamespace(nfe=0) for request in requests if request not in hard)

    alone = dataclasses.replace(CONFIG, num_samples=1)
    found = timing.seconds_per_sample(alone, model, PROMPTS, Uneven)
    assert 0.3 * 8 * SLOW < found < 0.7 * 8 * SLOW


def test_as_many_samples_of_a_problem_are_drawn_as_in_the_run(model, monkeypatch):
    """They share canvases, which few samples of many problems do not."""
    monkeypatch.setattr(timing, "SECONDS", 20.0)
    timing.seconds_per_sample(CONFIG, model, PROMPTS, StandIn)
    assert [request.sample_index for request in model.drawn[1:65]] == list(range(64))
    # One by itself takes so long that so many would not be finished in time.
    model.drawn.clear()
    monkeypatch.setattr(timing, "SECONDS", 1.0)
    timing.seconds_per_sample(CONFIG, model, PROMPTS, StandIn)
    assert {request.sample_index for request in model.drawn} <= set(range(16))


def test_else_the_evaluations_of_some_seconds_tell(model, monkeypatch):
    """Samples that are not finished by then are taken to need all that one can need."""
    monkeypatch.setattr(timing, "SECONDS", 0.5)
    began = model.clock[0]
    assert timing.seconds_per_sample(CONFIG, model, PROMPTS, StandIn) == pytest.approx(8 * SLOW, rel=0.05)
    assert model.clock[0] - began < 8 * SLOW + 0.5 + 2 * SLOW
    long = RunConfig(order="ar", num_samples=64, sampling=SamplingConfig(gen_length=64, block_length=64))
    finished = 6  # 8 evaluations of 0.01 s each in 0.5 s
    each = (finished * 8 + (48 - finished) * 64) / 48
    assert timing.seconds_per_sample(long, model, PROMPTS, StandIn) == pytest.approx(each * SLOW, rel=0.05)


def test_only_a_run_that_may_take_a_minute_is_timed(model):
    short = timing.forecast(CONFIG, model, PROMPTS, StandIn, missing=400)
    assert short is None and not model.drawn, "400 x 8 evaluations are no minute for any model"
    assert timing.forecast(CONFIG, model, PROMPTS, StandIn, missing=100_000) == pytest.approx(100_000 * 8 * SLOW)
    # By its size it might take a minute; timed, it does not.
    large = SimpleNamespace(numel=lambda: 10**10)
    model.module, model.drawn[:] = SimpleNamespace(parameters=lambda: [large]), []
    assert timing.forecast(CONFIG, model, PROMPTS, StandIn, missing=500) is None
    assert model.drawn


def test_a_real_sampler_is_stopped_and_draws_on_afterwards(monkeypatch):
    """Also with an order whose parameters decide; stopping leaves nothing behind that changes a sample."""
    model, task = flexeval.load_model("forks", device="cpu"), get_task("forks")
    monkeypatch.setattr(timing, "WARM_SECONDS", 0.0)
    monkeypatch.setattr(timing, "SECONDS", 0.05)
    monkeypatch.setattr(timing, "WORTH_SECONDS", 1e-6)
    for order in ("parallel-k:k=2", "wino"):
        config = RunConfig(
            model="forks", task="forks", order=order, num_samples=1, limit=2, sampling=SamplingConfig(gen_length=32)
        )
        here = Here(config, predictor=model, task=task, batch_size=2)
        began = time.perf_counter()
        forecast = here.forecast(2)
        assert forecast is not None and forecast > 0
        assert time.perf_counter() - began < 10
    before = [list(d.trajectory.token_ids_G) for d in here.drawn(iter([(here.problems[0].id, 0)]))]
    here.forecast(2)
    assert [list(d.trajectory.token_ids_G) for d in here.drawn(iter([(here.problems[0].id, 0)]))] == before


def test_the_forecast_is_kept_with_the_run(tmp_path, monkeypatch):
    from runs_fakes import CONFIG as FAKE
    from runs_fakes import make

    from flexeval.runs import runner
    from flexeval.runs.store import read_run

    monkeypatch.setattr(runner, "forecast", lambda *_, missing: 60.0 * missing)
    told = []
    made = make(FAKE, tmp_path / "run", progress=told.append)
    lines = [json.loads(line) for line in (made.folder / "sampling.jsonl").read_text().splitlines()]
    assert lines[0]["forecast"] == 60.0 * len(made.samples)
    assert not any("forecast" in line for line in lines[1:])
    assert {progress.forecast for progress in told} == {lines[0]["forecast"]}
    assert read_run(made.folder).complete
