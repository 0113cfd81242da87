"""How long samples take on this machine: a few are drawn, for a few seconds at most, and the clock is read.

One answer for two questions: the minutes of a dry run, and the forecast of a run that begins. It knows neither how a
task is graded nor what else the machine does.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from flexeval.models.predictor import MaskPredictor, encode_prompt
from flexeval.orders import Order, get_order
from flexeval.orders.order import ask_most_steps
from flexeval.orders.parallel import Parallel
from flexeval.records import RunConfig
from flexeval.runs.identity import run_prompt
from flexeval.sampling import Sampler, SampleRequest
from flexeval.sampling.schedule import num_steps
from flexeval.tasks import Task
from flexeval.tasks.task import problems_of

PROBLEMS, SAMPLES, FEW = 32, 128, 16
"""How many samples of how many problems are drawn at most: as many at once as fill the sampler, since a step of a full
one takes hardly longer than one of a few. Samples of one problem share canvases, so they are as many as in the run, or
few where so many would hardly be finished in time."""
TOGETHER = 4
"""How many times as fast samples are drawn together as one by itself, at least."""
WARM_SECONDS, SECONDS = 1.0, 5.0
"""How long at most: first one sample, with what is only done once, as choosing kernels; then all, which are timed."""
WORTH_SECONDS = 60.0
"""A run of less is not timed."""
_FASTEST = {"cpu": 1e11}
_FASTEST_GPU = 1e14
_SHORTEST = 1e-4
"""What a run is first taken to need, to find out whether timing is worth it: operations a second, and seconds an
evaluation whatever the model."""

T = TypeVar("T")
Prompts = Sequence[tuple[str, Sequence[int]]]
"""Id and tokens of each problem's prompt."""


def timed_prompts(config: RunConfig, task: Task, model: MaskPredictor) -> Prompts:
    """Those of some of the run's problems. Raises InputError for a prompt that does not fit."""
    length = config.sampling.gen_length
    return [
        (problem.id, encode_prompt(model, run_prompt(config, task, problem), length, of=problem.id))
        for problem in _some(problems_of(task)[: config.limit])
    ]


def _some(items: Sequence[T]) -> list[T]:
    """At random: the first ones may be harder than the rest."""
    return random.Random(0).sample(items, min(PROBLEMS, len(items)))


def seconds_per_sample(
    config: RunConfig, model: MaskPredictor, prompts: Prompts, make_sampler: Callable[..., Any]
) -> float:
    """Wall-clock seconds that a sample of a run takes, without grading; those of the same problem are drawn together.

    Where the first of them take longer than `SECONDS`, it goes by the evaluations of the second half of that time,
    since canvases that have just begun are equal and share theirs, and takes samples that are not finished to need as
    many as a sample can. That is rough: canvases go on to differ, which makes it too short, and texts end early, which
    makes it too long.

    Args:
        config: the run.
        model: of `config.model`, on the device that the run would use.
        prompts: of the run's problems; some are used, at random.
        make_sampler: called as `flexeval.sampling.Sampler`.

    Raises:
        InputError: as the run would.
    """
    order = _Stopping.of(get_order(config.order))
    sampler = make_sampler(model, order.order, config.sampling)

    def requests(problems: Prompts, samples: int) -> list[SampleRequest]:
        return [
            SampleRequest(problem_id=name, sample_index=i, prompt_ids=list(ids))
            for name, ids in problems
            for i in range(samples)
        ]

    began = time.perf_counter()
    prompts = _some(prompts)
    order.drawn(sampler, requests(prompts[:1], 1), WARM_SECONDS)
    alone = time.perf_counter() - began
    samples = min(SAMPLES, config.num_samples)
    if samples * alone > TOGETHER * SECONDS:
        samples = min(FEW, samples)
    at_once = -(-sampler.batch_size // samples)

    # One sampler full after the other, until the time is over.
    timed, drawn = 0.0, 0
    for first in range(0, len(prompts), at_once):
        asked = requests(prompts[first : first + at_once], samples)
        began = time.perf_counter()
        finished = order.drawn(sampler, asked, SECONDS - timed)
        seconds = time.perf_counter() - began
        if len(finished) < len(asked):
            if drawn:
                break
            unfinished = (len(asked) - len(finished)) * evaluations_per_sample(config)
            each = (sum(finished) + unfinished) / len(asked)
            return order.seconds_per_evaluation(began + seconds / 2) * each
        timed, drawn = timed + seconds, drawn + len(asked)
    return timed / drawn


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
        steps = sum(ask_most_steps(order, block) for block in blocks)
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
        self._sampler: Any = None
        self._steps: list[tuple[float, int]] = []
        """When the order was asked, and the evaluations until then."""

    @classmethod
    def of(cls, order: Order) -> _Stopping:
        """The same order, with a way to stop it."""
        made = cls()

        class Timed(type(order)):  # type: ignore[misc] # its class is known only now
            def __call__(self, state: Any) -> Any:
                made._step()
                return super().__call__(state)

        values = {field.name: getattr(order, field.name) for field in dataclasses.fields(order) if field.init}
        made.order = Timed(**values)
        return made

    def drawn(self, sampler: Sampler, requests: Sequence[SampleRequest], seconds: float) -> list[int]:
        """Draw samples, or as much of them as is possible in a time; the evaluations of those that are there."""
        now = time.perf_counter()
        self._until, self._sampler, self._steps = now + seconds, sampler, [(now, sampler.counters.evaluations)]
        finished: list[int] = []
        try:
            for trajectory in sampler.run(requests):
                finished.append(trajectory.nfe)
        except _Enough:
            pass
        return finished

    def seconds_per_evaluation(self, since: float) -> float:
        """Of those after a time, or of all where hardly any were."""
        late = [step for step in self._steps if step[0] >= since]
        steps = late if len(late) >= 4 else self._steps
        (began, before), (ended, after) = steps[0], steps[-1]
        return (ended - began) / max(after - before, 1)

    def _step(self) -> None:
        now = time.perf_counter()
        self._steps.append((now, self._sampler.counters.evaluations))
        if now > self._until:
            raise _Enough
