"""Where results go: the terminal, or what the user named (`flexeval.runs.target`)."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.text import Text

from flexeval.errors import InputError, printable

if TYPE_CHECKING:
    import pandas as pd

    from flexeval.tasks import Task

WIDE = 200
"""Columns to use where no terminal says how many it has."""


class _Console(Console):
    """Prints text as it is: no markup, and no colouring of numbers."""

    def __init__(self, *, stderr: bool, quiet: bool = False) -> None:
        super().__init__(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """As rich, with control characters as escapes: stored names may hold some."""
        return super().render_str(printable(text), **options)

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, of which `main` makes the exit status; rich would end the process with status 1."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def console(*, stdout_taken: bool = False) -> Console:
    """The console for results: stdout, or stderr when stdout carries machine-readable output."""
    made = _Console(stderr=stdout_taken)
    if not made.is_terminal:
        made.width = WIDE
    return made


def messages(*, quiet: bool = False) -> Console:
    """The console for progress: stderr."""
    return _Console(stderr=True, quiet=quiet)


def check_targets(targets: Mapping[str, str | None], *, reads: Iterable[Path] = ()) -> None:
    """Raise InputError when a result could not be written; before hours of sampling, not after.

    Args:
        targets: option -> the file that it names, if it is given; of `--json`, "-" is stdout.
        reads: files that the command reads, and that no result may replace.
    """
    from flexeval.runs.target import check_target, identity

    taken = {identity(str(path)): f"{str(path)!r} is read" for path in reads}
    if _is_file(sys.stdout):
        taken[identity(sys.stdout.fileno())] = "standard output goes there, too"
    for option, target in targets.items():
        if target is None:
            continue
        if target == "-":
            if option != "--json":
                raise InputError(f"{option} - is a file's name; for standard output, write {option} /dev/stdout")
            if getattr(sys.stdout, "name", None) == os.devnull:
                raise InputError("--json - writes to standard output, which is closed; open it, or name a file")
            continue
        check_target(target)
        place = identity(target)
        if place in taken:
            raise InputError(f"cannot write {option} to {target!r}: {taken[place]}; give another name")
        if place is not None:
            taken[place] = f"{option} goes there, too"


def _is_file(stream: TextIO) -> bool:
    """Whether a standard stream goes to a regular file; not where a notebook or a test took its place."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except OSError:
        return False


def write_json(target: str | None, content: Mapping[str, Any]) -> None:
    """Write JSON to a file, to stdout for "-", or nowhere for None. Raises OSError, an old file untouched."""
    from flexeval.runs.files import to_json

    if target == "-":
        # What stdout cannot hold would otherwise become Python's escapes, which are not JSON's.
        utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        sys.stdout.write(to_json(content, indent=2, ascii_only=not utf8) + "\n")
    else:
        _write(target, to_json(content, indent=2) + "\n")


def write_csv(target: str | None, frame: pd.DataFrame) -> None:
    """Write a frame as CSV, or nowhere for None. Raises OSError, an old file untouched."""
    _write(target, frame.to_csv(index=False))


def _write(target: str | None, text: str) -> None:
    from flexeval.runs.target import write_target

    if target is not None:
        # Half a surrogate pair has no UTF-8; the escape that stands for it is also JSON's.
        write_target(target, text.encode(errors="backslashreplace"))


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
