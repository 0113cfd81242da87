"""The values of a dataclass's fields against its annotations: what Python itself does not look at.

Numbers of numpy's become Python's, and a whole number becomes a float where the field is one, so that equal settings
compare equal and are stored alike.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import operator
import types
import typing
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from flexeval.errors import InputError, InputTypeError, one_line, shortened
from flexeval.reading import require_text

LARGEST_WHOLE = 2**63 - 1
"""What arrays and Parquet files can hold."""


def require_types(record: Any, *, owner: str = "") -> None:
    """Check the fields of a frozen dataclass that is being made; call it first in `__post_init__`.

    Looked at are text, numbers, truth values, `Literal`, records, mappings of these, each also `| None`; other
    annotations are not. A path is kept as its text.

    Args:
        record: the instance.
        owner: what messages put before the name of a field ("Problem.").

    Raises:
        InputTypeError: a value of another type than the field's, a number beyond 64 bits.
        InputError: a text that cannot be stored.
    """
    kind: type = type(record)
    for name, hint in _hints(kind).items():
        value = getattr(record, name)
        kept = _typed(value, hint, what=f"{owner}{name}")
        if kept is not value:
            object.__setattr__(record, name, kept)


def require_instance(value: object, kind: Any, *, what: str) -> None:
    """Raise InputTypeError, which calls the value `what`, unless it is of a class."""
    if not isinstance(value, kind):
        raise InputTypeError(f"{what} must be a {kind.__name__} (of {kind.__module__}), not a {type(value).__name__}")


def require_path(value: object, *, what: str) -> Path:
    """The path that a value names, whether something lies there or not.

    Raises:
        InputTypeError: it is no text and no Path. The message calls it `what`.
        InputError: it is empty, which would be the working folder, or no file can have this name.
    """
    if not isinstance(value, str | Path):
        raise InputTypeError(f"{what} is a text or a Path, not a {type(value).__name__}")
    if not str(value).strip():
        raise InputError(f"{what} is empty; give a path, such as '.' for the working folder")
    path = Path(value)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass  # whoever reads or writes there says so
    except (OSError, ValueError) as error:  # too long, or with a zero byte
        reason = error.strerror if isinstance(error, OSError) and error.strerror else one_line(error)
        raise InputError(f"cannot use {shortened(str(value), 60)!r} as {what}: {reason}; give another") from None
    return path


FLOAT32 = (2.0**-126, 2.0**126)
"""The range of the numbers that float32 holds in full precision together with their reciprocals."""


def require_whole(value: object, *, what: str, least: int, most: int) -> int:
    """The whole number that a value is. Raises InputError, which calls it `what`, for anything else."""
    number: int = _typed(value, int, what=what)
    if number < least:
        raise InputError(f"{what} must be at least {least}, not {number}")
    if number > most:
        raise InputError(f"{what} must be at most {most}, not {_shown(number)}")
    return number


def require_float32(
    what: str, value: float, *, positive: bool = False, least: float = FLOAT32[0], most: float = FLOAT32[1]
) -> None:
    """Refuse a setting that float32 arithmetic cannot compute with.

    Args:
        what: how the message calls the setting.
        value: 0, unless `positive`, or a number from `least` to `most`.
        positive: whether 0 is refused, too.
        least: the smallest that is not 0.
        most: the largest.

    Raises:
        InputError: any other value, infinity and NaN included.
    """
    sign = "above 0" if positive else ">= 0"
    require(
        (value > 0 if positive else value >= 0) and value != math.inf, f"{what} must be a number {sign}, not {value}"
    )
    require(
        value == 0 or least <= value <= most,
        f"{what} must be {'' if positive else '0 or '}between {least:.2g} and {most:.2g}, "
        f"which is what float32 can compute with, not {value}",
    )


def require(condition: bool, message: str) -> None:
    """Raise InputError with this message unless the condition holds."""
    if not condition:
        raise InputError(message)


@cache
def _hints(record: type) -> Mapping[str, Any]:
    hints = typing.get_type_hints(record)
    return {field.name: hints[field.name] for field in dataclasses.fields(record)}


def _typed(value: Any, hint: Any, *, what: str) -> Any:
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in options:
            return None
        kinds = [option for option in options if option is not type(None)]
        return _typed(value, kinds[0], what=what) if len(kinds) == 1 else value
    if origin is typing.Literal:
        if value not in options:
            raise InputTypeError(f"{what} must be {' or '.join(map(repr, options))}, not {_shown(value)}")
        return value
    if hint is str:
        return require_text(str(value) if isinstance(value, PurePath) else value, what=what)
    if hint is bool:
        if not isinstance(value, bool | np.bool_):
            raise InputTypeError(f"{what} must be True or False, not {_shown(value)}")
        return bool(value)
    if hint is int:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise InputTypeError(f"{what} must be a whole number, not {_shown(value)}")
        if abs(number := operator.index(value)) > LARGEST_WHOLE:
            raise InputTypeError(f"{what} must be a whole number of 64 bits, not {_shown(number)}")
        return number
    if hint is float:
        return _float(value, what=what)
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise InputTypeError(f"{what} must be a mapping, not {_shown(value)}")
        if options[1] is Any:
            return value
        return {
            _typed(key, options[0], what=f"a name in {what}"): _typed(one, options[1], what=f"{what}[{_shown(key)}]")
            for key, one in value.items()
        }
    if dataclasses.is_dataclass(hint) and not isinstance(value, typing.cast(type, hint)):
        raise InputTypeError(f"{what} must be a {getattr(hint, '__name__', hint)}, not {_shown(value)}")
    return value


def _float(value: Any, *, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InputTypeError(f"{what} must be a number, not {_shown(value)}")
    try:
        return float(value) + 0.0  # -0.0 is 0.0, also in names and hashes
    except OverflowError:
        raise InputTypeError(f"{what} must be a number that a float can hold, not {_shown(value)}") from None


def _shown(value: object) -> str:
    try:
        return shortened(repr(value), 60)
    except Exception:  # a number of too many digits, or an object of the user's
        return f"a {type(value).__name__}"
