"""What the files of a model on this machine say of it before its weights are loaded: enough to refuse settings and
prompts that it cannot have.
"""

from __future__ import annotations

from dataclasses import dataclass

from flexeval.errors import InputError
from flexeval.models.attention import Attention, parse_attention
from flexeval.models.families import blueprint_of
from flexeval.models.files import find_checkpoint
from flexeval.models.places import is_here
from flexeval.models.vocabulary import TextCodec, load_tokenizer


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A model of a known family, without its weights."""

    name: str
    attention: Attention
    max_length: int
    """Longest canvas."""
    takes_twins: bool
    """As of `NativePredictor`."""
    codec: TextCodec | None
    """None without a tokenizer."""


def outline(spec: str, *, attention: str | None = None, adapter: str | None = None) -> Outline | None:
    """The outline of a model.

    Args:
        spec: as `load_model`, as the other two.
        attention: the rule of its training, where the user names one.
        adapter: for it.

    Returns:
        None where the model is not on this machine or of no known family, or where loading it says what is wrong.
    """
    if not is_here(spec) or not (adapter is None or is_here(adapter)):
        return None
    try:
        checkpoint = find_checkpoint(spec, adapter=adapter)
        if checkpoint.family is None:
            return None
        rule = checkpoint.attention(parse_attention(attention) if attention is not None else None)
        longest = blueprint_of(checkpoint.family, checkpoint.config).max_length
        tokenizer = load_tokenizer(checkpoint.folder)
    except InputError:
        return None
    codec = tokenizer and TextCodec(tokenizer, name=checkpoint.name, chat=checkpoint.chat, silent_ids=frozenset())
    return Outline(
        name=checkpoint.name,
        attention=rule,
        max_length=longest,
        takes_twins=rule.is_full and not checkpoint.family.shifted,
        codec=codec,
    )
