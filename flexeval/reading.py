"""Files that users write, as text, JSON or YAML: what cannot be read is an InputError that names the file.

The only place that decodes them. The parsers raise much beside their own errors: a ValueError for a number of 5,000
digits, a RecursionError for 100,000 brackets, a KeyError for `!!bool maybe`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flexeval.errors import InputError, one_line

COMPRESSED = (".gz", ".zst", ".bz2")
"""Suffixes of compressed files, which are read like the files inside."""
_OTHER_TABLE = re.compile(r"(\.(?:csv|tsv|xlsx?|ods|arrow|feather))(?:\.\w+)?\Z")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a table, with the place that an error message names."""

    place: str
    values: Mapping[str, Any]

    def __getitem__(self, column: str) -> Any:
        return self.values[column]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """All rows of a file, in its order."""

    fingerprint: str
    """SHA-256 of the file, uncompressed."""
    rows: tuple[Row, ...]


def read_text(path: Path, *, what: str, where: str = "") -> str:
    """The text of a file; arguments as of `read_bytes`. Raises InputError where it cannot be read or is not UTF-8."""
    return decode(read_bytes(path, what=what, where=where), where=where or repr(str(path)))


def read_bytes(path: Path, *, what: str, where: str = "") -> bytes:
    """The content of a file.

    Args:
        path: of the file.
        what: what it should be, as a noun ("a plan"), for messages.
        where: what messages call it; its path in quotes unless it says more.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except IsADirectoryError:
        reason = "it is a folder"
    except FileNotFoundError:
        reason = "there is no such file"
    except (OSError, ValueError) as error:  # a ValueError for a path with a zero byte
        reason = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)
    raise InputError(f"cannot read {where or repr(str(path))}: {reason}; give {what}")


def read_rows(path: Path, *, what: str, list_field: str | None = None) -> Rows:
    """The rows of a table: one JSON object a line, a JSON array of objects, or a Parquet file (`.parquet`).

    Args:
        path: the file; one of `COMPRESSED` is taken off its name.
        what: what it should hold, for messages ("GSM8K test").
        list_field: in a file that holds one JSON object, the field with the array.

    Raises:
        InputError: an empty or unreadable file, or a row that is not an object, with its number.
    """
    content = _uncompressed(path, read_bytes(path, what=f"{what}, one JSON object a line"), what)
    if other := _OTHER_TABLE.search(path.name.lower()):
        raise InputError(
            f"cannot read {str(path)!r}: {other[1]} is no form that is read; convert it to JSON, one object a line "
            "(in pandas, frame.to_json(FILE, orient='records', lines=True)), or to Parquet"
        )
    if path.with_suffix("" if path.suffix in COMPRESSED else path.suffix).suffix == ".parquet":
        kind, values = "row", _parquet_rows(path, content, what)
    else:
        text = decode(content, where=repr(str(path)))
        array = _array(text, path, list_field)
        kind, values = ("line", _lines(text, path)) if array is None else ("item", enumerate(array, start=1))
    rows = tuple(Row(place=f"{path.name} {kind} {n}", values=value) for n, value in values)
    if not rows:
        raise InputError(f"{str(path)!r} is empty; it should hold {what}, one JSON object a line")
    for row in rows:
        if not isinstance(row.values, dict):
            raise InputError(
                f"{row.place} is not a JSON object but a {type(row.values).__name__}; it should look like {{...}}"
            )
    return Rows(fingerprint=hashlib.sha256(content).hexdigest(), rows=rows)


def _uncompressed(path: Path, content: bytes, what: str) -> bytes:
    if path.suffix not in COMPRESSED:
        return content
    import pyarrow

    try:
        with pyarrow.CompressedInputStream(pyarrow.BufferReader(content), pyarrow.Codec.detect(path).name) as stream:
            uncompressed: bytes = stream.read()
    except OSError as error:
        kind = path.suffix.removeprefix(".")
        raise InputError(f"cannot read {str(path)!r}: no {kind} file ({one_line(error)}); give {what}") from None
    return uncompressed


def _parquet_rows(path: Path, content: bytes, what: str) -> Iterator[tuple[int, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(content))
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"cannot read {str(path)!r}: no Parquet file ({one_line(error)}); give {what}") from None
    return enumerate(table.to_pylist(), start=1)


def _array(text: str, path: Path, list_field: str | None) -> Sequence[Any] | None:
    """The array that a JSON file holds; None where there is one value a line."""
    begin = text.lstrip()[:1]
    if begin == "[":
        whole = parse_json(text, where=repr(str(path)), names_once=True)
        # A single line of JSONL may hold an array by mistake; what it holds then is no object.
        return whole if isinstance(whole, list) else None
    if begin == "{" and list_field is not None:
        try:
            whole = json.loads(text)
        except (ValueError, RecursionError):  # one object a line, whose faults are told by line
            return None
        if isinstance(whole, dict) and isinstance(whole.get(list_field), list):
            found: list[Any] = whole[list_field]
            return found if all(isinstance(item, dict) for item in found) else None
    return None


def _lines(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    """(number, value) of each line that is not blank."""
    # Not splitlines(): a JSON string may hold U+2028 and other characters that it takes for line ends.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, parse_json(line, where=f"{path.name} line {number}", names_once=True)


def decode(data: bytes, *, where: str) -> str:
    """The text behind some bytes, without a byte order mark. Raises InputError, which says `where` they stand, unless
    they are UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read {where}: it is not UTF-8 (byte {error.start + 1}); save it as UTF-8") from None


