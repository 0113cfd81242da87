"""Writing files so that a kill at any moment leaves each of them whole or absent, and reading them back.

A file is replaced in one step or grows by whole lines. A write that fails is undone and raised; a file that cannot be
read is an `InputError`. Knows nothing of runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flexeval.errors import DamageError, InputError, one_line
from flexeval.reading import named_once

TEMPORARY_SUFFIX = ".tmp"
RESTORE = "restore the file, or use another folder"
_SURROGATE = re.compile("[\ud800-\udfff]")


def replace_file(path: Path, data: bytes, *, outdated: Path | None = None) -> None:
    """Write a file under a temporary name, then put it in place. Raises OSError, the old file untouched.

    Args:
        path: of the file.
        data: what it is to hold.
        outdated: a file that says what the old one held; removed once nothing but putting in place is left to do.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        with _opened(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as descriptor:
            _write(descriptor, data)
        if outdated is not None:
            outdated.unlink(missing_ok=True)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def replace_folder(partial: Path, folder: Path) -> None:
    """Move a folder that was written under a temporary name to its own. Raises OSError.

    Args:
        partial: complete, though its files may not be on the disk itself yet.
        folder: beside it; must not exist.
    """
    for path in partial.rglob("*"):
        sync(path)
    sync(partial)
    os.replace(partial, folder)
    sync(folder.parent)


def append_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append JSON objects, one a line. Raises OSError, the file back at its former size."""
    append_bytes(path, "".join(to_json(row) + "\n" for row in rows).encode())


def append_bytes(path: Path, data: bytes) -> int:
    """Append, and return the size before. Raises OSError, the file back at that size."""
    with _opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as descriptor:
        size = os.fstat(descriptor).st_size
        try:
            _write(descriptor, data)
        except BaseException:
            os.ftruncate(descriptor, size)
            raise
    return size


def cut_lines(path: Path, size: int) -> None:
    """Remove what follows the first bytes of a file of lines, and end the last line, so that more can be appended."""
    with _opened(path, os.O_RDWR | os.O_APPEND) as descriptor:
        if os.fstat(descriptor).st_size > size:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            _write(descriptor, b"\n")


def read_file(path: Path) -> bytes:
    """The bytes of a file. Raises DamageError where it is missing, no regular file, or cannot be read."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            # Opening a FIFO would wait for somebody who writes into it.
            raise DamageError(f"cannot read {path} (it is no regular file); restore it, or use another folder")
        return path.read_bytes()
    except FileNotFoundError:
        raise DamageError(f"{path} is missing; restore it, or use another folder") from None
    except OSError as error:
        raise DamageError(f"cannot read {path} ({error.strerror}); restore it, or use another folder") from None


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number (from 1) and object of each line; none where there is no file.

    A last line without its line break counts if it is a whole object; if not, a kill has left it.

    Raises:
        DamageError: a line that is not a JSON object, with its number.
    """
    if not path.exists():
        return
    *lines, rest = read_file(path).split(b"\n")
    for number, line in enumerate(lines, start=1):
        yield number, parse_object(line, where=f"{path}, line {number}")
    with contextlib.suppress(DamageError):
        yield len(lines) + 1, parse_object(rest, where=str(path))


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object that a file holds. Raises DamageError when it holds something else."""
    return parse_object(read_file(path), where=str(path))


def drop_temporaries(folder: Path) -> None:
    """Remove what a kill left of files that were being replaced."""
    for temporary in folder.glob(f"*{TEMPORARY_SUFFIX}"):
        temporary.unlink()


def to_json(value: Mapping[str, Any], *, indent: int | None = None, ascii_only: bool = False) -> str:
    """Standard JSON: NaN raises ValueError, since other readers refuse it; half a surrogate pair is escaped."""
    text = json.dumps(value, ensure_ascii=ascii_only, allow_nan=False, indent=indent)
    return text if text.isascii() else _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


@contextlib.contextmanager
def locked(path: Path, *, busy: str) -> Iterator[None]:
    """Hold an exclusive lock. It ends with the process, even if that is killed.

    Args:
        path: the lock file; it stays behind.
        busy: what the lock is for, in the message when another process holds it.

    Raises:
        InputError: another process holds it, or it is no file.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, where a lock file should be; remove it") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InputError(f"{path} is no regular file, as a lock file should be; remove it")
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
    """Write all of the data through to the disk: the order of writes must survive a power cut, too."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def sync(path: Path) -> None:
    """Have a file's content, or a folder's names, on the disk itself. Raises OSError."""
    with _opened(path, os.O_RDONLY) as descriptor:
        os.fsync(descriptor)


def parse_object(data: bytes, *, where: str) -> dict[str, Any]:
    """A JSON object with distinct names and finite numbers only.

    Args:
        data: in UTF-8.
        where: what messages call it.

    Raises:
        DamageError: anything else.
    """
    try:
        value = json.loads(data, object_pairs_hook=named_once, parse_constant=_no_number)
    except RecursionError:
        raise DamageError(f"{where}: nested too deeply; {RESTORE}") from None
    except ValueError as error:
        raise DamageError(f"{where}: not JSON ({one_line(error)}); {RESTORE}") from None
    if not isinstance(value, dict):
        raise DamageError(f"{where}: not a JSON object but {type(value).__name__}; restore the file")
    return value


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number in JSON")
