"""A file that a user named for a result: check that it can be written, and write it.

As with the shell's `>`, what is there decides how. Devices, FIFOs, pipes and open descriptors (`/dev/fd/3`,
`/dev/stdout`) are written into; a symbolic link is followed. A regular file is replaced in one step, so that it is
whole or absent, and keeps its permissions. No result goes into a run folder, whose files `flexeval.runs.files` writes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import select
import stat
import sys
from pathlib import Path

from flexeval.errors import InputError
from flexeval.runs.layout import CONFIG, PROBLEMS

_MOST_LINKS = 40
"""In a row, as the kernel counts them."""


def check_target(name: str) -> None:
    """Raise InputError where a result could not be written, so that this is known before hours of sampling."""
    refused = f"cannot write to {name!r}"
    try:
        place = _place(name)
        found = None if isinstance(place, int) else _status(place)
    except OSError as error:
        raise InputError(f"{refused}: {error.strerror}; give another name") from None
    if isinstance(place, int):
        if not _writable(place):
            raise InputError(f"{refused}: descriptor {place} is not open for writing; open it, as in `{place}>FILE`")
        return
    if run := _run_around(place):
        raise InputError(f"{refused}: {str(run)!r} is a run, which is read as it was written; give a file elsewhere")

    # What is there.
    is_link = Path(name).is_symlink()
    leads = f"it leads to {str(place)!r}, which" if is_link else "it"
    if found is not None:
        if stat.S_ISDIR(found.st_mode):
            raise InputError(f"{refused}: {leads} is a folder; give a file name in it")
        if stat.S_ISSOCK(found.st_mode):
            raise InputError(f"{refused}: {leads} is a socket; give a file, a FIFO or a device")
        if not os.access(place, os.W_OK):
            raise InputError(f"{refused}: {leads} is write-protected; make it writable, or give another name")
        if not stat.S_ISREG(found.st_mode):
            return

    # Where a file is to come.
    folder = str(place.parent if is_link else Path(name).parent)
    if not place.parent.is_dir():
        raise InputError(f"{refused}: there is no folder {folder!r}; make it first")
    try:
        # Permissions do not say everything: a disk may be mounted read-only.
        temporary = _temporary(place)
        temporary.touch(exist_ok=False)
        temporary.unlink()
    except OSError as error:
        raise InputError(
            f"{refused}: no file can be made in folder {folder!r} ({error.strerror}); give one in another"
        ) from None


def check_outside_runs(folder: Path, *, what: str, is_run: bool = False) -> None:
    """Raise InputError where a folder of results, called `what`, is a run or lies in one; `is_run`: it may be one."""
    place = Path(os.path.realpath(folder))
    if run := _run_around(place if is_run else place / CONFIG):
        raise InputError(
            f"cannot use {str(folder)!r} as {what}: {str(run)!r} is a run, which is read as it was written; give a "
            "folder elsewhere"
        )


def identity(name: str | int) -> object:
    """Equal for two names of one file; None for a character device, which takes any number of results.

    Args:
        name: a path, or the number of an open descriptor.

    Raises:
        OSError: the file cannot be examined.
    """
    place = _place(name) if isinstance(name, str) else name
    found = os.fstat(place) if isinstance(place, int) else _status(place)
    if found is None:
        return place
    return None if stat.S_ISCHR(found.st_mode) else (found.st_dev, found.st_ino)


def is_regular(name: str) -> bool:
    """Whether a name is of a regular file, or of none yet, which would be one. Raises OSError as `identity`."""
    place = _place(name)
    found = None if isinstance(place, int) else _status(place)
    return not isinstance(place, int) and (found is None or stat.S_ISREG(found.st_mode))


def write_target(path: Path | str, data: bytes) -> None:
    """Write a result to the file that the user named.

    Raises:
        OSError: it could not be written; a regular file that was there is untouched. BrokenPipeError when the reader
            of a pipe or FIFO has gone.
        InputError: an endless chain of links.
    """
    try:
        place = _place(path)
        if isinstance(place, int):
            # Ours may still hold what was printed before.
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            _write(place, data)
            return
        found = _status(place)
        if found is not None and not stat.S_ISREG(found.st_mode):
            descriptor = os.open(place, os.O_WRONLY | os.O_NOCTTY)
            try:
                _write(descriptor, data)
            finally:
                os.close(descriptor)
        else:
            _replace(place, data, found)
    except OSError as error:
        # By the name that the user knows.
        raise type(error)(error.errno, error.strerror, str(path)) from error


def _place(name: Path | str) -> int | Path:
    """The descriptor that /dev/fd/3, /dev/stdout or a link to them stands for; else the path behind all links.

    A descriptor is not opened anew by its path: that would begin at the start of its file, and not work for a socket.
    """
    descriptors = {os.path.realpath(folder) for folder in ("/dev/fd", "/proc/self/fd")}
    path = Path(os.path.abspath(name))
    for _ in range(_MOST_LINKS):
        folder = os.path.realpath(path.parent)
        if folder in descriptors and path.name.isdecimal():
            return int(path.name)
        path = Path(folder, path.name)
        if not path.is_symlink():
            return path
        path = Path(os.path.normpath(Path(folder, path.readlink())))
    raise InputError(f"cannot write to {str(name)!r}: its links never end; give another name")


def _run_around(path: Path) -> Path | None:
    """The run folder that a path lies in."""
    return next(
        (folder for folder in path.parents if (folder / CONFIG).exists() and (folder / PROBLEMS).exists()), None
    )


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _writable(descriptor: int) -> bool:
    try:
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    except OSError:
        return False
    return flags & os.O_ACCMODE != os.O_RDONLY


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            # Another program that shares it made it non-blocking.
            select.select([], [descriptor], [])


def _replace(path: Path, data: bytes, found: os.stat_result | None) -> None:
    """Write a regular file under another name, then put it in place, with the permissions of the old one."""
    temporary = _temporary(path)
    try:
        with open(temporary, "xb", buffering=0) as file:
            if found is not None:
                # Only root may give a file away; for others it becomes their own.
                with contextlib.suppress(PermissionError):
                    os.fchown(file.fileno(), found.st_uid, found.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(found.st_mode))
            _write(file.fileno(), data)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _temporary(path: Path) -> Path:
    """A name beside a file that nobody else takes."""
    return path.with_name(f".flexeval-{secrets.token_hex(8)}.tmp")
