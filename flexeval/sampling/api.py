"""Sampling without runs and tasks: prompts in, texts and their records out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

from flexeval.display import notebook_bar
from flexeval.errors import InputTypeError
from flexeval.fields import require_whole
from flexeval.models.predictor import MaskPredictor, check_predictor, encode_prompt, pieces_of, text_of
from flexeval.models.recommended import recommended_sampling
from flexeval.orders import Order, get_order
from flexeval.records import MOST, Prompt, Sample, SamplingConfig, Trajectory
from flexeval.sampling.canvas import SampleRequest
from flexeval.sampling.engine import side_by_side
from flexeval.sampling.sampler import Sampler


def sample(
    model: MaskPredictor,
    prompts: Sequence[str | Prompt],
    *,
    order: str | Order = "ar",
    config: SamplingConfig | None = None,
    num_samples: int = 1,
    batch_size: int | None = None,
) -> list[list[Sample]]:
    """Draw `num_samples` texts for each prompt: one list per prompt, in the order of the prompts.

    A prompt's samples depend on its tokens and `config.seed`, and not on the other prompts. (In half precision that
    holds only with `config.batch_invariant`.) A prompt that is given twice gets new samples the second time. A notebook
    shows a bar where that takes longer than a few seconds.

    Args:
        model: from `flexeval.load_model`.
        prompts: the user's turn, or a `Prompt` with a system text or a prefilled answer.
        order: `name`, `name:param=value,...` or an `Order`.
        config: None takes the length and the block that the model recommends, and otherwise the defaults of
            `SamplingConfig`. `flexeval.models.recommended.recommended_sampling(model, temperature=1.0)` changes some.
        num_samples: per prompt.
        batch_size: samples in flight; None chooses for the device. Changes no sample in float32, see `Sampler`.

    Returns:
        Samples, each with its text, and with the record of its decode as `sample.trajectory` and `sample.to_frame()`.

    Raises:
        InputError: an unknown order, an argument of the wrong type (then a TypeError as well), or a prompt that does
            not fit the model's context.
        PluginError: a model or an order that does not keep its contract.
    """
    # Refuse bad input before anything is drawn.
    if isinstance(prompts, str | Prompt) or not isinstance(prompts, Iterable):
        raise InputTypeError("prompts must be a list; for one prompt write [prompt]")
    # What gives its names or no order: the columns of a frame, the keys of a mapping.
    if isinstance(prompts, Mapping | set | frozenset) or hasattr(prompts, "columns"):
        raise InputTypeError(f"prompts must be a list of texts, not a {type(prompts).__name__}; write [...]")
    prompts = list(prompts)
    num_samples = require_whole(num_samples, what="num_samples", least=1, most=MOST)
    check_predictor(model)
    config = recommended_sampling(model) if config is None else config
    workers = side_by_side(model, most=max(1, len(prompts) * num_samples))
    sampler = Sampler(model, get_order(order), config, batch_size=batch_size, workers=workers)
    requests: list[SampleRequest] = []
    seen: Counter[str] = Counter()
    for prompt in prompts:
        if not isinstance(prompt, str | Prompt):
            raise InputTypeError(f"a prompt is a text or a flexeval.Prompt, not a {type(prompt).__name__}")
        asked = Prompt(user=prompt) if isinstance(prompt, str) else prompt
        ids = encode_prompt(model, asked, config.gen_length, of=asked.user)
        name = blake2b(repr(ids).encode(), digest_size=8).hexdigest()
        for _ in range(num_samples):
            requests.append(SampleRequest(problem_id=name, sample_index=seen[name], prompt_ids=ids))
            seen[name] += 1

    bar = notebook_bar(f"{len(prompts)} prompts")
    bar(0, len(requests))
    finished: dict[tuple[str, int], Trajectory] = {}
    for t in sampler.run(requests):
        finished[t.problem_id, t.sample_index] = t
        bar(len(finished), len(requests))
    samples = [_sample(model, finished[request.problem_id, request.sample_index]) for request in requests]
    return [samples[start : start + num_samples] for start in range(0, len(samples), num_samples)]


def _sample(model: MaskPredictor, trajectory: Trajectory) -> Sample:
    text, pieces = decoded(trajectory, model)
    return Sample(text=text, pieces=pieces, trajectory=trajectory)


def decoded(trajectory: Trajectory, model: MaskPredictor) -> tuple[str, list[str]]:
    """The text of a sample, and what each position adds to the text of the canvas."""
    token_ids = trajectory.token_ids_G.tolist()
    text_ids, rest_ids = token_ids[: trajectory.length], token_ids[trajectory.length :]
    # Apart, so that the pieces of the text join to it even where a character spans several tokens.
    return text_of(model, text_ids), [*pieces_of(model, text_ids), *pieces_of(model, rest_ids)]
