"""Writing files so that a kill at any moment leaves each of them whole or absent, and reading them back.

A file is replaced in one step, or grows by whole lines; what cannot be written is undone and raised. It does not
know what a run is.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flexeval.errors import InputError, one_line
from flexeval.reading import read_bytes

TEMPORARY_SUFFIX = ".tmp"


def replace_file(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, then put it in place. Raises OSError, the old file untouched."""
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        with _opened(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as descriptor:
            _write(descriptor, data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def replace_folder(partial: Path, folder: Path) -> None:
    """Give a folder that was written under another name its own. Raises OSError.

    Args:
        partial: whole; its files need not be on the disk itself yet.
        folder: in the same place; must not exist.
    """
    for path in partial.rglob("*"):
        _sync(path)
    _sync(partial)
    os.replace(partial, folder)
    _sync(folder.parent)


def append_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append JSON objects, one a line. Raises OSError, the file back at its former size."""
    data = "".join(to_json(row) + "\n" for row in rows).encode()
    with _opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as descriptor:
        size = os.fstat(descriptor).st_size
        try:
            _write(descriptor, data)
        except BaseException:
            os.ftruncate(descriptor, size)
            raise


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (from 1) and object of each whole line; a half-written last line is left out.

    Raises:
        InputError: a line that is not a JSON object, with its number.
    """
    if not path.exists():
        return
    *lines, _half = read_bytes(path, what="the file that flexeval wrote").split(b"\n")
    for number, line in enumerate(lines, start=1):
        yield number, _object(line, where=f"{path}, line {number}")


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds. Raises InputError when it holds something else."""
    return _object(read_bytes(path, what="the file that flexeval wrote"), where=str(path))


def drop_half_line(path: Path) -> None:
    """Cut off a last line that a kill left without its end."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)


def drop_temporaries(folder: Path) -> None:
    """Remove what a kill left of files that were being replaced."""
    for temporary in folder.glob(f"*{TEMPORARY_SUFFIX}"):
        temporary.unlink()


def to_json(value: Mapping[str, Any], *, indent: int | None = None, ascii_only: bool = False) -> str:
    """Standard JSON: NaN is an error rather than a word that other readers refuse."""
    return json.dumps(value, ensure_ascii=ascii_only, allow_nan=False, indent=indent)


@contextlib.contextmanager
def locked(path: Path, *, busy: str) -> Iterator[None]:
    """Hold an exclusive lock, which ends with the process however it ends.

    Args:
        path: the lock file; it stays behind.
        busy: what holds the lock when another process does, for the message.

    Raises:
        InputError: another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 32).decode(errors="replace").strip()
            raise InputError(f"{busy} is in use by process {owner or '(unknown)'}; wait for it to end") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """A file descriptor; errors of unnamed system calls get the file's name."""
    descriptor = os.open(path, flags, 0o666)
    try:
        yield descriptor
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    """All of the data, on the disk itself: the order of writes must survive a power cut, too."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def _sync(path: Path) -> None:
    with _opened(path, os.O_RDONLY) as descriptor:
        os.fsync(descriptor)


def _object(data: bytes, *, where: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({one_line(error)}); restore the file, or use another folder") from None
    if not isinstance(value, dict):
        raise InputError(f"{where}: not a JSON object but {type(value).__name__}; restore the file")
    return value
