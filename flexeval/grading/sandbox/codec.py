"""Plain values <-> bytes: the only language that a candidate and its judge share.

Plain are None, bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict and range.
What is decoded is always of exactly one of these types, so nothing that a candidate defines (an `__eq__`
that is always true, say) reaches the judge. A subclass of a plain type travels as the type it extends:
a Counter as a dict, a named tuple as a tuple, an IntEnum as an int. The standard library's own values (Decimal,
Fraction, and dates and times without a zone) travel as what they are made of, and are made again on arrival. Everything
else travels as a handle, a number that means something to the other side only. A list, dict, set or bytearray that
occurs twice in a value is one object on arrival as well.

It is written by hand because pickle runs code and JSON loses types. It imports as little as it can, since each
candidate pays for its imports. It does not know what the values mean.
"""

from __future__ import annotations

import sys
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

MAX_DEPTH = 100
"""Containers within containers."""

_COUNT = Struct("<I")
_FLOAT = Struct("<d")
_COMPLEX = Struct("<dd")
_HANDLE = Struct("<q")


class CodecError(ValueError):
    """Bytes that our encoder did not write, or a value that cannot travel."""


def encode(value: Any, to_handle: Callable[[Any], int]) -> bytes:
    """The bytes of a value.

    Args:
        value: anything; its containers are walked.
        to_handle: gives the number of an object that is not plain; raises CodecError to refuse it.

    Raises:
        CodecError: nested deeper than MAX_DEPTH, or refused by `to_handle`.
    """
    writer = _Writer(to_handle)
    writer.value(value, 0)
    return bytes(writer.out)


def decode(data: bytes, from_handle: Callable[[int], Any]) -> Any:
    """The value that `encode` wrote.

    Args:
        data: exactly one value.
        from_handle: gives the object behind a number.

    Raises:
        CodecError: cut short, too long, nested deeper than MAX_DEPTH, or not our format.
    """
    reader = _Reader(data, from_handle)
    value = reader.value(0)
    if reader.at != len(data):
        raise CodecError(f"{len(data) - reader.at} bytes too many")
    return value


def is_plain(value: Any) -> bool:
    """Whether a value travels as it is, its items apart."""
    return type(value) in _PLAIN or _value_class(value) is not None


def refuse_handles(thing: Any) -> Any:
    """The `to_handle` and `from_handle` of a channel that carries plain values only."""
    raise CodecError(f"{type(thing).__name__} object where only plain values can travel")


_NoneType = type(None)
_EXTENDABLE = (int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict)
_PLAIN = frozenset({_NoneType, bool, range, *_EXTENDABLE})
_MUTABLE = frozenset({bytearray, list, set, dict})


_MADE_OF: dict[str, tuple[str, Callable[[Any], tuple[int | str, ...]]]] = {
    "Decimal": ("decimal", lambda value: (str(value),)),
    "Fraction": ("fractions", lambda value: (int(value.numerator), int(value.denominator))),
    "datetime": ("datetime", lambda value: (*value.timetuple()[:6], value.microsecond)),
    "date": ("datetime", lambda value: (value.year, value.month, value.day)),
    "time": ("datetime", lambda value: (value.hour, value.minute, value.second, value.microsecond)),
    "timedelta": ("datetime", lambda value: (value.days, value.seconds, value.microseconds)),
}
"""Class -> its module, and what its constructor makes an equal value of."""


def _value_class(value: Any) -> str | None:
    """The name in `_MADE_OF` of the nearest class that a value is of or extends; None when there is none."""
    for base in type(value).__mro__:
        name = base.__name__
        # Who has such a value has imported its module.
        if name in _MADE_OF and getattr(sys.modules.get(_MADE_OF[name][0]), name, None) is base:
            has_zone = name in ("datetime", "time") and value.tzinfo is not None
            return None if has_zone else name
    return None


def _make(name: Any, parts: Any) -> Any:
    """The value of a class of `_MADE_OF`. Raises CodecError for parts that none is made of."""
    if type(name) is not str or name not in _MADE_OF or type(parts) is not tuple:
        raise CodecError("a malformed value")
    kinds = [str] if name == "Decimal" else [int] * len(parts)
    if [type(part) for part in parts] != kinds:
        raise CodecError(f"a malformed {name}")
    try:
        return getattr(__import__(_MADE_OF[name][0]), name)(*parts)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise CodecError(f"a malformed {name}: {error}") from None


def _plain_type(value: Any) -> type | None:
    """The plain type that a value is of or extends; None when there is none."""
    exact = type(value)
    if exact in _PLAIN:
        return exact
    return next((plain for plain in _EXTENDABLE if issubclass(exact, plain)), None)


