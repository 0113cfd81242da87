"""How long samples take on this machine: a few are drawn, for a few seconds at most, and the clock is read.

One answer for two questions: the minutes of a dry run, and the forecast of a run that begins. It knows neither how a
task is graded nor what else the machine does.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

from flexeval.models.predictor import MaskPredictor, encode_prompt
from flexeval.orders import Order, get_order
from flexeval.orders.parallel import Parallel
from flexeval.records import RunConfig
from flexeval.runs.identity import run_prompt
from flexeval.sampling import Sampler, SampleRequest
from flexeval.sampling.schedule import num_steps
from flexeval.tasks import Task
from flexeval.tasks.task import problems_of

PROBLEMS, SAMPLES = 6, 8
"""How many samples of how many problems are drawn."""
WARM_SECONDS, SECONDS = 2.0, 4.0
"""How long at most: first one sample of each problem, with what is only done once, as choosing kernels; then all, which
are timed."""
WORTH_SECONDS = 60.0
"""A run of less is not timed."""
_FASTEST = {"cpu": 1e11}
_FASTEST_GPU = 1e14
_SHORTEST = 1e-4
"""What a run is first taken to need, to find out whether timing is worth it: operations a second, and seconds an
evaluation whatever the model."""


Prompts = Sequence[tuple[str, Sequence[int]]]
"""Id and tokens of each problem's prompt."""


def first_prompts(config: RunConfig, task: Task, model: MaskPredictor) -> Prompts:
    """Those of the problems that are timed. Raises InputError for a prompt that does not fit."""
    length = config.sampling.gen_length
    return [
        (problem.id, encode_prompt(model, run_prompt(config, task, problem), length, of=problem.id))
        for problem in problems_of(task)[:PROBLEMS]
    ]


def seconds_per_sample(
    config: RunConfig, model: MaskPredictor, prompts: Prompts, make_sampler: Callable[..., Any]
) -> float:
    """Wall-clock seconds that a sample of a run takes, without grading; those of the same problem are drawn together.

    Where the few samples take longer than `SECONDS`, it goes by the evaluations that were made until then, and by how
    many the first samples took; where these were not finished either, by all that a sample can need, an upper bound.

    Args:
        config: the run.
        model: of `config.model`, on the device that the run would use.
        prompts: the first ones are used.
        make_sampler: called as `flexeval.sampling.Sampler`.

    Raises:
        InputError: as the run would.
    """
    order = _Stopping.of(get_order(config.order))
    sampler = make_sampler(model, order.order, config.sampling)
    requests = [
        SampleRequest(problem_id=name, sample_index=i, prompt_ids=list(ids))
        for name, ids in prompts[:PROBLEMS]
        for i in range(min(SAMPLES, config.num_samples))
    ]
    first = [request for request in requests if request.sample_index == 0]
    each = float(evaluations_per_sample(config))
    if order.drawn(sampler, first, WARM_SECONDS):
        each = sampler.counters.evaluations / len(first)
    before, began = int(sampler.counters.evaluations), time.perf_counter()
    finished = order.drawn(sampler, requests, SECONDS)
    seconds = time.perf_counter() - began
    if finished:
        return seconds / len(requests)
    return seconds / max(int(sampler.counters.evaluations) - before, 1) * each


def forecast(
    config: RunConfig,
    model: MaskPredictor,
    prompts: Prompts,
    make_sampler: Callable[..., Any],
    *,
    missing: int,
) -> float | None:
    """Seconds that so many samples of a run take; None where it is less than a minute, or looks like it.

    Args:
        config: the run.
        model: as of `seconds_per_sample`.
        prompts: as of `seconds_per_sample`.
        make_sampler: as of `seconds_per_sample`.
        missing: how many samples.
    """
    evaluations = missing * evaluations_per_sample(config)
    length = config.sampling.gen_length + max(len(ids) for _, ids in prompts)
    operations = 2 * _size(model) * length
    fastest = _FASTEST.get(str(model.device), _FASTEST_GPU)
    if evaluations * max(operations / fastest, _SHORTEST) < WORTH_SECONDS:
        return None
    seconds = missing * seconds_per_sample(config, model, prompts, make_sampler)
    return seconds if seconds >= WORTH_SECONDS else None


def evaluations_per_sample(config: RunConfig) -> int:
    """At most the evaluations that one sample needs; guidance counts two a step."""
    sampling, order = config.sampling, get_order(config.order)
    full, rest = divmod(sampling.gen_length, sampling.block)
    blocks = [sampling.block] * full + ([rest] if rest else [])
    if isinstance(order, Parallel):
        steps = sum(-(-block // order.k) for block in blocks)
    elif order.adaptive:
        steps = sum(map(order.most_steps, blocks))
    else:
        steps = sum(num_steps(sampling, block) for block in blocks)
    return steps * (2 if sampling.cfg_scale else 1)


def _size(model: MaskPredictor) -> int:
    """Numbers in the weights; 0 where the model does not tell."""
    module = getattr(model, "module", None)
    return sum(weights.numel() for weights in module.parameters()) if module is not None else 0


class _Enough(Exception):
    """It has taken long enough."""


class _Stopping:
    """An order that stops the sampler after a time: it is asked at every step."""

    def __init__(self) -> None:
        self.order: Any = None
        self._until = 0.0

    @classmethod
    def of(cls, order: Order) -> _Stopping:
        """The same order, with a way to stop it."""
        made = cls()

        class Timed(type(order)):  # type: ignore[misc] # its class is known only now
            def __call__(self, state: Any) -> Any:
                if time.perf_counter() > made._until:
                    raise _Enough
                return super().__call__(state)

        values = {field.name: getattr(order, field.name) for field in dataclasses.fields(order) if field.init}
        made.order = Timed(**values)
        return made

    def drawn(self, sampler: Sampler, requests: Sequence[SampleRequest], seconds: float) -> bool:
        """Draw samples, or as much of them as is possible in a time; whether they are all there."""
        self._until = time.perf_counter() + seconds
        try:
            for _ in sampler.run(requests):
                pass
        except _Enough:
            return False
        return True
