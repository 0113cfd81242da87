"""Which token ids mean mask, end of sequence and end of turn in a checkpoint.

Asks config.json first, then generation_config.json, then the tokenizer, then the names that a family gives its
tokens. Knows no tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flexeval.errors import InputError, shortened


@dataclass(frozen=True, kw_only=True)
class SpecialIds:
    """The token ids that sampling needs."""

    mask: int
    eos: int
    """What fills the canvas after the text."""
    stop: frozenset[int]
    """Whatever ends the text."""


def find_special_ids(
    name: str,
    configs: Sequence[Mapping[str, Any]],
    tokenizer: Any | None,
    *,
    vocab_size: int,
    mask_tokens: Sequence[str] = (),
    end_of_turn: str | None = None,
    fills_with_pad: bool = False,
) -> SpecialIds:
    """The special ids of a checkpoint.

    Args:
        name: of the model, for messages.
        configs: config.json and generation_config.json, the first has priority.
        tokenizer: transformers' tokenizer, or None when the checkpoint has none.
        vocab_size: width of the embedding; an id beyond it is an error.
        mask_tokens: how the mask may be called in the vocabulary.
        end_of_turn: how the end of a turn is called in the vocabulary.
        fills_with_pad: the canvas is filled with the padding token rather than with end-of-sequence.

    Raises:
        InputError: no mask token, no end-of-sequence token, an id outside the vocabulary, or a tokenizer that knows
            more tokens than the embedding has rows.
    """
    sources = [*configs, _tokenizer_ids(tokenizer)]
    vocabulary = tokenizer.get_vocab() if tokenizer is not None else {}

    masks = _ids(sources, "mask_token_id") or [vocabulary[token] for token in mask_tokens if token in vocabulary]
    if not masks:
        raise InputError(
            f"{name!r} has no mask token: neither its config.json nor its tokenizer names one, "
            "so it is no mask predictor; give a masked diffusion model"
        )
    ends = _ids(sources, "eos_token_id")
    fillers = _ids(sources, "pad_token_id") if fills_with_pad else ends
    if not ends or not fillers:
        raise InputError(f"{name!r} has no end-of-sequence token: neither its config.json nor its tokenizer names one")
    turns = [vocabulary[end_of_turn]] if end_of_turn in vocabulary else []

    for value in (masks[0], fillers[0], *ends, *turns):
        if not 0 <= value < vocab_size:
            raise InputError(f"{name!r} names token {value}, but its embedding has only {vocab_size} rows")
    # Of a tokenizer that belongs to another model; the first prompt with such a token would stop the run.
    if (largest := max(vocabulary.values(), default=0)) >= vocab_size:
        token = next(token for token, number in vocabulary.items() if number == largest)
        raise InputError(
            f"the tokenizer of {name!r} has token {largest} ({shortened(token, 30)!r}), but its embedding has only "
            f"{vocab_size} rows; put the tokenizer of this model into its folder"
        )
    return SpecialIds(mask=masks[0], eos=fillers[0], stop=frozenset({fillers[0], *ends, *turns}))


def _tokenizer_ids(tokenizer: Any | None) -> dict[str, Any]:
    names = ("mask_token_id", "eos_token_id", "pad_token_id")
    return {} if tokenizer is None else {name: getattr(tokenizer, name, None) for name in names}


def _ids(sources: Sequence[Mapping[str, Any]], key: str) -> list[int]:
    """All ids that any source gives under `key` (one id or a list), the first source's first."""
    found: list[int] = []
    for source in sources:
        value = source.get(key)
        ids = value if isinstance(value, list) else [] if value is None else [value]
        for number in ids:
            if not isinstance(number, int) or isinstance(number, bool):
                raise InputError(
                    f"cannot use the checkpoint: its configuration says {key} {shortened(repr(value), 60)}, which is "
                    "no token id; write a whole number"
                )
        found += ids
    return list(dict.fromkeys(found))
