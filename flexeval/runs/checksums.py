"""Checksums, stored with the data, by which a reader notices that bytes were changed, moved or lost.

- A line ends with a checksum over itself and all lines before it. So no line can be changed, lost, repeated or moved
  unnoticed, except that lines may be missing at the end: the reader must know how many there are, or take what is
  there.
- A JSON object ends with a checksum over itself.
- The name of a file that is written once holds the checksum of its bytes.

Lines and names also depend on the run's key, so that files of another run are refused. Checksums find accidents; they
do not stop somebody who changes a run on purpose.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flexeval.errors import DamageError
from flexeval.runs.files import RESTORE, parse_object, read_file, to_json

CHECKSUM = "crc"
"""The last field of a line or an object: CRC-32, eight hexadecimal digits."""
_LINE_END = b', "crc": "%08x"}'
_OBJECT_END = b',\n  "crc": "%08x"\n}'
_LINE_END_SIZE, _OBJECT_END_SIZE = len(_LINE_END % 0), len(_OBJECT_END % 0)
_NAMED = re.compile(r"-([0-9a-f]{16})\.[a-z]+$")


@dataclass(frozen=True, kw_only=True)
class End:
    """Where the checked lines of a file end; what is appended continues from here."""

    checksum: int
    """Of the last line; of a file without lines, what its first line continues."""
    size: int
    """Bytes of the lines. A kill may have left half a line or lines that do not count after them."""


# ----- lines -----


def first_checksum(key: str, name: str) -> int:
    """What the first line of a file continues."""
    return zlib.crc32(f"{key}/{name}".encode())


def line_bytes(rows: Iterable[Mapping[str, Any]], checksum: int) -> tuple[bytes, int]:
    """Rows (none empty) as lines that continue a checksum; the lines, and the checksum of the last."""
    parts = []
    for row in rows:
        body = to_json(row)[:-1].encode()
        checksum = zlib.crc32(body, checksum)
        parts += [body, _LINE_END % checksum, b"\n"]
    return b"".join(parts), checksum


def read_checked_lines(path: Path, checksum: int, *, count: int | None = None) -> tuple[list[dict[str, Any]], End]:
    """The first lines of a file, each checked, and where they end.

    A last line that lost its line break counts where its checksum is right.

    Args:
        path: written by `line_bytes`.
        checksum: what the first line continues.
        count: how many lines there must be; None for all there are.

    Raises:
        DamageError: a line that is not as it was written, or fewer lines than there must be.
    """
    data = read_file(path)
    *lines, rest = data.split(b"\n")
    lines = lines[:count]
    bodies: list[bytes] = []
    size = 0
    for number, line in enumerate(lines, start=1):
        body = line[:-_LINE_END_SIZE]
        checksum = zlib.crc32(body, checksum)
        if line[-_LINE_END_SIZE:] != _LINE_END % checksum:
            raise DamageError(f"{path}, line {number}: not as it was written (wrong checksum); {RESTORE}")
        bodies.append(body)
        size += len(line) + 1

    # A last line without its line break, or with another character in its place, is whole if its checksum is right.
    for line in (rest, rest[:-1]) if count is None or len(bodies) < count else ():
        body = line[:-_LINE_END_SIZE]
        if line and line[-_LINE_END_SIZE:] == _LINE_END % zlib.crc32(body, checksum):
            bodies.append(body)
            checksum = zlib.crc32(body, checksum)
            size += len(line)
            break
    if count is not None and len(bodies) < count:
        raise DamageError(f"{path}: {len(bodies)} lines are left of {count}; {RESTORE}")
    rows: list[dict[str, Any]] = json.loads(b"[" + b",".join(body + b"}" for body in bodies) + b"]")
    return rows, End(checksum=checksum, size=size)


# ----- objects -----


def object_bytes(values: Mapping[str, Any]) -> bytes:
    """An object (not empty), indented, with its checksum as the last field."""
    body = to_json(values, indent=2)[: -len("\n}")].encode()
    return body + _OBJECT_END % zlib.crc32(body) + b"\n"


def read_checked_object(path: Path) -> dict[str, Any]:
    """An object, checked if it has a checksum, which stays in it so that a caller can require one.

    Raises:
        DamageError: no JSON object, or not as it was written.
    """
    data = read_file(path).rstrip(b"\n")
    values = parse_object(data, where=str(path))
    body = data[:-_OBJECT_END_SIZE]
    if CHECKSUM in values and data[-_OBJECT_END_SIZE:] != _OBJECT_END % zlib.crc32(body):
        raise DamageError(f"{path}: not as it was written (wrong checksum); {RESTORE}")
    return values


# ----- files that are written once -----


def named_by_content(stem: str, suffix: str, data: bytes, *, key: str) -> str:
    """The name for a file that will hold these bytes."""
    return f"{stem}-{_digest(data, key)}{suffix}"


def read_named_file(path: Path, *, key: str) -> bytes:
    """The bytes of a file. Raises DamageError where it cannot be read, or its name holds another checksum."""
    data = read_file(path)
    named = _NAMED.search(path.name)
    if named is None or named[1] != _digest(data, key):
        raise DamageError(f"{path}: not as it was written (wrong checksum); {RESTORE}")
    return data


def _digest(data: bytes, key: str) -> str:
    return hashlib.blake2b(data, digest_size=8, key=key.encode()).hexdigest()
