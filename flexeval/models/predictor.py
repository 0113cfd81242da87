"""The mask predictor: what the sampler needs of a model, and checks of the model, its prompts, texts and logits.

Axis suffixes: `B` canvases, `L` canvas positions, `N` gathered rows, `D` hidden size, `V` vocabulary.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from pathlib import PurePath
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from flexeval.errors import InputError, InputTypeError, PluginError, encodable, shortened
from flexeval.fields import LARGEST_WHOLE
from flexeval.models.attention import FULL, WITH_BLOCKS, Attention
from flexeval.models.fingerprint import Fingerprint
from flexeval.models.recommended import warn_beyond_training
from flexeval.records import Prompt


@runtime_checkable
class MaskPredictor(Protocol):
    """A model that predicts, for every mask of a canvas, the token behind it.

    It knows nothing of orders, steps or randomness. Implementations: `NativePredictor` (transformers' own layers), the
    adapter for checkpoints with their own code, and the oracles of the test suite.

    A model whose attention is not full has an `attention`, its rule (`attention_of` reads it), and its `hidden` takes
    the levels that the rule gives as a fourth argument, `level_BL`: a position sees those of no higher level. One that
    has a true `takes_twins` takes a fifth, `twin_BL`, for orders that read `unseen` (`NativePredictor.hidden`).
    """

    name: str
    """How the model was asked for."""
    mask_id: int
    eos_id: int
    """End of sequence, which also fills the canvas after the text."""
    stop_ids: frozenset[int]
    """Tokens that end the text: EOS, and end-of-turn where the model has one."""
    vocab_size: int
    """Width of the logits."""
    max_length: int
    """Longest canvas (prompt + generated positions)."""
    device: torch.device
    dtype: torch.dtype

    @property
    def fingerprint(self) -> Fingerprint:
        """The identity of the model as it is now. A run is continued only with the same one."""
        ...

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt with the model's chat template applied: exactly one BOS where the model has one."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of generated tokens, special tokens left out."""
        ...

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """The text that each token adds, so that `"".join(pieces)` is `decode`; special tokens give ""."""
        ...

    def hidden(self, tokens_BL: Tensor, attention_BL: Tensor | None = None, asked_BL: Tensor | None = None) -> Tensor:
        """Final hidden states [B, L, D], aligned so that index i holds what predicts position i.

        Args:
            tokens_BL: canvases, int64, left-padded.
            attention_BL: False at padding; None when no row is padded. A padded row gives the hidden states of the
                unpadded row.
            asked_BL: the positions that will be read; the others may hold anything. None for all.
        """
        ...

    def logits(self, hidden_ND: Tensor) -> Tensor:
        """Logits [N, V] of gathered rows, float32. The caller may overwrite them."""
        ...


class Bounded(Protocol):
    """What has a longest canvas: a mask predictor, or what is known of one before it is loaded."""

    @property
    def name(self) -> str:
        """How the model was asked for."""
        ...

    @property
    def max_length(self) -> int:
        """Longest canvas."""
        ...


def attention_of(model: Bounded) -> Attention:
    """The attention rule of a model; full where it names none."""
    return getattr(model, "attention", FULL)


def encode_prompt(model: MaskPredictor, prompt: Prompt, gen_length: int, *, of: str) -> list[int]:
    """The token ids of a prompt that the model can go on from.

    Args:
        model: its vocabulary and its `max_length` are the limits.
        prompt: what it is given.
        gen_length: generated positions.
        of: the problem, for messages; a part of it where it is long.

    Raises:
        InputError: an empty prompt, one that holds the mask token, or one that leaves no room for the answer.
        PluginError: the model's answer is not a list of token ids in its vocabulary.
    """
    answer: object = model.encode(prompt)
    try:
        ids = [operator.index(token) for token in answer]  # type: ignore[attr-defined]
    except TypeError:
        raise PluginError(
            f"model {model.name!r}: encode() must return a list of token ids, not {shortened(repr(answer), 60)}"
        ) from None
    if not ids:
        raise InputError(
            f"the prompt is empty: model {model.name!r} has no token for {shortened(of, 60)!r}; give it some text"
        )
    wrong = next((token for token in ids if not 0 <= token < model.vocab_size), None)
    if wrong is not None:
        raise PluginError(
            f"model {model.name!r}: encode() gave token {wrong}, but the vocabulary has {model.vocab_size} tokens; "
            "the tokenizer is another model's, or vocab_size is too small"
        )
    if model.mask_id in ids:
        raise InputError(
            f"{_the_prompt(of)} holds the mask token of model {model.name!r}, which stands for what is "
            "to be filled in; write the text otherwise"
        )
    warn_beyond_training(model, gen_length)
    check_fits(model, len(ids), gen_length, of=of)
    return ids


def text_of(model: MaskPredictor, token_ids: Sequence[int]) -> str:
    """The text of some tokens, as a file can hold it. Raises PluginError where the model answers something else."""
    text: object = model.decode(token_ids)
    if not isinstance(text, str):
        raise PluginError(f"model {model.name!r}: decode() must return a text, not {shortened(repr(text), 60)}")
    return encodable(text)


def pieces_of(model: MaskPredictor, token_ids: Sequence[int]) -> list[str]:
    """What each of some tokens adds to their text. Raises PluginError where the model answers something else."""
    pieces: object = model.pieces(token_ids)
    if (
        not isinstance(pieces, list | tuple)
        or len(pieces) != len(token_ids)
        or not all(isinstance(piece, str) for piece in pieces)
    ):
        raise PluginError(
            f"model {model.name!r}: pieces() must return a list of texts, one for each of {len(token_ids)} tokens, not "
            f"{shortened(repr(pieces), 60)}"
        )
    return list(pieces)


def check_fits(model: Bounded, prompt_length: int, gen_length: int, *, of: str = "") -> None:
    """Refuse a canvas that is longer than the model's context.

    Args:
        model: its `max_length` is the limit.
        prompt_length: tokens of the encoded prompt.
        gen_length: generated positions.
        of: the problem, for messages; a part of it where it is long.

    Raises:
        InputError: prompt and generated positions together exceed the limit.
    """
    attention = attention_of(model)
    total = attention.whole_length(prompt_length, gen_length)
    if total > model.max_length:
        room = model.max_length - prompt_length
        if attention.block is not None:
            room -= (model.max_length if attention.from_prompt else room) % attention.block
        advice = f"use a gen_length of at most {room}" if room > 0 else "use a shorter prompt"
        blocks = f" in whole blocks of {attention.block}" if total > prompt_length + gen_length else ""
        raise InputError(
            f"{_the_prompt(of)} has {prompt_length} tokens; with {gen_length} generated positions that is {total}"
            f"{blocks}, more than the {model.max_length} of model {model.name!r}; {advice}"
        )


def _the_prompt(of: str) -> str:
    return f"the prompt of {shortened(of, 60)!r}" if of else "the prompt"


def check_predictor(model: object) -> None:
    """Raise PluginError, which says what is missing, unless an object is a mask predictor by its attributes.

    A name gets an InputTypeError, which says how to load what it names.
    """
    if isinstance(model, str | PurePath):
        raise InputTypeError(
            f"a model is an object, not its name; write flexeval.load_model({shortened(repr(str(model)), 60)})"
        )
    name = getattr(model, "name", None)
    title = f"the model, a {type(model).__name__}," if name is None else f"model {name!r} ({type(model).__name__})"
    for name in ("encode", "decode", "pieces", "hidden", "logits"):
        if not callable(getattr(model, name, None)):
            raise PluginError(f"{title} has no method {name}(); see flexeval.models.MaskPredictor")
    for name, kind in (("name", str), ("device", torch.device), ("dtype", torch.dtype)):
        noun = "text" if kind is str else f"torch.{kind.__name__}"
        if not isinstance(value := getattr(model, name, None), kind):
            raise PluginError(f"{title}: its {name} must be a {noun}, not {_shown(value)}")
    for name, least, most in (("vocab_size", 2, LARGEST_WHOLE), ("max_length", 1, LARGEST_WHOLE)):
        _require_id(getattr(model, name, None), f"{title}: its {name}", least, most)
    if not isinstance(attention := getattr(model, "attention", FULL), Attention):
        raise PluginError(f"{title}: its attention must be an Attention, not {_shown(attention)}")
    if attention.kind in WITH_BLOCKS and attention.block is None:
        raise PluginError(
            f"{title}: its attention lacks a block length; write Attention(kind={attention.kind!r}, block=32), say"
        )
    last = int(model.vocab_size) - 1  # type: ignore[attr-defined]
    for name in ("mask_id", "eos_id"):
        _require_id(getattr(model, name, None), f"{title}: its {name}", 0, last)
    stops = getattr(model, "stop_ids", None)
    if not isinstance(stops, frozenset | set):
        raise PluginError(f"{title}: its stop_ids must be a set of token ids, not {_shown(stops)}")
    for stop in stops:
        _require_id(stop, f"{title}: a token of its stop_ids", 0, last)
    if (mask := model.mask_id) in {model.eos_id, *stops}:  # type: ignore[attr-defined]
        raise PluginError(f"{title}: its mask_id {mask} also ends texts (eos_id, stop_ids), so none would end")


def fingerprint_of(model: MaskPredictor) -> Fingerprint:
    """The identity of a model. Raises PluginError where it has none."""
    fingerprint: object = getattr(model, "fingerprint", None)
    if not isinstance(fingerprint, Fingerprint) or not all(isinstance(p, str) for p in fingerprint.parts.values()):
        raise PluginError(
            f"model {model.name!r}: its fingerprint must be a flexeval.models.fingerprint.Fingerprint of texts, which "
            f"tells runs of other weights apart, not {_shown(fingerprint)}"
        )
    return fingerprint


def check_logits(model: MaskPredictor, logits_NV: Tensor, rows: int) -> None:
    """Raise PluginError unless logits have the shape [rows, vocab_size] and the type float32."""
    wanted = (rows, model.vocab_size)
    if not isinstance(logits_NV, Tensor):
        raise PluginError(f"model {model.name!r}: logits() must return a tensor, not a {type(logits_NV).__name__}")
    if tuple(logits_NV.shape) != wanted or logits_NV.dtype != torch.float32:
        raise PluginError(
            f"model {model.name!r}: logits() must return float32 of shape {list(wanted)} (rows, vocab_size), not "
            f"{str(logits_NV.dtype).removeprefix('torch.')} {list(logits_NV.shape)}"
        )


def _require_id(value: object, what: str, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        limits = f"of at least {least}" if most == LARGEST_WHOLE else f"in {least}..{most}"
        raise PluginError(f"{what} must be a whole number {limits}, not {_shown(value)}")


def _shown(value: object) -> str:
    return "missing" if value is None else shortened(repr(value), 60)
