"""The folder that a program may write to: new and empty for each program, and removed afterwards.

Removing is bounded in time, whatever was left behind: who cannot finish says so, and the rest is for a process of its
own (`remove`), which nobody waits for long and which may be killed.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import secrets
import subprocess
import time

from .interpreter import ENVIRONMENT, FLAGS, bootstrap, interpreter

_NAME = "work"
_MODE = 0o711
"""Others may pass through, so that a candidate with its own user id can reach its folder."""
_AT_ONCE_S = 5.0
"""For removing a folder while the caller waits; ten thousand entries need about half a second of an idle machine."""
_PATIENCE_S = 5.0
"""For waiting until the helper has removed it."""


class Scratch:
    """Where the scratch folders of one worker are made, one at a time."""

    def __init__(self, parent: str) -> None:
        os.makedirs(parent, mode=_MODE, exist_ok=True)
        self.parent = parent
        self.folder = f"{parent}/{_NAME}"
        """The current scratch folder."""

    def renew(self, owner: int | None) -> None:
        """Make the folder for the next candidate, which belongs to the user `owner`; None stands for our own."""
        os.mkdir(self.folder, 0o700)
        if owner is not None:
            os.chown(self.folder, owner, owner)

    def clear(self, seconds: float = _AT_ONCE_S) -> bool:
        """Remove whatever candidates left, of whom none may be alive; whether all is gone. If not, use no more."""
        gone = _empty(self.parent, time.monotonic() + seconds)
        with contextlib.suppress(OSError):
            os.chmod(self.parent, _MODE)
        return gone


def remove(folder: str, *, aside: str) -> None:
    """Remove a folder with all that programs left in it. Raises nothing, and returns in bounded time.

    Args:
        folder: which no process uses any more; it may be gone already.
        aside: folder of the same file system where what takes long is removed, after we have gone on.
    """
    if not os.path.lexists(folder) or (_empty(folder, time.monotonic() + _AT_ONCE_S) and _try_rmdir(folder)):
        return
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        rest = f"{aside}/flexeval-removed-{secrets.token_hex(8)}"
        os.rename(folder, rest)
        command = [interpreter().executable, *FLAGS, "-c", bootstrap("sandbox.scratch", "_helper"), rest]
        subprocess.run(command, cwd="/", env=ENVIRONMENT, stdin=subprocess.DEVNULL, start_new_session=True)


def _helper() -> None:
    """The process that `remove` starts: it forks the one that works, and waits for a while."""
    import sys

    child = os.fork()
    if child == 0:
        os.nice(19)
        folder = sys.argv[1]
        _empty(folder)
        _try_rmdir(folder)
        os._exit(0)
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and os.waitpid(child, os.WNOHANG)[0] == 0:
        time.sleep(0.02)


def _try_rmdir(folder: str) -> bool:
    try:
        os.rmdir(folder)
    except OSError:
        return False
    return True


def _empty(top: str, deadline: float = math.inf) -> bool:
    """Remove what lies in a folder; whether all of it was gone in time.

    Before a folder is emptied it moves to the top, under a name that no program can have used: programs can nest
    folders deeper than any recursion or path allows. Most folders of those that make many are empty and need not move.
    """
    names = (f"{top}/{secrets.token_hex(8)}-{n}" for n in itertools.count())
    try:
        os.chmod(top, 0o700)
        pending = [top]
        while pending:
            folder = pending.pop()
            with os.scandir(folder) as entries:
                for entry in list(entries):
                    if time.monotonic() > deadline:
                        return False
                    if not entry.is_dir(follow_symlinks=False):
                        os.unlink(entry.path)
                    elif not _try_rmdir(entry.path):
                        os.chmod(entry.path, 0o700)
                        pending.append(next(names))
                        os.rename(entry.path, pending[-1])
            if folder != top:
                os.rmdir(folder)
    except OSError:
        return False
    return True