def named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's names and values, for `json.loads`. Raises ValueError for a name that is there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice in one object")
    return found


def parse_json(text: str | bytes, *, where: str, names_once: bool = False) -> Any:
    """The value of a JSON text.

    Args:
        text: in UTF-8.
        where: it stands, for messages.
        names_once: refuse an object with a name twice, of whose values one would be taken without a word.

    Raises:
        InputError: no JSON, or a value that cannot be kept.
    """
    if isinstance(text, bytes):
        text = decode(text, where=where)
    try:
        return json.loads(text, object_pairs_hook=named_once if names_once else None)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}" if "\n" in text else f"column {error.colno}"
        raise InputError(f"{where} is not JSON ({error.msg} at {place}); mend or remove it") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is JSON that cannot be kept ({_reason(error)}); mend or remove it") from None


def parse_object(text: str | bytes, *, where: str) -> dict[str, Any]:
    """The JSON object in a text. Raises InputError, which says `where` it stands, where it holds anything else."""
    value = parse_json(text, where=where)
    if not isinstance(value, dict):
        raise InputError(f"{where} is not a JSON object but a {type(value).__name__}; it should look like {{...}}")
    return value


def parse_yaml(text: str, *, where: str) -> Any:
    """The value of a YAML text. Raises InputError, which says `where` it stands, unless it is YAML, each key once.

    Aliases are not resolved into copies, but what is made of the value may be: take apart only what should be there.
    """
    import yaml

    class OnceLoader(yaml.SafeLoader):
        """Refuses a key that is there twice, of which PyYAML takes the last."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            found = set()
            for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
                if (key.tag, key.value) in found:
                    raise InputError(f"{where}, line {key.start_mark.line + 1}: {key.value!r} is given twice; keep one")
                found.add((key.tag, key.value))
            return super().construct_mapping(node, deep=deep)

    try:
        return yaml.load(text, Loader=OnceLoader)
    except InputError:
        raise
    except Exception as error:  # tags of the wrong kind raise whatever their constructors stumble over
        raise InputError(f"cannot read {where} as YAML ({_reason(error)})") from None


def require_text(value: object, *, what: str) -> str:
    """A text that can be stored. Raises InputError, which calls it `what`, for anything else."""
    if not isinstance(value, str):
        raise InputError(f"{what} must be a text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{what} holds half a character ({value[error.start]!a} at position {error.start}), which no text in UTF-8 "
            "can; write it in UTF-8"
        ) from None
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return one_line(error) if isinstance(error, ValueError) or str(error).count(" ") else f"{type(error).__name__}"
