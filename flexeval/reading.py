"""Files that users write, as text, JSON or YAML: what cannot be read is an InputError that names the file.

The only place that decodes them. The parsers raise much beside their own errors: a ValueError for a number of 5,000
digits, a RecursionError for 100,000 brackets, a KeyError for `!!bool maybe`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flexeval.errors import InputError, one_line


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


def decode(data: bytes, *, where: str) -> str:
    """The text behind some bytes. Raises InputError, which says `where` they stand, unless they are UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read {where}: it is not UTF-8 (byte {error.start + 1}); save it as UTF-8") from None


def parse_json(text: str | bytes, *, where: str) -> Any:
    """The value of a JSON text. Raises InputError, which says `where` it stands, unless it is one that can be kept."""
    if isinstance(text, bytes):
        text = decode(text, where=where)
    try:
        return json.loads(text)
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
    """The value of a YAML text. Raises InputError, which says `where` it stands, unless it is YAML.

    Aliases are not resolved into copies, but what is made of the value may be: take apart only what should be there.
    """
    import yaml

    try:
        return yaml.safe_load(text)
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
