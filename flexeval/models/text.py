"""Prompt -> token ids, token ids -> text. Knows transformers' tokenizers; knows no model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from flexeval.errors import InputError, one_line
from flexeval.models.files import read_json
from flexeval.records import PROMPT_DATE, Prompt


def load_tokenizer(folder: Path) -> Any | None:
    """The tokenizer of a checkpoint folder, without running any code that the folder brings along.

    tokenizer.json is read as it is; vocab.json with merges.txt is Qwen's byte-level BPE, which Dream shares.

    Returns:
        None when the folder has neither.

    Raises:
        InputError: the files cannot be read, or transformers numbers their tokens otherwise.
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
    _check_added_tokens(folder, tokenizer)
    return tokenizer


def _check_added_tokens(folder: Path, tokenizer: Any) -> None:
    """Refuse a tokenizer that numbers added tokens otherwise than its files: transformers closes gaps silently."""
    if not (folder / "tokenizer_config.json").exists():
        return
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
        ids: list[int] = self.tokenizer(text + prompt.prefill, add_special_tokens=False)["input_ids"]

        # Exactly one BOS, whoever wrote it.
        bos = self.tokenizer.bos_token_id
        start = next((i for i, token in enumerate(ids) if token != bos), len(ids))
        if start:
            return ids[start - 1 :]
        return ids if self._bos is None else [self._bos, *ids]

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
        return self.chat_text(messages, date=prompt.date)


def _agreement(left: str, right: str) -> int:
    """Length of the common prefix of two texts."""
    differing = (i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b)
    return next(differing, min(len(left), len(right)))
