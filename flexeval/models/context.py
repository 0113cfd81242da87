"""Is an encoded prompt one that the model can go on from, and is there room for the answer?"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

from flexeval.errors import InputError, PluginError, shortened
from flexeval.records import Prompt

if TYPE_CHECKING:
    from flexeval.models.predictor import MaskPredictor


def encode_prompt(model: MaskPredictor, prompt: Prompt, gen_length: int, *, of: str) -> list[int]:
    """The token ids of a prompt that the model can go on from.

    Args:
        model: its vocabulary and its `max_length` are the limits.
        prompt: what it is given.
        gen_length: generated positions.
        of: the problem, for messages; a part of it where it is long.

    Raises:
        InputError: an empty prompt, or one that leaves no room for the answer.
        PluginError: what the model answers are no token ids of its vocabulary.
    """
    ids = model.encode(prompt)
    try:
        wrong = next((token for token in ids if not 0 <= operator.index(token) < model.vocab_size), None)
    except TypeError:
        raise PluginError(
            f"model {model.name!r}: encode() must answer a list of token ids, not {shortened(repr(ids), 60)}"
        ) from None
    if wrong is not None:
        raise PluginError(
            f"model {model.name!r}: encode() gave token {wrong}, but the vocabulary has {model.vocab_size} tokens; "
            "the tokenizer is another model's, or vocab_size is too small"
        )
    ids = list(map(int, ids))
    check_prompt(model, len(ids), gen_length, of=of)
    return ids


def check_prompt(model: MaskPredictor, prompt_length: int, gen_length: int, *, of: str) -> None:
    """Refuse a problem whose canvas is longer than the model's context; arguments as of `encode_prompt`."""
    total = prompt_length + gen_length
    if total > model.max_length:
        raise InputError(
            f"the prompt of {shortened(of, 60)!r} has {prompt_length} tokens; with gen_length {gen_length} that is "
            f"{total}, more than the {model.max_length} of model {model.name!r}; use a shorter gen_length or prompt"
        )


def check_fits(model: MaskPredictor, prompt_length: int, gen_length: int) -> None:
    """Refuse a canvas that is longer than the model's context.

    Args:
        model: its `max_length` is the limit.
        prompt_length: tokens of the encoded prompt.
        gen_length: generated positions.

    Raises:
        InputError: prompt and generated positions together exceed the limit.
    """
    if prompt_length + gen_length <= model.max_length:
        return
    room = model.max_length - prompt_length
    advice = f"use a gen_length of at most {room}" if room > 0 else "shorten the prompt"
    raise InputError(
        f"a prompt of {prompt_length} tokens and {gen_length} generated positions do not fit into the "
        f"{model.max_length} positions of {model.name!r}; {advice}"
    )
