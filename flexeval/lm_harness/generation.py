"""Many samples, each with settings of its own; samples with equal settings are drawn in one batch.

Each sample is looked up before it is drawn, and stored right afterwards. Knows token ids and texts, not lm-eval.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from flexeval.lm_harness.arguments import Generation
from flexeval.lm_harness.cache import AnswerCache
from flexeval.models.predictor import MaskPredictor, text_of
from flexeval.orders import get_order
from flexeval.sampling import Sampler, SampleRequest


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One text that is asked for."""

    task: Hashable
    """Samples of different tasks may have the same key, and other prompts."""
    generation: Generation
    request: SampleRequest


class Generator:
    """Draws the texts that are wanted. A text does not depend on what else is drawn."""

    def __init__(self, predictor: MaskPredictor, *, batch_size: int | None, workers: int) -> None:
        """
        Args:
            predictor: the model.
            batch_size: samples in flight; None chooses for the device.
            workers: forwards side by side.
        """
        self.cache = AnswerCache(None)
        self._predictor = predictor
        self._batch_size = batch_size
        self._workers = workers

    def texts(self, wanted: Sequence[Wanted], done: Callable[[], object]) -> list[str]:
        """The texts, in the order in which they are wanted, each up to the first of its `until`.

        Args:
            wanted: the samples.
            done: called once for each as soon as it is there.

        Raises:
            InputError: settings that exclude each other, or a prompt that does not fit.
        """
        # Requests that differ only in `until` are drawn together.
        alike: dict[tuple[Hashable, Generation], list[int]] = defaultdict(list)
        for number, one in enumerate(wanted):
            alike[one.task, dataclasses.replace(one.generation, until=())].append(number)

        texts = [""] * len(wanted)

        def answer(number: int, text: str) -> None:
            texts[number] = _cut(text, wanted[number].generation.until)
            done()

        for (_, generation), numbers in alike.items():
            self._draw(generation, {number: wanted[number].request for number in numbers}, answer)
        return texts

    def _draw(
        self, generation: Generation, requests: dict[int, SampleRequest], answer: Callable[[int, str], None]
    ) -> None:
        """Answer requests with equal settings: from the cache, or by sampling."""
        # The same sample may be wanted twice: lm-eval pads the lists of several processes to one length.
        numbers: dict[tuple[str, int], list[int]] = defaultdict(list)
        for number, request in requests.items():
            numbers[request.problem_id, request.sample_index].append(number)
        missing: dict[str, SampleRequest] = {}
        for same in numbers.values():
            key = self._key(generation, requests[same[0]])
            text = self.cache.get(key)
            if text is None:
                missing[key] = requests[same[0]]
                continue
            for number in same:
                answer(number, text)

        sampler = Sampler(
            self._predictor,
            get_order(generation.order),
            generation.sampling,
            batch_size=self._batch_size,
            workers=self._workers,
        )
        keys = {(request.problem_id, request.sample_index): key for key, request in missing.items()}
        for trajectory in sampler.run(missing.values()):
            sample = (trajectory.problem_id, trajectory.sample_index)
            text = text_of(self._predictor, trajectory.token_ids_G[: trajectory.length].tolist())
            self.cache.put(keys[sample], text)
            for number in numbers[sample]:
                answer(number, text)

    def _key(self, generation: Generation, request: SampleRequest) -> str:
        return self.cache.key(
            "sample",
            generation.order,
            dataclasses.asdict(generation.sampling),
            request.problem_id,
            request.sample_index,
            request.prompt_ids,
        )


def _cut(text: str, until: Sequence[str]) -> str:
    """The text before the first of some strings."""
    return text[: min((place for place in map(text.find, until) if place >= 0), default=len(text))]
