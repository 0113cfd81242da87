"""The folder that a program may write to: new and empty for each program, and removed afterwards."""

from __future__ import annotations

import itertools
import os
import secrets

_NAME = "work"
_MODE = 0o711
"""Others may pass through, so that a candidate with its own user id can reach its folder."""


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

    def clear(self) -> None:
        """Remove whatever candidates left. None may be alive.

        Before a folder is emptied it moves to the top, under a name that no program can have used: programs can nest
        folders deeper than any recursion or path allows.
        """
        names = (f"{self.parent}/{secrets.token_hex(8)}-{n}" for n in itertools.count())
        os.chmod(self.parent, _MODE)
        pending = [self.parent]
        while pending:
            folder = pending.pop()
            with os.scandir(folder) as entries:
                for entry in list(entries):
                    if entry.is_dir(follow_symlinks=False):
                        os.chmod(entry.path, 0o700)
                        pending.append(next(names))
                        os.rename(entry.path, pending[-1])
                    else:
                        os.unlink(entry.path)
            if folder != self.parent:
                os.rmdir(folder)
