"""The candidate as its judge sees it: calls that travel, and stand-ins for the objects that do not.

The tests work on `RemoteObject`s of ours and on plain values, never on an object of a candidate-defined
type. A function of the program is a stand-in that can be called; an object of a class of the program is
one whose attributes can be read and set; an iterator one that can be iterated. What a call changed in its
list, dict, set and bytearray arguments is changed in the judge's as well.

What an object is to Python itself, the candidate is asked: its truth and length, its items, the plain value that it
equals (a view of keys equals a set). What it is compared with never travels. What only the program's own code could
tell (an `__eq__`, a `__bool__`, arithmetic) is no evidence: the result is unsupported, and the check ends.

Known limit: the tests cannot pass functions of their own.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any, NoReturn

from .channel import Channel, ChannelClosedError, ChannelError
from .codec import CodecError, decode, encode, is_plain


class CandidateLost(BaseException):
    """The conversation is over. Not an Exception, so that no test catches it by accident."""


class Remote:
    """The conversation with one candidate."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._objects: dict[int, RemoteObject] = {}
        self.lost: str | None = None
        """Why the candidate no longer answers; None while it does. It never becomes None again, so a test that
        swallows `CandidateLost` does not save the candidate."""
        self.unsupported = False
        """Whether that is because its result cannot be compared."""
        self.hung_up = False
        """Whether that is because its pipe is closed."""
        self.raised: Exception | None = None
        """The last exception that the candidate raised, as it was raised here."""
        self.raised_text = ""
        """The same as "name: message", with the candidate's own name for it."""

    def request(self, operation: str, *args: Any, **kwargs: Any) -> Any:
        """Have the candidate do something, and return what it returns.

        Raises:
            CandidateLost: it died, hung up, wrote nonsense or too much.
            Exception: what it raised, as the nearest builtin exception class.
            TypeError: an argument cannot travel.
        """
        if self.lost is not None:
            raise CandidateLost(self.lost)
        values = [list(args), kwargs]
        try:
            arguments = encode(values, self._to_number)
        except CodecError as error:
            raise TypeError(f"the tests pass {error}") from None
        try:
            self._channel.send(encode((operation, arguments), self._to_number))
            status, first, second = self._read(self._channel.recv(), length=3)
            if status == "value":
                if second is not None:
                    write_back(values, self._read(second, length=2))
                return first
        except (ChannelError, CodecError) as error:
            self.hung_up = isinstance(error, ChannelClosedError)
            self._lose(str(error))
        if status == "unsupported":
            self.give_up(f"the program returned {first if type(first) is str else 'an object'}")
        self._raise(first, second)

    def give_up(self, why: str) -> NoReturn:
        """End the conversation over a result that cannot be carried. Raises CandidateLost."""
        self.unsupported = True
        self._lose(why)

    def _read(self, data: object, *, length: int) -> Any:
        """Decode a list or tuple of `length` values; a candidate may send anything in its place."""
        if type(data) is not bytes:
            raise CodecError(f"{type(data).__name__} where bytes belong")
        values = decode(data, self._from_number)
        if type(values) not in (list, tuple) or len(values) != length:
            raise CodecError(f"a reply that is not {length} values")
        return values

    def _lose(self, why: str) -> NoReturn:
        self.lost = why
        raise CandidateLost(why)

    def _raise(self, names: object, message: object) -> NoReturn:
        """Raise the nearest builtin Exception of the candidate's exception."""
        if type(names) is not list or type(message) is not str or not all(type(name) is str for name in names):
            self._lose("a reply that is neither a value nor an exception")
        shown = names[0] if names else "an exception without a class"
        self.raised_text = f"{shown}: {message}" if message else shown
        for name in names:
            kind = getattr(builtins, name, None)
            if isinstance(kind, type) and issubclass(kind, Exception):
                try:
                    self.raised = kind(message)
                except TypeError:
                    # UnicodeDecodeError and a few others take more than a message; their base will do.
                    continue
                raise self.raised
        # SystemExit, KeyboardInterrupt and their like: upstream's checkers count them as failures too.
        self._lose(f"the program raised {self.raised_text}")

    def _to_number(self, thing: Any) -> int:
        if type(thing) is not RemoteObject:
            raise CodecError(f"an object of type {type(thing).__name__}, which cannot travel")
        return int(object.__getattribute__(thing, "_number"))

    def _from_number(self, number: int) -> RemoteObject:
        if number not in self._objects:
            self._objects[number] = RemoteObject(self, number)
        return self._objects[number]


