"""The error that means: the input was wrong, and here is what to write instead; and how foreign text is shown.

The command line prints an `InputError` as one line and exits with status 2, and so it does where the memory of a GPU
does not suffice. Every other exception is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
import sys
import traceback
import unicodedata
from collections.abc import Iterable
from typing import Any

LONGEST_LINE = 1200
LONGEST_WORD = 200
"""Of an error line, in characters: a name that was quoted from a file may be a megabyte."""


class InputError(ValueError):
    """Bad input from the user. The message is one line: what was wrong, and what to write instead."""


class InputTypeError(InputError, TypeError):
    """Input of a type that it cannot have."""


class Note(UserWarning):
    """What a user should know and need not change. The command line prints it as one line."""


class DamageError(InputError):
    """Rows or lines of a stored run that are missing, or not as they were written.

    Whoever leaves out what runs do not suffice for lets it through: nothing may be said of a run that is damaged.
    """


class PluginError(InputError):
    """An order, task or model that does not keep its contract. The message names it and says what its author writes."""


def did_you_mean(kind: str, name: str, known: Iterable[str], *, listed: str | None = None) -> InputError:
    """The error for an unknown `name`: its close matches first, then everything there is.

    Args:
        kind: what was looked for, as a noun ("order", "task", "parameter of order 'eb'").
        name: what the user wrote.
        known: every name that would have been accepted.
        listed: what to print as the list of valid names, when it differs from `known`
            (aliases take part in the matching but need not be listed).
    """
    names = sorted(set(known))
    # Matching takes time quadratic in the length, and nothing resembles a name that long.
    close = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.55) if len(name) <= LONGEST_WORD else []
    hint = f"Did you mean {' or '.join(repr(c) for c in close)}? " if close else ""
    valid = listed if listed is not None else ", ".join(names)
    return InputError(f"unknown {kind}: {shortened(name, LONGEST_WORD)!r}. {hint}Known: {valid or '(none)'}.")


def out_of_memory(error: BaseException) -> InputError | None:
    """The error in its place where the memory of a GPU did not suffice, else None. Does not load torch."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not isinstance(error, torch.OutOfMemoryError):
        return None
    told = ". ".join(one_line(error).split(". ")[:3])
    return InputError(
        f"the memory of the GPU does not suffice ({told}); use smaller batches (--batch-size, and for trainings "
        "--rollout-batch and --tokens-per-forward), weights in half precision (--dtype bfloat16), or a GPU with more"
    )


def let_go(error: BaseException | None) -> None:
    """Empty the frames of an error that is kept: what they hold, such as the memory of a GPU, would be kept with it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def one_line(message: object) -> str:
    """What an error says, on one line of bounded length that no terminal obeys."""
    words = str(message).split() or [type(message).__name__]
    return shortened(printable(" ".join(shortened(word, LONGEST_WORD) for word in words), keep=""), LONGEST_LINE)


def shortened(text: str, limit: int) -> str:
    """The text, its middle left out where it is longer than `limit`: the end of a message often says what to do."""
    if len(text) <= limit:
        return text
    tail = limit // 3
    return f"{text[: limit - tail - 3]}...{text[len(text) - tail :]}"


def encodable(text: str) -> str:
    """The text with every half of a surrogate pair, which no file in UTF-8 can hold, as its escape."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def printable(text: str, *, keep: str = "\n") -> str:
    """The text with control, format and unassigned characters as escapes, apart from those in `keep`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char in keep or not unicodedata.category(char).startswith("C") else _escape(char) for char in text
    )


def is_printable(text: str) -> bool:
    """Whether a text can be printed as it is: nothing in it moves a cursor or ends a line."""
    return all(char.isprintable() or unicodedata.category(char) == "Zs" for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
