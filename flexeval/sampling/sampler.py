"""The only denoising loop: samples come in, take steps together, and leave as soon as they are done.

docs/design.md, section 4, says what it promises. `step.py` says what happens within a step.

With several workers, samples go in two lanes that take turns: while the canvases of one lane are evaluated, the other
lane's step is finished and its next one started. One thread runs both, so batching is deterministic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache, partial
from itertools import groupby
from typing import Any

import torch

from flexeval.errors import InputError, InputTypeError
from flexeval.fields import require_whole
from flexeval.models.attention import Attention
from flexeval.models.predictor import MaskPredictor, attention_of, check_fits, check_predictor
from flexeval.orders.order import Order, ask_most_steps, check_order
from flexeval.records import LARGEST_BATCH, SamplingConfig, Trajectory
from flexeval.sampling.canvas import CanvasBatch, SampleRequest
from flexeval.sampling.drift import Drift
from flexeval.sampling.engine import running, side_by_side
from flexeval.sampling.forward import Counters, Forward, limits_of
from flexeval.sampling.prefixes import can_go_on, check_cache
from flexeval.sampling.revising import RevisingBatch, RevisingStep
from flexeval.sampling.schedule import fit_block
from flexeval.sampling.step import Step


def check_pace(order: Order, config: SamplingConfig) -> None:
    """Raise InputError for a number of steps under an order that decides itself."""
    paced = (config.steps, config.tokens_per_step, config.steps_per_block)
    if order.adaptive and any(pace is not None for pace in paced):
        raise InputError(
            f"order {order.name!r} decides itself how many tokens a step commits; "
            "leave out steps, tokens_per_step and steps_per_block"
        )


def fitting_settings(
    order: Order, config: SamplingConfig, *, name: str, attention: Attention, takes_twins: bool, goes_on: bool
) -> SamplingConfig:
    """The settings with the block length that is in force under a model, of which so much is known.

    Args:
        order: the decoding order.
        config: the settings.
        name: of the model.
        attention: its rule.
        takes_twins: whether its `hidden` takes twins.
        goes_on: whether it can go on from keys and values.

    Raises:
        InputError: settings that exclude each other, or that the model cannot have.
    """
    check_pace(order, config)
    if "unseen" in order.reads and not takes_twins:
        raise InputError(
            f"order {order.name!r} looks at tokens through masks that stand beside them, which needs a model on "
            f"flexeval's own layers with full attention and unshifted predictions, unlike {name!r}; use "
            "another model, or an order such as t2m"
        )
    check_cache(config, attention, name=name, goes_on=goes_on, revises=order.revises)
    return fit_block(config, attention, name=name)


class Sampler:
    """Draws samples from a mask predictor in a decoding order.

    A sample is a function of (model, order, config, problem id, sample index). It does not depend on the batch size, on
    the other samples, or on when it is drawn. In float32 that holds except where two numbers are within rounding of
    each other. In half precision a model's numbers change visibly with the batch, and it holds only with
    `config.batch_invariant`.
    """

    def __init__(
        self,
        predictor: MaskPredictor,
        order: Order,
        config: SamplingConfig,
        *,
        batch_size: int | None = None,
        workers: int | None = None,
    ) -> None:
        """
        Args:
            predictor: the model.
            order: the decoding order.
            config: lengths, schedule, temperature, seed.
            batch_size: samples in flight at most, in both lanes; None chooses for the device, and lets a lane hold more
                if they are of one problem. Changes no sample in float32, see above.
            workers: forwards side by side, each in its own thread; None takes one for each of torch's threads, which
                are divided among them while `run` draws (see `engine.py`). On a CPU only. Changes no sample in float32.

        Raises:
            InputError: settings that exclude each other.
            PluginError: a model or an order that does not keep its contract.
        """
        check_predictor(predictor)
        check_order(order)
        if not isinstance(config, SamplingConfig):
            raise InputTypeError(f"config must be a SamplingConfig, not a {type(config).__name__}")
        if batch_size is not None:
            require_whole(batch_size, what="batch size", least=1, most=LARGEST_BATCH)
        config = fitting_settings(
            order,
            config,
            name=predictor.name,
            attention=attention_of(predictor),
            takes_twins=bool(getattr(predictor, "takes_twins", False)),
            goes_on=can_go_on(predictor),
        )
        self.predictor = predictor
        self.order = order
        # Asked once for each size: were the answer another at each step, a block might end with masks.
        self._most_steps = cache(partial(ask_most_steps, order))
        self.config = config
        """With the block length in force."""
        limits = limits_of(predictor)
        workers = min(side_by_side(predictor) if workers is None else workers, batch_size or LARGEST_BATCH)
        self._lanes = min(2, workers) if predictor.device.type == "cpu" else 1
        self._lane_size = batch_size // self._lanes if batch_size else limits.samples
        self.batch_size = self._lanes * self._lane_size
        """Samples in flight at most, unless more of one problem go together."""
        # Equal canvases of a problem merge only within a lane.
        alone = batch_size is not None or "drift" in order.reads
        self._group_size = self._lane_size if alone else max(self._lane_size, limits.group)
        self.workers = workers
        forward_batch = min(self._lane_size, limits.canvases)
        forward = Forward(predictor, config, batch_size=forward_batch, workers=workers)
        self._forwards = [forward, *(forward.another() for _ in range(1, self._lanes))]

    @property
    def counters(self) -> Counters:
        """Evaluations so far, and how many were computed after equal canvases were merged."""
        return Counters(
            evaluations=sum(forward.counters.evaluations for forward in self._forwards),
            distinct=sum(forward.counters.distinct for forward in self._forwards),
        )

    def run(self, requests: Iterable[SampleRequest]) -> Iterator[Trajectory]:
        """Draw samples. Each is yielded as soon as it is finished, so not in the order of the requests.

        Consecutive requests with the same prompt start together if there is room, so that their equal canvases merge.
        A free row waits only until the next such group fits.

        Raises:
            InputError: a prompt that does not fit the model's context.
            PluginError: an order that returns something other than positions to commit, or a model that returns
                something other than logits.
        """
        with running(self.predictor, self.workers):
            yield from self._run(requests)

    def _run(self, requests: Iterable[SampleRequest]) -> Iterator[Trajectory]:
        groups = self._groups(requests)
        waiting: list[SampleRequest] = next(groups, [])
        batches = [self._empty_batch(self._lane_size) for _ in range(self._lanes)]
        steps: dict[int, Step] = {}
        try:
            while True:
                for lane in range(self._lanes):
                    # Finish the lane's step and hand out the samples that are done.
                    if lane in steps:
                        with torch.inference_mode():
                            steps.pop(lane).finish()
                        yield from batches[lane].pop_finished()

                    # Refill, a whole group at a time, where there is most room.
                    while waiting and self._add(waiting, batches):
                        waiting = next(groups, [])

                    # Start the lane's next step.
                    if len(batches[lane].rows):
                        with torch.inference_mode():
                            steps[lane] = self._step(batches[lane], self._forwards[lane])
                if not any(len(batch.rows) for batch in batches):
                    return
        finally:
            for step in steps.values():
                step.cancel()
            # The weights may be others at the next call.
            for forward in self._forwards:
                forward.forget()

    def _add(self, group: list[SampleRequest], batches: list[CanvasBatch]) -> bool:
        """Put a group into the emptiest lane; whether there is room. An empty lane has room for any group."""
        count, lane = min((len(batch.rows), lane) for lane, batch in enumerate(batches))
        if count and count + len(group) > self._lane_size:
            return False
        if not count and len(group) > batches[lane].size:
            batches[lane] = self._empty_batch(len(group))
        batches[lane].add(group)
        return True

    def _empty_batch(self, size: int) -> CanvasBatch:
        common: dict[str, Any] = {
            "mask_id": self.predictor.mask_id,
            "stop_ids": self.predictor.stop_ids,
            "attention": attention_of(self.predictor),
        }
        if "drift" in self.order.reads:
            common["drift"] = Drift(size, self.config.gen_length, self.order.history)
        if self.order.revises:
            return RevisingBatch(size, self.config, most_steps=self._most_steps, **common)
        return CanvasBatch(size, self.config, adaptive=self.order.adaptive, **common)

    def _step(self, batch: CanvasBatch, forward: Forward) -> Step:
        forward.in_flight = lambda: (*batch.canvases(batch.rows), batch.window_end_B[batch.rows])
        kind = RevisingStep if isinstance(batch, RevisingBatch) else Step
        return kind(batch, self.order, self.config, forward)  # type: ignore[arg-type] # each has its batch

    def _groups(self, requests: Iterable[SampleRequest]) -> Iterator[list[SampleRequest]]:
        """Consecutive requests with the same prompt, at most as many as go together."""
        for _, same_prompt in groupby(requests, key=lambda request: request.prompt_ids):
            group: list[SampleRequest] = []
            for request in same_prompt:
                check_fits(self.predictor, len(request.prompt_ids), self.config.gen_length, of=request.problem_id)
                group.append(request)
                if len(group) == self._group_size:
                    yield group
                    group = []
            if group:
                yield group
