"""What runs inside the candidate process: the generated program, and calls into it.

It loads the program, then answers one request at a time: call this, read that attribute, give the next
item. Arguments and results are plain values; any other object stays here and its number travels.

This process belongs to the program under test, which may replace or break anything in it. That is why
nothing here decides a verdict and nothing here is secret. The imports are few, since every candidate pays
for them.

A request is (operation, arguments), its reply one of

    ("value", result, arguments)    the arguments again when the call changed them in place, else None
    ("raised", names, message)      the names of the exception's class and of its bases, nearest first
    ("unsupported", reason, None)   only code of the program could tell, so the answer would be worth nothing
"""

from __future__ import annotations

import os
import sys

from .channel import Channel, ChannelError
from .codec import CodecError, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

REQUESTS_FD = 3
REPLIES_FD = 4
PROGRAM_NAME = "solution"
"""The `__name__` of the program: not "__main__", so that its demonstration code does not run."""


class Objects:
    """The objects that stay in this process, by number."""

    def __init__(self) -> None:
        self._objects: list[Any] = []
        self._numbers: dict[int, int] = {}

    def number(self, thing: Any) -> int:
        """The number of an object: the same each time, and no other object's, since all objects are kept."""
        if id(thing) not in self._numbers:
            self._numbers[id(thing)] = len(self._objects)
            self._objects.append(thing)
        return self._numbers[id(thing)]

    def get(self, number: int) -> Any:
        """The object that has this number."""
        if not 0 <= number < len(self._objects):
            raise CodecError(f"no object has the number {number}")
        return self._objects[number]


def main() -> None:
    """Say that the process is up, then serve requests until the judge hangs up."""
    os.environ.clear()
    channel = Channel(REQUESTS_FD, REPLIES_FD, max_bytes=1 << 30)
    channel.send(b"ready")
    objects = Objects()
    while True:
        try:
            operation, arguments = decode(channel.recv(), objects.get)
            channel.send(answer(operation, arguments, objects))
        except ChannelError:
            # Past the program's exit handlers and threads: nobody waits for them.
            os._exit(0)


def answer(operation: str, arguments: bytes, objects: Objects) -> bytes:
    """The encoded reply to one request; whatever the program raises is part of it."""
    try:
        values = decode(arguments, objects.get)
        result = OPERATIONS[operation](*values[0], **values[1])
        changed: bytes | None = encode(values, objects.number)
        if changed == arguments:
            changed = None
        return encode(("value", result, changed), objects.number)
    except UnsupportedError as error:
        return encode(("unsupported", str(error), None), objects.number)
    except BaseException as error:  # the program may raise anything, SystemExit included
        names = [base.__name__ for base in type(error).__mro__]
        return encode(("raised", names, _message(error)), objects.number)


def load(program: str) -> None:
    """Execute the program as a module of its own."""
    module = type(sys)(PROGRAM_NAME)
    # Dataclasses and the like look their module up by name.
    sys.modules[PROGRAM_NAME] = module
    # Without this file's own `annotations`, which would change what the program means.
    exec(compile(program, "<program>", "exec", dont_inherit=True), module.__dict__)


def look_up(name: str) -> Any:
    """A global of the program. Raises NameError when it has none of this name."""
    try:
        return vars(sys.modules[PROGRAM_NAME])[name]
    except KeyError:
        raise NameError(f"name {name!r} is not defined") from None


def call(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a function of the program."""
    return function(*args, **kwargs)


# ----- what an object is, as Python itself sees it -----


class UnsupportedError(Exception):
    """A question about an object that only the program's own code could answer."""


def truth(thing: Any) -> bool:
    """Whether an object counts as true. Raises UnsupportedError where the program's code decides that."""
    if equal := plain_by_type(thing):
        return bool(equal[0])
    if _decided_by_program(thing, "__bool__", "__len__"):
        raise UnsupportedError(f"an object of type {type(thing).__name__!r}, whose truth its own code decides")
    return bool(thing)


def plain(thing: Any) -> tuple[Any, ...]:
    """The plain value that an object equals, in a tuple; an empty one where it equals none.

    The program learns nothing of what the object is compared with. Raises UnsupportedError where its code compares.
    """
    equal = plain_by_type(thing)
    if not equal and _decided_by_program(thing, "__eq__"):
        raise UnsupportedError(f"an object of type {type(thing).__name__!r}, whose == is its own code")
    return equal


def plain_by_type(thing: Any) -> tuple[Any, ...]:
    """The plain value that an object of the standard library equals, in a tuple; an empty one for any other object."""
    kind = type(thing)
    to_plain = _PLAIN.get(f"{kind.__module__}.{kind.__qualname__}")
    return () if to_plain is None else (to_plain(thing),)


def defines(thing: Any, name: str) -> bool:
    """Whether the class of an object has an operator."""
    return any(name in vars(base) for base in type(thing).__mro__ if base is not object)


def _decided_by_program(thing: Any, *names: str) -> bool:
    """Whether a class of an object has one of these methods in other code than the interpreter's, which is in C."""
    found = (vars(base)[name] for base in type(thing).__mro__ for name in names if name in vars(base))
    return any(type(method) is not type(object.__eq__) for method in found)


_PLAIN: dict[str, Any] = {
    "builtins.dict_keys": set,
    "builtins.dict_items": set,
    "builtins.mappingproxy": dict,
    "builtins.memoryview": bytes,
    "collections.ChainMap": dict,
    "collections.UserDict": dict,
    "collections.UserList": list,
    "collections.UserString": str,
    "builtins.odict_keys": set,
    "builtins.odict_items": set,
}
"""Types of the standard library that equal plain values -> the plain value of an object."""

OPERATIONS: dict[str, Any] = {
    "load": load,
    "look_up": look_up,
    "call": call,
    "getattr": getattr,
    "setattr": setattr,
    "iter": iter,
    "next": next,
    "len": len,
    "getitem": lambda thing, key: thing[key],
    "int": int,
    "float": float,
    "str": str,
    "truth": truth,
    "plain": plain,
    "defines": defines,
}


def _message(error: BaseException) -> str:
    try:
        return str(error)[:1000]
    except Exception:
        return "(its message cannot be read)"
