"""Does a prompt fit into the model's context?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flexeval.errors import InputError

if TYPE_CHECKING:
    from flexeval.models.predictor import MaskPredictor


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
