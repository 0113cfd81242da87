"""The error that means: the input was wrong, and here is what to write instead.

The command line prints an `InputError` as one line and exits with status 2. Every other exception is
a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input from the user. The message is one line: what was wrong, and what to write instead."""


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
    close = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.55)
    hint = f"Did you mean {' or '.join(repr(c) for c in close)}? " if close else ""
    valid = listed if listed is not None else ", ".join(names)
    return InputError(f"unknown {kind}: {name!r}. {hint}Known: {valid or '(none)'}.")
