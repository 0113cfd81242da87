"""The only denoising loop: samples come in, take steps together, and leave as soon as they are done.

See docs/design.md, section 4, for what it promises. What happens within a step is in `step.py`.

With several workers, samples go in two lanes that take turns: while the canvases of one are evaluated, the other's step
is finished and its next one started. One thread runs both, so what goes together depends on no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import torch

from flexeval.errors import InputError, InputTypeError
from flexeval.fields import require_whole
from flexeval.models.predictor import MaskPredictor, check_fits, check_predictor
from flexeval.orders.order import Order, check_order
from flexeval.records import LARGEST_BATCH, SamplingConfig, Trajectory
from flexeval.sampling.evaluate import Counters, Evaluator
from flexeval.sampling.lane import Lane
from flexeval.sampling.slots import SampleRequest

AUTO_BATCH = {"cpu": 64, "gpu": 128}
"""Samples in flight in a lane, by device."""
AUTO_FORWARD = {"cpu": 32, "gpu": 128}
"""Canvases per forward, by device: enough to make the work outweigh the calls."""


class Sampler:
    """Draws samples from a mask predictor in a decoding order.

    A sample is a function of (model, order, config, problem id, sample index): not of the batch size, of the other
    samples, or of when it is drawn. In float32 that holds but where two numbers are within rounding of each other; in
    half precision a model's numbers change visibly with the batch, and it holds with `config.batch_invariant` only.
    """

    def __init__(
        self,
        predictor: MaskPredictor,
        order: Order,
        config: SamplingConfig,
        *,
        batch_size: int | None = None,
        workers: int = 1,
    ) -> None:
        """
        Args:
            predictor: the model.
            order: the decoding order.
            config: lengths, schedule, temperature, seed.
            batch_size: samples in flight at most, in both lanes; None chooses for the device. As said above,
                changes no sample in float32.
            workers: forwards side by side, each in a thread of its own. On a CPU and with `torch.set_num_threads(1)`
                a small model is evaluated faster so than by threads within its operations. Without effect on other
                devices. As `batch_size`, changes no sample in float32.

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
        if order.adaptive and (config.steps is not None or config.tokens_per_step is not None):
            raise InputError(
                f"order {order.name!r} decides itself how many tokens a step commits; "
                "leave out steps and tokens_per_step"
            )
        device = "cpu" if predictor.device.type == "cpu" else "gpu"
        self.predictor = predictor
        self.order = order
        self.config = config
        self._lane_count = min(2, workers, batch_size or workers) if device == "cpu" else 1
        self._lane_size = batch_size // self._lane_count if batch_size else AUTO_BATCH[device]
        self.batch_size = self._lane_count * self._lane_size
        """Samples in flight at most."""
        self.workers = workers
        forward_batch = min(self._lane_size, AUTO_FORWARD[device])
        self._evaluator = Evaluator(predictor, config, forward_batch=forward_batch, workers=workers)

    @property
    def counters(self) -> Counters:
        """Evaluations so far, and how many were computed after merging equal canvases."""
        return self._evaluator.counters

    def run(self, requests: Iterable[SampleRequest]) -> Iterator[Trajectory]:
        """Draw samples; each is yielded as soon as it is finished, so not in the order of the requests.

        Consecutive requests with the same prompt start together where slots allow, so that their equal
        canvases merge; a slot that becomes free waits only until the next such group fits.

        Raises:
            InputError: a prompt that does not fit the model's context.
            PluginError: an order that answers something else than positions to commit, or a model something else than
                logits.
        """
        groups = self._groups(requests)
        waiting: list[SampleRequest] = next(groups, [])
        lanes = [Lane(self._evaluator, self.order, self.config, size=self._lane_size) for _ in range(self._lane_count)]
        try:
            while True:
                for lane in lanes:
                    # Finish the lane's step and hand out the samples that are done.
                    with torch.inference_mode():
                        finished = lane.finish()
                    yield from finished

                    # Refill, a whole group at a time, where there is most room.
                    while waiting and (emptiest := max(lanes, key=lambda lane: lane.room)).room >= len(waiting):
                        emptiest.take(waiting)
                        waiting = next(groups, [])

                    # Start the lane's next step.
                    with torch.inference_mode():
                        lane.begin()
                if not any(lane.busy for lane in lanes):
                    return
        finally:
            for lane in lanes:
                lane.cancel()

    def _groups(self, requests: Iterable[SampleRequest]) -> Iterator[list[SampleRequest]]:
        """Consecutive requests with the same prompt, as many as a lane holds."""
        for _, same_prompt in groupby(requests, key=lambda request: request.prompt_ids):
            group: list[SampleRequest] = []
            for request in same_prompt:
                check_fits(self.predictor, len(request.prompt_ids), self.config.gen_length, of=request.problem_id)
                group.append(request)
                if len(group) == self._lane_size:
                    yield group
                    group = []
            if group:
                yield group
