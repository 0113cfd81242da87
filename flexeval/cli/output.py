"""Where results go: the terminal, or files that are whole or absent."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from flexeval.errors import InputError, printable

if TYPE_CHECKING:
    import pandas as pd

    from flexeval.tasks import Task

WIDE = 200
"""Columns to use where no terminal says how many it has."""


def console(*, stdout_taken: bool = False) -> Console:
    """The console for results: stdout, or stderr when stdout carries machine-readable output.

    Text is printed as it is: no markup, no colouring of numbers, and control characters, which stored names may hold,
    as escapes.
    """
    made = _Console(stderr=stdout_taken, markup=False, emoji=False, highlight=False)
    if not made.is_terminal:
        made.width = WIDE
    return made


class _Console(Console):
    """Shows control characters instead of sending them to the terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)


def check_target(target: str | None) -> None:
    """Raise InputError when a result could not be written to this path; before hours of sampling, not after."""
    if target is None or target == "-":
        return
    path = Path(target)
    if path.is_dir():
        raise InputError(f"cannot write to {target!r}: it is a folder; give a file name in it")
    if not path.parent.is_dir():
        raise InputError(f"cannot write to {target!r}: there is no folder {str(path.parent)!r}; make it first")


def write_json(target: str | None, content: Mapping[str, Any]) -> None:
    """Write JSON to a file, to stdout for "-", or nowhere for None. Raises OSError, an old file untouched."""
    from flexeval.runs.files import replace_file, to_json

    text = to_json(content, indent=2) + "\n"
    if target == "-":
        sys.stdout.write(text)
    elif target is not None:
        replace_file(Path(target), text.encode())


def write_csv(target: str | None, frame: pd.DataFrame) -> None:
    """Write a frame as CSV, or nowhere for None. Raises OSError, an old file untouched."""
    from flexeval.runs.files import replace_file

    if target is not None:
        replace_file(Path(target), frame.to_csv(index=False).encode())


def announce_isolation(task: Task) -> None:
    """Say on stderr what confines the programs that a task runs; nothing for a task that runs none.

    Raises:
        InputError: nothing would confine them.
    """
    from flexeval.tasks.task import RunsPrograms

    if isinstance(task, RunsPrograms):
        isolation = task.isolation()
        state = "" if isolation.confined else " (NOT CONFINED, as you allowed)"
        print(f"generated programs run as {isolation.summary()}{state}", file=sys.stderr, flush=True)