class RemoteObject:
    """Stands for an object that stays with the candidate."""

    __slots__ = ("_number", "_remote")
    __hash__ = object.__hash__

    def __init__(self, remote: Remote, number: int) -> None:
        object.__setattr__(self, "_remote", remote)
        object.__setattr__(self, "_number", number)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Have the candidate call the object."""
        return self._remote.request("call", self, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            # Python's own protocols (copying, hashing, printing) ask for these; they are not the program's.
            raise AttributeError(name)
        return self._remote.request("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._remote.request("setattr", self, name, value)

    def __iter__(self) -> RemoteObject:
        result = self._remote.request("iter", self)
        if type(result) is not RemoteObject:
            raise TypeError("iter() returned a plain value")
        return result

    def __next__(self) -> Any:
        return self._remote.request("next", self)

    def __len__(self) -> int:
        return self._remote.request("len", self)  # type: ignore[no-any-return]  # len() itself checks the type

    def __bool__(self) -> bool:
        return self._remote.request("truth", self)  # type: ignore[no-any-return]  # bool() itself checks the type

    def __getitem__(self, key: Any) -> Any:
        return self._remote.request("getitem", self, key)

    def __int__(self) -> int:
        return self._remote.request("int", self)  # type: ignore[no-any-return]  # as above

    def __float__(self) -> float:
        return self._remote.request("float", self)  # type: ignore[no-any-return]  # as above

    def __str__(self) -> str:
        return self._remote.request("str", self)  # type: ignore[no-any-return]  # as above

    def __eq__(self, other: object) -> bool:
        """Compare with the plain value that the object equals. Raises CandidateLost where only its own code knows."""
        if self is other:
            return True
        mine, theirs = _plain_value(self), _plain_value(other)
        if mine and theirs:
            return bool(mine == theirs)
        # What has no == of its own equals itself only; what has one may equal another of its kind, but nothing plain.
        for thing, plain, against in ((self, mine, other), (other, theirs, self)):
            if type(thing) is RemoteObject and not plain and not is_plain(against):
                _require_undefined(thing, "__eq__")
        return False


def _plain_value(thing: object) -> tuple[Any, ...]:
    """What an object is compared by, in a tuple; an empty one for an object that equals only itself."""
    if type(thing) is not RemoteObject:
        return (thing,)
    value = thing._remote.request("plain", thing)
    return value if type(value) is tuple else (value,)


def _require_undefined(thing: RemoteObject, name: str) -> None:
    """Give up where the class of an object has an operator: only the program's own code could apply it."""
    if thing._remote.request("defines", thing, name):
        thing._remote.give_up(f"the program returned an object whose {name} is not carried over")


def _not_carried(name: str, *, unary: bool = False) -> Any:
    def operate(self: RemoteObject, *_: object) -> Any:
        _require_undefined(self, name)
        if unary:
            raise TypeError(f"an object of the program has no {name}")
        return NotImplemented

    return operate


# Without these Python says that the operation does not exist, as it does of objects of the program that lack it.
for _name in ("lt", "le", "gt", "ge", *(side + name for side in ("", "r") for name in (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow", "and", "or", "xor", "lshift", "rshift",
))):  # fmt: skip
    setattr(RemoteObject, f"__{_name}__", _not_carried(f"__{_name}__"))
for _name in ("neg", "pos", "abs", "invert", "round"):
    setattr(RemoteObject, f"__{_name}__", _not_carried(f"__{_name}__", unary=True))


def write_back(old: Any, new: Any) -> Any:
    """Make `old` hold what `new` holds, in place wherever types allow; returns what should stand in its place.

    Containers within containers are matched by position or key. A container that occurs twice in `new` is one object
    afterwards, too.
    """
    return _WriteBack().place(new, old)


class _WriteBack:
    """Which containers of the old value have been given which contents of the new one."""

    def __init__(self) -> None:
        self._stands_for: dict[int, Any] = {}
        self._taken: set[int] = set()
        self._filled: set[int] = set()

    def place(self, new: Any, old: Any) -> Any:
        """The object to use for `new` where `old` stood."""
        if type(new) is tuple:
            before = old if type(old) is tuple and len(old) == len(new) else (None,) * len(new)
            items = tuple(self._place_all(new, before))
            return old if before is old and all(a is b for a, b in zip(items, old, strict=True)) else items
        if type(new) not in (list, dict, set, bytearray):
            return new
        self._match(new, old)
        target = self._stands_for[id(new)]
        if id(new) not in self._filled:
            self._filled.add(id(new))
            self._fill(target, new)
        return target

    def _place_all(self, new: Sequence[Any], old: Sequence[Any]) -> list[Any]:
        # An argument keeps its identity even if another argument now holds it: match all, then go inside.
        for a, b in zip(new, old, strict=True):
            self._match(a, b)
        return [self.place(a, b) for a, b in zip(new, old, strict=True)]

    def _match(self, new: Any, old: Any) -> None:
        """Settle which container stands for a new one: the old, unless it stands for another already."""
        if type(new) in (list, dict, set, bytearray) and id(new) not in self._stands_for:
            target = old if type(old) is type(new) and id(old) not in self._taken else new
            self._stands_for[id(new)] = target
            self._taken.add(id(target))

    def _fill(self, target: Any, new: Any) -> None:
        if type(new) is list:
            before = [*target, *[None] * len(new)][: len(new)]
            target[:] = self._place_all(list(new), before)
        elif type(new) is dict:
            before = [target.get(key) for key in new]
            contents = dict(zip(new, self._place_all(list(new.values()), before), strict=True))
            target.clear()
            target.update(contents)
        elif target is not new:
            target.clear()
            target.update(new) if type(new) is set else target.extend(new)
