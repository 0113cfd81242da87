"""Samples that take their steps together: places for them, their records, and the step that is under way."""

from __future__ import annotations

from collections.abc import Sequence

from flexeval.orders.order import Order
from flexeval.records import SamplingConfig, Trajectory
from flexeval.sampling.evaluate import Evaluator
from flexeval.sampling.recorder import Recorder
from flexeval.sampling.slots import SampleRequest, Slots
from flexeval.sampling.step import Stepper
from flexeval.sampling.view import View


class Lane:
    """A fixed number of places, and one step at a time for the samples in them."""

    def __init__(self, evaluator: Evaluator, order: Order, config: SamplingConfig, *, size: int) -> None:
        """
        Args:
            evaluator: where the model is; lanes may share it.
            order: the decoding order.
            config: lengths, schedule, temperature, seed.
            size: samples at most.
        """
        self._slots = Slots(
            size,
            config,
            adaptive=order.adaptive,
            mask_id=evaluator.predictor.mask_id,
            stop_ids=evaluator.predictor.stop_ids,
        )
        self._recorder = Recorder(size, config.gen_length)
        self._stepper = Stepper(evaluator, order, config, self._slots, self._recorder)
        self._step: View | None = None

    @property
    def busy(self) -> bool:
        """Whether it holds samples."""
        return len(self._slots.active) > 0

    @property
    def room(self) -> int:
        """Places that are free."""
        return len(self._slots.free)

    def take(self, group: Sequence[SampleRequest]) -> None:
        """Take all samples of a group, for which there must be room; they join at the next step that begins."""
        for slot, request in zip(self._slots.free, group, strict=False):
            self._slots.place(slot, request)
            self._recorder.clear(slot)

    def begin(self) -> None:
        """Start a step of all samples, if there are any."""
        slots_R = self._slots.active
        self._step = self._stepper.begin(slots_R) if len(slots_R) else None

    def finish(self) -> list[Trajectory]:
        """Finish the step that was begun, if one was; the samples that are done leave."""
        step, self._step = self._step, None
        if step is None:
            return []
        slots_R = step.slots_R
        self._stepper.finish(step)
        done = slots_R[self._slots.finished(slots_R)].tolist()
        trajectories = [self._recorder.trajectory(slot, self._slots) for slot in done]
        for slot in done:
            self._slots.release(slot)
        return trajectories

    def cancel(self) -> None:
        """Take back what is left of the step that was begun."""
        if self._step is not None:
            self._step.evaluation.cancel()
