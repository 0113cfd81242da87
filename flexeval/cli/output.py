"""Where results go: the terminal, and the files and folders that the user named (`flexeval.runs.target`)."""

from __future__ import annotations

import argparse
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
    from rich.table import Table

    from flexeval.tasks import Task

WIDE = 200
"""Columns of output that goes to no terminal, unless COLUMNS says otherwise."""
NARROW = 40
"""The fewest columns that tables are made for: in fewer, the words of a list would have none."""


class _Console(Console):
    """Prints text as it is: no markup, and no colouring of numbers."""

    def __init__(self, *, stderr: bool, quiet: bool = False) -> None:
        super().__init__(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """As rich, with control characters as escapes: stored names may contain some."""
        return super().render_str(printable(text), **options)

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, which `main` turns into the exit status; rich would exit with status 1."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def console(*, stdout_taken: bool = False) -> Console:
    """The console for results: stdout, or stderr where the JSON goes to stdout."""
    made = _Console(stderr=stdout_taken)
    if not made.is_terminal and not os.environ.get("COLUMNS"):
        made.width = WIDE
    made.width = max(made.width, NARROW)
    return made


def show(parts: Iterable[str | Table], *, stdout_taken: bool = False) -> None:
    """Print lines and tables to `console`. Lines are left to the terminal to wrap."""
    from flexeval.cli.narrow import fitted

    to = console(stdout_taken=stdout_taken)
    for part in parts:
        if isinstance(part, str):
            to.print(part, soft_wrap=True)
            continue
        for piece in fitted(part, to):
            # What does not fit is left to the terminal to wrap: the rest of a number that is cut off looks like one.
            to.print(piece, crop=False)


def messages(*, quiet: bool = False) -> Console:
    """The console for progress: stderr."""
    return _Console(stderr=True, quiet=quiet)


def check_targets(targets: Mapping[str, str | None], *, reads: Iterable[Path] = ()) -> None:
    """Raise InputError when a result could not be written: before hours of sampling, not after.

    Args:
        targets: option -> the file that the user named, or None; "-" is stdout for `--json`.
        reads: files that the command reads; no result may replace them.
    """
    from flexeval.runs.target import check_target, identity

    taken = {identity(str(path)): f"the command reads {str(path)!r}" for path in reads}
    if _is_file(sys.stdout):
        taken[identity(sys.stdout.fileno())] = "standard output goes there as well"
    for option, target in targets.items():
        if target is None:
            continue
        if target == "-":
            if option != "--json":
                raise InputError(f"{option} takes a file, not '-'; for standard output, write {option} /dev/stdout")
            if getattr(sys.stdout, "name", None) == os.devnull:
                raise InputError("--json - writes to standard output, which is closed; open it, or give a file")
            continue
        check_target(target)
        place = identity(target)
        if place in taken:
            raise InputError(f"cannot write {option} to {target!r}: {taken[place]}; give another file")
        if place is not None:
            taken[place] = f"{option} goes there as well"


def _is_file(stream: TextIO) -> bool:
    """Whether a standard stream goes to a regular file; not where a notebook or a test took its place."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except OSError:
        return False


def check_folder(folder: Path, *, what: str, is_run: bool = False) -> None:
    """Raise InputError where the folder cannot be made or written to, or lies in a run. Makes nothing.

    Args:
        folder: where results are to go; it need not exist.
        what: its name in messages.
        is_run: whether it is to be a run folder itself, and so may be one already.
    """
    from flexeval.runs.target import check_outside_runs

    there = folder
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        kind = "a file" if there.exists() else "a symbolic link to nothing"
        raise InputError(f"cannot use {str(folder)!r} as {what}: {str(there)!r} is {kind}; give a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"cannot use {str(folder)!r} as {what}: {str(there)!r} cannot be written; give another folder")
    # What is not there yet must not be too long for the file system.
    longest = os.pathconf(there, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
    for part in folder.parts:
        if len(os.fsencode(part)) > longest:
            raise InputError(f"cannot use {str(folder)!r} as {what}: a name has {longest} bytes at most; shorten it")
    check_outside_runs(folder, what=what, is_run=is_run)


def check_run_folders(folders: Iterable[Path]) -> None:
    """Raise InputError where a run folder cannot be made or written to: before the first sample, not at its own."""
    for folder in folders:
        check_folder(folder, what="a run folder", is_run=True)


def deliver(
    args: argparse.Namespace, shown: Iterable[str | Table], content: Mapping[str, Any], rows: pd.DataFrame
) -> None:
    """Print what a command found, and write it where --json and --csv say.

    Args:
        args: with `json` and `csv`.
        shown: the lines and tables for the terminal.
        content: everything, for the JSON file.
        rows: for the CSV file.

    Raises:
        OSError: a file cannot be written; an old one is untouched.
    """
    show(shown, stdout_taken=args.json == "-")
    write_json(args.json, content)
    write_csv(args.csv, rows)


def write_json(target: str | None, content: Mapping[str, Any]) -> None:
    """Write JSON to a file, to stdout for "-", or nowhere for None. Raises OSError, an old file untouched."""
    from flexeval.runs.files import to_json

    if target == "-":
        # What stdout cannot hold would otherwise become Python's escapes, which are not JSON's.
        utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        sys.stdout.write(to_json(content, indent=2, ascii_only=not utf8) + "\n")
    elif target is not None:
        _write(target, to_json(content, indent=2) + "\n")


def write_csv(target: str | None, frame: pd.DataFrame) -> None:
    """Write a frame as CSV, or nowhere for None. Raises OSError, an old file untouched."""
    if target is not None:
        _write(target, frame.to_csv(index=False))


def _write(target: str, text: str) -> None:
    from flexeval.runs.target import write_target

    # Half a surrogate pair has no UTF-8; the escape that stands for it is also JSON's.
    write_target(target, text.encode(errors="backslashreplace"))


def announce_isolation(task: Task) -> None:
    """Say on stderr what isolates the programs that a task runs, if it runs any.

    Raises:
        InputError: nothing would isolate them.
    """
    from flexeval.tasks.task import RunsPrograms

    if isinstance(task, RunsPrograms):
        isolation = task.isolation()
        state = "" if isolation.confined else " (NOT CONFINED, as you allowed)"
        print(f"generated programs run as {isolation.summary()}{state}", file=sys.stderr, flush=True)