class _Writer:
    """The bytes of one value, as far as they are written."""

    def __init__(self, to_handle: Callable[[Any], int]) -> None:
        self.out = bytearray()
        self.to_handle = to_handle
        self.seen: dict[int, int] = {}

    def value(self, value: Any, depth: int) -> None:
        kind = _plain_type(value)
        if kind in _MUTABLE:
            if id(value) in self.seen:
                self.out += b"m" + _COUNT.pack(self.seen[id(value)])
                return
            self.seen[id(value)] = len(self.seen)
        if depth > MAX_DEPTH:
            raise CodecError(f"a value nested deeper than {MAX_DEPTH} containers")
        if kind is _NoneType:
            self.out += b"N"
        elif kind is bool:
            self.out += b"T" if value else b"F"
        elif kind is int:
            value = int(value)
            self.sized(b"i", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))
        elif kind is float:
            self.out += b"f" + _FLOAT.pack(value)
        elif kind is complex:
            self.out += b"c" + _COMPLEX.pack(value.real, value.imag)
        elif kind is str:
            # Lone surrogates are legal in a Python string, so they must survive the journey.
            self.sized(b"s", str.encode(value, "utf-8", "surrogatepass"))
        elif kind is bytes:
            self.sized(b"b", bytes(value))
        elif kind is bytearray:
            self.sized(b"a", bytes(value))
        elif kind is list:
            self.items(b"l", list(value), depth)
        elif kind is tuple:
            self.items(b"t", tuple(value), depth)
        elif kind is range:
            self.items(b"r", (value.start, value.stop, value.step), depth)
        elif kind is dict:
            self.items(b"d", [part for item in dict(value).items() for part in item], depth)
        elif kind is set or kind is frozenset:
            self.set(b"S" if kind is set else b"Z", list(value), depth)
        elif (name := _value_class(value)) is not None:
            self.items(b"v", (name, _MADE_OF[name][1](value)), depth)
        else:
            self.out += b"h" + _HANDLE.pack(self.to_handle(value))

    def sized(self, tag: bytes, body: bytes) -> None:
        self.out += tag + _COUNT.pack(len(body)) + body

    def items(self, tag: bytes, items: Sequence[Any], depth: int) -> None:
        self.out += tag + _COUNT.pack(len(items))
        for item in items:
            self.value(item, depth + 1)

    def set(self, tag: bytes, items: list[Any], depth: int) -> None:
        """Elements in the order of their bytes, so that equal sets have equal bytes."""
        self.out += tag + _COUNT.pack(len(items))
        start = len(self.out)
        encoded = []
        for item in items:
            self.value(item, depth + 1)
            encoded.append(bytes(self.out[start:]))
            del self.out[start:]
        self.out += b"".join(sorted(encoded))


class _Reader:
    """A position in the bytes of one value."""

    def __init__(self, data: bytes, from_handle: Callable[[int], Any]) -> None:
        self.data = data
        self.at = 0
        self.from_handle = from_handle
        self.seen: list[Any] = []

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise CodecError(f"a value nested deeper than {MAX_DEPTH} containers")
        tag = self.take(1)
        if tag == b"N":
            return None
        if tag == b"T" or tag == b"F":
            return tag == b"T"
        if tag == b"i":
            return int.from_bytes(self.take(self.count()), "little", signed=True)
        if tag == b"f":
            return _FLOAT.unpack(self.take(_FLOAT.size))[0]
        if tag == b"c":
            return complex(*_COMPLEX.unpack(self.take(_COMPLEX.size)))
        if tag == b"s":
            return self.text()
        if tag == b"b":
            return self.take(self.count())
        if tag == b"h":
            return self.from_handle(_HANDLE.unpack(self.take(_HANDLE.size))[0])
        if tag == b"m":
            return self.again(self.count())
        try:
            return self.container(tag, depth)
        except (TypeError, ValueError) as error:
            raise CodecError(f"a malformed container: {error}") from None

    def container(self, tag: bytes, depth: int) -> Any:
        if tag == b"a":
            return self.first(bytearray(self.take(self.count())))
        # What can contain itself is made before its items are read.
        if tag == b"l":
            items = self.first([])
            for _ in range(self.count()):
                items.append(self.value(depth + 1))
            return items
        if tag == b"d":
            pairs = self.first({})
            for _ in range(self.count() // 2):
                key = self.value(depth + 1)
                pairs[key] = self.value(depth + 1)
            return pairs
        if tag == b"S":
            elements = self.first(set())
            elements.update([self.value(depth + 1) for _ in range(self.count())])
            return elements
        if tag == b"Z":
            return frozenset([self.value(depth + 1) for _ in range(self.count())])
        if tag == b"v":
            return _make(*[self.value(depth + 1) for _ in range(self.count())])
        if tag == b"t":
            return tuple([self.value(depth + 1) for _ in range(self.count())])
        if tag == b"r":
            return range(*[self.value(depth + 1) for _ in range(self.count())])
        raise CodecError(f"unknown tag {tag!r}")

    def first(self, container: Any) -> Any:
        """A mutable container that may occur again."""
        self.seen.append(container)
        return container

    def again(self, index: int) -> Any:
        """A mutable container that has occurred before."""
        if index >= len(self.seen):
            raise CodecError(f"no container {index} yet")
        return self.seen[index]

    def text(self) -> str:
        try:
            return self.take(self.count()).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise CodecError(f"a malformed string: {error}") from None

    def count(self) -> int:
        return int(_COUNT.unpack(self.take(_COUNT.size))[0])

    def take(self, size: int) -> bytes:
        piece = self.data[self.at : self.at + size]
        if len(piece) < size:
            raise CodecError(f"cut short: {len(piece)} of {size} bytes")
        self.at += size
        return piece
