"""Plain values survive the journey exactly; nothing else does."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexeval.grading.sandbox.codec import MAX_DEPTH, CodecError, decode, encode, refuse_handles

atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**300), 2**300)
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters(codec=None))
    | st.binary()
    | st.binary().map(bytearray)
    | st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 9))
)
hashable = st.recursive(
    atoms.filter(lambda value: type(value) is not bytearray),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
values = st.recursive(
    atoms | hashable,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
    ),
    max_leaves=12,
)


def shape(value: Any) -> Any:
    """A value with the type of each of its parts, in the order that is part of it."""
    if isinstance(value, list | tuple):
        return type(value), [shape(item) for item in value]
    if isinstance(value, dict):
        return dict, [(shape(key), shape(item)) for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return type(value), sorted(repr(shape(item)) for item in value)
    return type(value), repr(value)


def round_trip(value: Any) -> Any:
    return decode(encode(value, refuse_handles), refuse_handles)


@settings(max_examples=40, deadline=None)
@given(values)
def test_plain_values_come_back_with_exactly_their_types(value: Any) -> None:
    assert shape(round_trip(value)) == shape(value)


def test_numbers_that_equality_cannot_tell() -> None:
    assert math.isnan(round_trip(math.nan))
    assert math.copysign(1, round_trip(-0.0)) == -1
    assert round_trip(math.inf) == math.inf
    assert round_trip("\ud800") == "\ud800"


@settings(max_examples=40, deadline=None)
@given(st.sets(st.text() | st.integers()))
def test_equal_sets_have_equal_bytes(items: set[Any]) -> None:
    backwards: set[Any] = set()
    for item in sorted(items, key=repr, reverse=True):
        backwards.add(item)
    assert encode(items, refuse_handles) == encode(backwards, refuse_handles)


class Colour(enum.IntEnum):
    RED = 1


class Same(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Colour.RED, 1),
        (Same(3), 3),
        (Point(1, 2), (1, 2)),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        ([Same(0)], [0]),
    ],
)
def test_a_subclass_arrives_as_the_plain_type_that_it_extends(value: Any, plain: Any) -> None:
    assert shape(round_trip(value)) == shape(plain)


@pytest.mark.parametrize(
    "value",
    [
        decimal.Decimal("0.10"),
        decimal.Decimal("-1E+999999"),
        decimal.Decimal("NaN"),
        fractions.Fraction(-1, 3),
        datetime.date(2020, 2, 29),
        datetime.datetime(2020, 2, 29, 23, 59, 58, 7),  # noqa: DTZ001
        datetime.time(1, 2, 3, 4),
        datetime.timedelta(-1, 2, 3),
    ],
    ids=repr,
)
def test_values_of_the_standard_library_are_made_again(value: Any) -> None:
    assert shape(round_trip([value, {value: 1}])) == shape([value, {value: 1}])


def test_values_that_would_lose_something_do_not_travel() -> None:
    for value in (datetime.datetime.now(datetime.UTC), datetime.time(tzinfo=datetime.UTC)):
        with pytest.raises(CodecError):
            round_trip(value)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Decimal", ("x",)),
        ("Decimal", (1,)),
        ("Fraction", (1, 0)),
        ("Fraction", ("1/2",)),
        ("date", (2020, 13, 1)),
        ("date", (10**30, 1, 1)),
        ("datetime", ()),
        ("system", ("ls",)),
        ("Decimal", ["1"]),
        ([], ()),
    ],
)
def test_parts_that_no_value_is_made_of_are_refused(name: Any, parts: Any) -> None:
    data = encode((name, parts), refuse_handles)
    with pytest.raises(CodecError):
        decode(b"v" + data[1:], refuse_handles)


def test_other_objects_travel_as_their_handles() -> None:
    thing = object()
    data = encode([thing, {"a": thing}], lambda value: 7 if value is thing else -1)
    assert decode(data, lambda number: ("object", number)) == [("object", 7), {"a": ("object", 7)}]
    with pytest.raises(CodecError):
        encode([thing], refuse_handles)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_depth_is_bounded_on_both_sides() -> None:
    assert round_trip(nested(MAX_DEPTH)) == nested(MAX_DEPTH)
    with pytest.raises(CodecError, match="nested deeper"):
        encode(nested(MAX_DEPTH + 1), refuse_handles)
    too_deep = b"l\x01\x00\x00\x00" * 100_000 + b"N"
    with pytest.raises(CodecError, match="nested deeper"):
        decode(too_deep, refuse_handles)


def test_a_container_that_occurs_twice_is_one_object_on_arrival() -> None:
    row: list[Any] = [1]
    grid, table = round_trip(([row, row], {"row": row}))
    assert grid[0] is grid[1] is table["row"]
    apart = round_trip([[1], [1]])
    assert apart[0] is not apart[1]


def test_a_list_may_contain_itself() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    arrived = round_trip(loop)
    assert arrived[0] == 1
    assert arrived[1] is arrived


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    try:
        value = decode(data, refuse_handles)
    except CodecError:
        return
    assert shape(round_trip(value)) == shape(value)


@settings(max_examples=40, deadline=None)
@given(values, st.data())
def test_a_message_that_is_cut_or_continued_is_refused(value: Any, data: st.DataObject) -> None:
    message = encode(value, refuse_handles)
    with pytest.raises(CodecError):
        decode(message[: data.draw(st.integers(0, len(message) - 1))], refuse_handles)
    with pytest.raises(CodecError):
        decode(message + b"N", refuse_handles)


@pytest.mark.parametrize(
    "data",
    [
        b"?",
        b"S\x01\x00\x00\x00l\x00\x00\x00\x00",
        b"d\x01\x00\x00\x00N",
        b"r\x01\x00\x00\x00s\x00\x00\x00\x00",
        b"s\x01\x00\x00\x00\xff",
        b"m\x00\x00\x00\x00",
    ],
    ids=["unknown tag", "set of lists", "odd dict", "range of text", "not text", "reference to nothing"],
)
def test_malformed_values_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(data, refuse_handles)
