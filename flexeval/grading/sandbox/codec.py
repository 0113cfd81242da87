"""Plain values <-> bytes: the only language that a candidate and its judge have in common.

Plain are None, bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict and range.
What is decoded is always of exactly one of these types, so nothing that a candidate defines (an `__eq__`
that is always true, say) reaches the judge. A subclass of a plain type travels as the type it extends:
a Counter as a dict, a named tuple as a tuple, an IntEnum as an int. Everything else travels as a handle,
a number that means something to the other side only.

It is written out by hand because pickle runs code and JSON loses the types; it imports as little as it
can, since each candidate pays for its imports. It does not know what the values mean.
"""

from __future__ import annotations

from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

MAX_DEPTH = 100
"""Containers within containers; also what stops a list that contains itself."""

_COUNT = Struct("<I")
_FLOAT = Struct("<d")
_COMPLEX = Struct("<dd")
_HANDLE = Struct("<q")


class CodecError(ValueError):
    """Bytes that no encoder of ours wrote, or a value that cannot travel."""


def encode(value: Any, to_handle: Callable[[Any], int]) -> bytes:
    """The bytes of a value.

    Args:
        value: anything; its containers are walked.
        to_handle: gives the number of an object that is not plain; raises CodecError to refuse it.

    Raises:
        CodecError: nested deeper than MAX_DEPTH, or refused by `to_handle`.
    """
    out = bytearray()
    _encode(value, out, to_handle, 0)
    return bytes(out)


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


def refuse_handles(thing: Any) -> Any:
    """The `to_handle` and `from_handle` of a channel that carries plain values only."""
    raise CodecError(f"{type(thing).__name__} object where only plain values can travel")


def _encode(value: Any, out: bytearray, to_handle: Callable[[Any], int], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise CodecError(f"a value nested deeper than {MAX_DEPTH} containers")
    kind = _plain_type(value)
    if kind is _NoneType:
        out += b"N"
    elif kind is bool:
        out += b"T" if value else b"F"
    elif kind is int:
        value = int(value)
        _sized(out, b"i", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))
    elif kind is float:
        out += b"f" + _FLOAT.pack(value)
    elif kind is complex:
        out += b"c" + _COMPLEX.pack(value.real, value.imag)
    elif kind is str:
        # Lone surrogates are legal in a Python string, so they must survive the journey.
        _sized(out, b"s", str.encode(value, "utf-8", "surrogatepass"))
    elif kind is bytes:
        _sized(out, b"b", bytes(value))
    elif kind is bytearray:
        _sized(out, b"a", bytes(value))
    elif kind is list:
        _items(out, b"l", list(value), to_handle, depth)
    elif kind is tuple:
        _items(out, b"t", tuple(value), to_handle, depth)
    elif kind is range:
        _items(out, b"r", (value.start, value.stop, value.step), to_handle, depth)
    elif kind is dict:
        _items(out, b"d", [part for item in dict(value).items() for part in item], to_handle, depth)
    elif kind is set or kind is frozenset:
        _set(out, b"S" if kind is set else b"Z", value, to_handle, depth)
    else:
        out += b"h" + _HANDLE.pack(to_handle(value))


def _plain_type(value: Any) -> type | None:
    """The plain type that a value is of or extends; None when there is none."""
    exact = type(value)
    if exact in _PLAIN:
        return exact
    return next((plain for plain in _EXTENDABLE if issubclass(exact, plain)), None)


def _sized(out: bytearray, tag: bytes, body: bytes) -> None:
    out += tag + _COUNT.pack(len(body)) + body


def _items(
    out: bytearray,
    tag: bytes,
    items: list[Any] | tuple[Any, ...],
    to_handle: Callable[[Any], int],
    depth: int,
) -> None:
    out += tag + _COUNT.pack(len(items))
    for item in items:
        _encode(item, out, to_handle, depth + 1)


def _set(out: bytearray, tag: bytes, items: Iterable[Any], to_handle: Callable[[Any], int], depth: int) -> None:
    """Elements in the order of their bytes, so that equal sets have equal bytes."""
    encoded = []
    for item in items:
        element = bytearray()
        _encode(item, element, to_handle, depth + 1)
        encoded.append(bytes(element))
    out += tag + _COUNT.pack(len(encoded)) + b"".join(sorted(encoded))


_NoneType = type(None)
_EXTENDABLE = (int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict)
_PLAIN = frozenset({_NoneType, bool, range, *_EXTENDABLE})


class _Reader:
    """A position in the bytes of one value."""

    def __init__(self, data: bytes, from_handle: Callable[[int], Any]) -> None:
        self.data = data
        self.at = 0
        self.from_handle = from_handle

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
        if tag == b"a":
            return bytearray(self.take(self.count()))
        if tag == b"h":
            return self.from_handle(_HANDLE.unpack(self.take(_HANDLE.size))[0])
        return self.container(tag, depth)

    def container(self, tag: bytes, depth: int) -> Any:
        items = [self.value(depth + 1) for _ in range(self.count())]
        try:
            if tag == b"l":
                return items
            if tag == b"t":
                return tuple(items)
            if tag == b"S":
                return set(items)
            if tag == b"Z":
                return frozenset(items)
            if tag == b"d":
                return dict(zip(items[::2], items[1::2], strict=True))
            if tag == b"r":
                return range(*items)
        except (TypeError, ValueError) as error:
            raise CodecError(f"a malformed container: {error}") from None
        raise CodecError(f"unknown tag {tag!r}")

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
