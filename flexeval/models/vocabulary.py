"""The vocabulary of a checkpoint: its tokenizer, its special tokens, prompt -> token ids, token ids -> text.

Knows transformers' tokenizers; knows no model.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from flexeval.errors import InputError, Note, one_line, shortened
from flexeval.models.files import Checkpoint
from flexeval.models.lineage import LINEAGE
from flexeval.models.places import read_json
from flexeval.records import PROMPT_DATE, Prompt

# ----- tokenizer -----


def load_tokenizer(folder: Path) -> Any | None:
    """The tokenizer of a checkpoint folder, without running any code that the folder brings along.

    tokenizer.json is read as it is; vocab.json with merges.txt is Qwen's byte-level BPE, which Dream shares.

    Returns:
        None when the folder has neither.

    Raises:
        InputError: the files cannot be read, transformers numbers their tokens otherwise, or a special token is none.
    """
    from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

    if (folder / "tokenizer.json").exists():
        kind = PreTrainedTokenizerFast
    elif (folder / "vocab.json").exists() and (folder / "merges.txt").exists():
        kind = Qwen2Tokenizer
    else:
        return None
    try:
        tokenizer = kind.from_pretrained(folder)
    except Exception as error:  # the Rust tokenizer raises bare Exceptions
        raise InputError(f"cannot read the tokenizer in {str(folder)!r}: {one_line(error)}") from error
    _check_special_tokens(folder, tokenizer, _check_added_tokens(folder, tokenizer))
    return tokenizer


def _check_special_tokens(folder: Path, tokenizer: Any, added: Collection[str]) -> None:
    """Refuse a tokenizer with a special token that its files do not number: transformers silently makes a number up."""
    named = {name: getattr(tokenizer, name, None) for name in ("bos_token", "eos_token", "pad_token", "mask_token")}
    strange = {name: token for name, token in named.items() if token is not None and token not in added}
    if not strange:
        return
    if (folder / "tokenizer.json").exists():
        whole = read_json(folder / "tokenizer.json")
        vocabulary = whole["model"]["vocab"]
        known = {token if isinstance(token, str) else token[0] for token in vocabulary}
        known |= {token["content"] for token in whole.get("added_tokens") or ()}
    else:
        files = (folder / name for name in ("vocab.json", "added_tokens.json"))
        known = {token for file in files if file.exists() for token in read_json(file)}
    for name, token in strange.items():
        if token not in known:
            raise InputError(
                f"cannot use the tokenizer in {str(folder)!r}: its {name} {shortened(str(token), 30)!r} is not in its "
                f"vocabulary; correct {name} in tokenizer_config.json or special_tokens_map.json"
            )


def _check_added_tokens(folder: Path, tokenizer: Any) -> list[str]:
    """The added tokens that a tokenizer's configuration numbers.

    Raises:
        InputError: they get other numbers than in its files: transformers silently closes gaps.
    """
    if not (folder / "tokenizer_config.json").exists():
        return []
    added = read_json(folder / "tokenizer_config.json").get("added_tokens_decoder") or {}
    if not isinstance(added, Mapping):
        raise InputError(f"cannot read the tokenizer in {str(folder)!r}: its added_tokens_decoder is no object")
    for number, token in added.items():
        content = token.get("content") if isinstance(token, Mapping) else None
        if not number.isdecimal() or not isinstance(content, str):
            raise InputError(
                f"cannot read the tokenizer in {str(folder)!r}: entry {number!r} of added_tokens_decoder is no token"
            )
        found = tokenizer.convert_tokens_to_ids(content)
        if found != int(number):
            raise InputError(
                f"cannot read the tokenizer in {str(folder)!r}: {content!r} is {number} in its files and "
                f"{found} in transformers; add a tokenizer.json"
            )
    return [token["content"] for token in added.values()]


# ----- special tokens -----


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
    mask_id: int | None = None,
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
        mask_id: the mask where nothing else names one.

    Raises:
        InputError: no mask token, no end-of-sequence token, one that is both, an id outside the vocabulary, or a
            tokenizer that knows more tokens than the embedding has rows.
    """
    sources = [*configs, _tokenizer_ids(tokenizer)]
    vocabulary = tokenizer.get_vocab() if tokenizer is not None else {}

    usual = [vocabulary[token] for token in mask_tokens if token in vocabulary][:1]
    masks = list(dict.fromkeys([*_ids(sources, "mask_token_id"), *usual]))
    if not masks and mask_id is not None:
        masks = [mask_id]
    if not masks:
        raise InputError(
            f"{name!r} has no mask token: neither its config.json nor its tokenizer names one, "
            "so it is no mask predictor; give a masked diffusion model"
        )
    ends = _ids(sources, "eos_token_id")
    fillers = _ids(sources, "pad_token_id") if fills_with_pad else ends
    # CoDA's configuration names no end of sequence: it fills with padding, which ends its texts.
    ends = ends or fillers
    if not ends or not fillers:
        what, field = ("padding", "pad_token_id") if fills_with_pad else ("end-of-sequence", "eos_token_id")
        raise InputError(
            f"{name!r} has no {what} token, which fills its canvas after the text: neither its config.json nor its "
            f"tokenizer names one; write its {field} into config.json"
        )
    turns = [vocabulary[end_of_turn]] if end_of_turn in vocabulary else []

    for value in (masks[0], fillers[0], *ends, *turns):
        if not 0 <= value < vocab_size:
            raise InputError(f"{name!r} names token {value}, but its embedding has only {vocab_size} rows")
    if masks[0] in (fillers[0], *ends, *turns):
        raise InputError(
            f"{name!r} names token {masks[0]} both as its mask and as what ends its texts, so none would end; correct "
            "mask_token_id, eos_token_id or pad_token_id in its config.json or generation_config.json"
        )
    if others := masks[1:]:
        warnings.warn(
            f"{name!r} has several mask tokens: token {masks[0]} is used, and its other files or the vocabulary of its "
            f"family say {', '.join(map(str, others))}; if its texts make no sense, correct mask_token_id in its "
            "config.json",
            Note,
            stacklevel=2,
        )
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


