"""name -> object, for everything that a user may name: orders, tasks, models.

A `Registry` maps a name and its aliases to a target. A target may be the object itself or a string
"module:attribute" that is imported on first use, so that listing names costs no heavy import. Other
distributions add their own through an entry-point group. An unknown name answers with the close ones.

`parse_spec` and `build` read the notation `name:param=value,param=value` and instantiate the frozen
dataclass that the name stands for, each value converted to the type of its field.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import typing
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from flexeval.errors import InputError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Names, aliases and lazily imported targets of one kind of object."""

    def __init__(self, kind: str, *, entry_point_group: str | None = None) -> None:
        """
        Args:
            kind: the noun used in messages, singular ("order").
            entry_point_group: where other distributions register theirs ("flexeval.orders").
        """
        self.kind = kind
        self._group = entry_point_group
        self._targets: dict[str, T | str] = {}
        self._aliases: dict[str, str] = {}
        self._summaries: dict[str, str] = {}
        self._plugins_read = entry_point_group is None

    def register(self, name: str, target: T | str, *, aliases: tuple[str, ...] = (), summary: str = "") -> None:
        """Add one object. A name or alias that is taken is an error that names both objects."""
        for label in (name, *aliases):
            if label in self._targets or label in self._aliases:
                taken = self._targets[self._aliases.get(label, label)]
                raise ValueError(f"{self.kind} name {label!r} is already taken by {taken!r}; {target!r} needs another")
        self._targets[name] = target
        self._summaries[name] = summary
        for alias in aliases:
            self._aliases[alias] = name

    def canonical(self, name: str) -> str:
        """The registered name that `name` or its alias stands for. Raises InputError when unknown."""
        self._read_plugins()
        key = name.strip()
        key = self._aliases.get(key, key)
        if key not in self._targets:
            raise did_you_mean(self.kind, name, [*self._targets, *self._aliases], listed=", ".join(self._targets))
        return key

    def get(self, name: str) -> T:
        """The object behind a name or alias; imports it when it was given as "module:attribute"."""
        key = self.canonical(name)
        target = self._targets[key]
        if isinstance(target, str):
            module, _, attribute = target.partition(":")
            target = typing.cast(T, getattr(importlib.import_module(module), attribute))
            self._targets[key] = target
        return target

    def __contains__(self, name: str) -> bool:
        self._read_plugins()
        return name in self._targets or name in self._aliases

    def __iter__(self) -> Iterator[str]:
        self._read_plugins()
        return iter(self._targets)

    def aliases(self, name: str) -> tuple[str, ...]:
        """The aliases of a registered name, in the order in which they were given."""
        return tuple(alias for alias, target in self._aliases.items() if target == name)

    def summary(self, name: str) -> str:
        """One line about a registered name, for listings."""
        return self._summaries[name]

    def _read_plugins(self) -> None:
        """Register what other installed distributions offer, once, on first use."""
        if self._plugins_read:
            return
        self._plugins_read = True
        for entry in entry_points(group=self._group or ""):
            package = entry.dist.name if entry.dist is not None else entry.module
            self.register(entry.name, entry.value, summary=f"from {package}")


def parse_spec(spec: str) -> tuple[str, dict[str, str]]:
    """Split `name:param=value,param=value` into the name and its raw parameters.

    Raises:
        InputError: a parameter without `=`, or given twice.
    """
    name, colon, rest = spec.strip().partition(":")
    params: dict[str, str] = {}
    if colon and not rest.strip():
        raise InputError(f"{spec!r} ends in ':' with no parameter; write {name!r} or '{name}:param=value'")
    for part in filter(None, (piece.strip() for piece in rest.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise InputError(f"cannot read {part!r} in {spec!r}; write parameters as '{name}:param=value,param=value'")
        if key.strip() in params:
            raise InputError(f"parameter {key.strip()!r} is given twice in {spec!r}; keep one")
        params[key.strip()] = value.strip()
    return name, params


def build(cls: type[T], params: dict[str, str], *, owner: str) -> T:
    """Instantiate a dataclass from raw text parameters, each converted to its field's type.

    Args:
        cls: a dataclass whose fields are str, int, float, bool, or one of these `| None`.
        params: field name -> text.
        owner: how messages call the thing, e.g. "order 'eb'".

    Raises:
        InputError: an unknown parameter, or a value of the wrong type.
    """
    fields = {f.name for f in _parameters(cls)}
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for key, text in params.items():
        if key not in fields:
            if not fields:
                raise InputError(f"{owner} takes no parameters, but {key!r} was given; leave it out")
            raise did_you_mean(f"parameter of {owner}", key, fields)
        values[key] = convert(text, hints[key], what=f"parameter {key!r} of {owner}")
    return cls(**values)


def format_spec(name: str, obj: object) -> str:
    """The canonical `name:param=value,...` of a dataclass instance: parameters that are not the default."""
    changed = [
        f"{f.name}={_format_value(getattr(obj, f.name))}" for f in _parameters(obj) if getattr(obj, f.name) != f.default
    ]
    return f"{name}:{','.join(changed)}" if changed else name


def _parameters(cls_or_obj: Any) -> list[dataclasses.Field[Any]]:
    """The fields that a spec may set; `metadata={"spec": False}` keeps one (a data folder, say) out."""
    return [f for f in dataclasses.fields(cls_or_obj) if f.init and f.metadata.get("spec", True)]


def convert(text: str, hint: Any, *, what: str) -> Any:
    """Text -> a value of type `hint` (str, int, float, bool, a Literal of strings, each also `| None`)."""
    options = [option for option in typing.get_args(hint) if option is not type(None)]
    if typing.get_origin(hint) is typing.Literal:
        if text not in options:
            raise did_you_mean(f"value of {what}", text, [str(option) for option in options])
        return text
    if options:
        if text.lower() == "none":
            return None
        return convert(text, options[0], what=what)
    if hint is bool:
        if text.lower() in ("true", "yes", "on", "1"):
            return True
        if text.lower() in ("false", "no", "off", "0"):
            return False
        raise InputError(f"{what} must be true or false, not {text!r}")
    if hint is int or hint is float:
        noun = "a whole number" if hint is int else "a number"
        try:
            value = hint(text)
        except ValueError:
            raise InputError(f"{what} must be {noun}, not {text!r}") from None
        if math.isnan(value):
            raise InputError(f"{what} must be {noun}, not {text!r}")
        return value
    return text


def _format_value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