# ----- text -----

_CLOCK = (
    "{%- macro strftime_now(format) -%}"
    "{%- set written = namespace(text=format) -%}"
    "{%- for code, value in clock.items() -%}{%- set written.text = written.text.replace(code, value) -%}{%- endfor -%}"
    "{{- written.text -}}"
    "{%- endmacro -%}"
)
"""Shadows the function of transformers that reads the clock. Templates are given plain data only, so the date comes in
as what each format code stands for."""


def _clock(date: str) -> dict[str, str]:
    """Format code of `strftime` -> its text at a date or time in ISO format."""
    moment = datetime.fromisoformat(date)
    unpadded = {f"%-{letter}": moment.strftime(f"%{letter}").lstrip("0") or "0" for letter in "dmyHIMSj"}
    return unpadded | {
        f"%{letter}": moment.strftime(f"%{letter}") for letter in "aAbBcdDefFgGhHIjklmMpPrRsSTuUVwWxXyYzZ%"
    }


def warn_of_plain_text(checkpoint: Checkpoint, tokenizer: Any | None) -> None:
    """Warn where a model that may expect a chat is asked in plain text, since it has no chat template.

    Base models and what flexeval trained have none on purpose.
    """
    is_base = re.search(r"(?<![A-Za-z])base(?![A-Za-z])", re.split(r"[/\\]", checkpoint.name)[-1], re.IGNORECASE)
    if tokenizer is None or tokenizer.chat_template or not checkpoint.chat or is_base:
        return
    if (checkpoint.folder / LINEAGE).exists():
        return
    warnings.warn(
        f"{checkpoint.name!r} has no chat template, so prompts are given as plain text; if it is a chat model, put its "
        "tokenizer_config.json or chat_template.jinja into its folder",
        Note,
        stacklevel=2,
    )


def warn_of_other_tokenizer(checkpoint: Checkpoint, tokenizer: Any | None) -> None:
    """Warn where an adapter brings along a tokenizer or a chat template that is not its base's."""
    own = None if checkpoint.adapter is None else load_tokenizer(checkpoint.adapter)
    if own is None or tokenizer is None:
        return
    if (own.chat_template, own.get_vocab()) != (tokenizer.chat_template, tokenizer.get_vocab()):
        warnings.warn(
            f"{checkpoint.name!r}: the adapter's folder has another tokenizer or chat template than its base, which is "
            "not used; to use it, put it into a copy of the base's folder",
            Note,
            stacklevel=2,
        )


class TextCodec:
    """A tokenizer as a mask predictor uses it: chat template, exactly one BOS, text token by token."""

    def __init__(self, tokenizer: Any, *, name: str, chat: bool, silent_ids: frozenset[int]) -> None:
        """
        Args:
            tokenizer: transformers' tokenizer.
            name: of the model, for messages.
            chat: use the chat template, if there is one.
            silent_ids: tokens that never show in the text, besides those that the tokenizer calls special.
        """
        self.tokenizer = tokenizer
        self._name = name
        self._chat = chat and bool(tokenizer.chat_template)
        self._silent_ids = silent_ids | frozenset(tokenizer.all_special_ids)
        self._piece: dict[int, str] = {}
        bos = tokenizer.bos_token_id
        # A template that writes no BOS may count on the tokenizer to add it.
        wants_bos = not self._chat or bos in tokenizer("")["input_ids"]
        self._bos = bos if bos is not None and wants_bos else None
        backend = getattr(tokenizer, "backend_tokenizer", None)
        words = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)
        settings = (words, tokenizer.chat_template if self._chat else None, self._bos, sorted(self._silent_ids))
        self.fingerprint = hashlib.sha256(repr(settings).encode()).hexdigest()
        """Of what turns prompts into tokens and tokens into text."""

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt, ending where the completion begins; see `MaskPredictor.encode`.

        With a chat template: system text, user turn, header of the assistant's turn, and the prefill. Without:
        system text, blank line, user text and prefill as plain text.

        Raises:
            InputError: an empty prompt, or one that the chat template refuses.
        """
        if not prompt.user.strip():
            raise InputError("the prompt is empty; give it some text")
        text = self._render(prompt) if self._chat else "\n\n".join(filter(None, (prompt.system, prompt.user)))
        ids = self.tokens_of(text + prompt.prefill)

        # Exactly one BOS, whoever wrote it.
        bos = self.tokenizer.bos_token_id
        start = next((i for i, token in enumerate(ids) if token != bos), len(ids))
        if start:
            return ids[start - 1 :]
        return ids if self._bos is None else [self._bos, *ids]

    def tokens_of(self, text: str) -> list[int]:
        """The token ids of a text as it stands."""
        # Silent: transformers would warn of the tokenizer's own limit, which is not the model's.
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of the tokens, special ones left out."""
        shown = [int(token) for token in token_ids if int(token) not in self._silent_ids]
        return str(self.tokenizer.decode(shown, clean_up_tokenization_spaces=False))

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """What each token adds to the text; a character split over tokens goes to the one that completes it."""
        # A token whose own text has no replacement sign begins and ends with whole characters, so it stands alone.
        pieces: list[str] = []
        for broken, group in groupby(map(int, token_ids), key=lambda token: "\ufffd" in self._alone(token)):
            tokens = list(group)
            pieces += self._spread(tokens) if broken else map(self._alone, tokens)
        # True of byte-level tokenizers; others may put in or leave out a space between tokens.
        return pieces if "".join(pieces) == self.decode(token_ids) else self._spread(token_ids)

    def _spread(self, token_ids: Sequence[int]) -> list[str]:
        """The text of some tokens, cut where the text of the first 1, 2, ... of them stops agreeing with it."""
        text = self.decode(token_ids)
        ends = [0]
        for count in range(1, len(token_ids)):
            ends.append(max(ends[-1], _agreement(self.decode(token_ids[:count]), text)))
        return [text[start:end] for start, end in pairwise([*ends, len(text)])]

    def _alone(self, token: int) -> str:
        """The text of a token by itself."""
        if token not in self._piece:
            self._piece[token] = self.decode([token])
        return self._piece[token]

    def chat_text(self, messages: Sequence[Mapping[str, str]], *, date: str = PROMPT_DATE) -> str:
        """The text of a conversation, up to and with the header of the assistant's next turn.

        Args:
            messages: turns with the keys `role` (system, user, assistant) and `content`.
            date: the present to a template that asks `strftime_now`, which would otherwise be another prompt every day.

        Raises:
            InputError: the chat template refuses them, or there is none.
        """
        try:
            # Templates without a thinking mode ignore the switch; dLLM's A2D checkpoints were trained with it off.
            template = self.tokenizer.get_chat_template()
            rendered = self.tokenizer.apply_chat_template(
                messages,
                chat_template=_CLOCK + template if "strftime_now" in template else template,
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=False,
                clock=_clock(date),
            )
        except Exception as error:  # a template is a program of the checkpoint's
            raise InputError(f"the chat template of {self._name!r} refuses the prompt: {one_line(error)}") from error
        return str(rendered)

    def _render(self, prompt: Prompt) -> str:
        messages = [{"role": "user", "content": prompt.user}]
        if prompt.system:
            messages.insert(0, {"role": "system", "content": prompt.system})
        text = self.chat_text(messages, date=prompt.date)
        advice = {
            "system": "use a prompt without one, such as --prompt bare, or a file whose `user` has all of it",
            "user": "put the template that the model was trained with into its folder",
        }
        for message in messages:
            role = message["role"]
            if message["content"].strip() not in text:
                # Without the text itself, so that it is said once and not for every problem.
                warnings.warn(
                    f"the chat template of {self._name!r} leaves out the {role} text or changes it; {advice[role]}",
                    Note,
                    stacklevel=2,
                )
        return text


def _agreement(left: str, right: str) -> int:
    """Length of the common prefix of two texts."""
    differing = (i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b)
    return next(differing, min(len(left), len(right)))
