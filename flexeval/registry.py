"""name -> object, for everything that a user may name: orders, tasks, models, figures, claims.

A `Registry` maps a name and its aliases to a target. A target may be the object itself or a string
"module:attribute" that is imported on first use, so that listing names costs no heavy import. Other
distributions add their own through an entry-point group. An unknown name is an error that lists the close ones.

`parse_spec` and `build` read the notation `name:param=value,param=value` and instantiate the frozen
dataclass that the name stands for, each value converted to the type of its field.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import re
import types
import typing
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from flexeval.errors import InputError, InputTypeError, PluginError, did_you_mean, one_line, shortened
from flexeval.fields import LARGEST_WHOLE

T = TypeVar("T")

NAME = re.compile(r"[^\s:,=]+")
"""Of anything that is registered: a spec can hold it."""


class Registry(Generic[T]):
    """Names, aliases and lazily imported targets of one kind of object."""

    def __init__(
        self, kind: str, *, entry_point_group: str | None = None, check: Callable[[Any], None] | str | None = None
    ) -> None:
        """
        Args:
            kind: the noun used in messages, singular ("order").
            entry_point_group: where other distributions register theirs ("flexeval.orders").
            check: raises PluginError for an object of another distribution that cannot be used; a function, or its
                "module:attribute".
        """
        self.kind = kind
        self._group = entry_point_group
        self._check = check
        self._targets: dict[str, T | str | EntryPoint] = {}
        self._aliases: dict[str, str] = {}
        self._summaries: dict[str, str] = {}
        self._plugins: set[str] = set()
        self._plugins_read = entry_point_group is None

    def register(self, name: str, target: T | str, *, aliases: tuple[str, ...] = (), summary: str = "") -> None:
        """Add one object. A name or alias that is taken is an error that names both objects; a class that is defined
        again, as when a cell of a notebook is run twice, takes the place of the one before.
        """
        for label in (name, *aliases):
            owner = self._aliases.get(label, label)
            taken = self._targets.get(owner)
            if taken is not None and not (owner == name and _is_again(taken, target)):
                raise ValueError(f"{self.kind} name {label!r} is already taken by {taken!r}; {target!r} needs another")
        self._targets[name] = target
        self._summaries[name] = summary
        for alias in aliases:
            self._aliases[alias] = name

    def canonical(self, name: str) -> str:
        """The registered name that `name` or its alias stands for. Raises InputError when unknown."""
        if not isinstance(name, str):
            raise InputTypeError(f"{self.kind} must be the name of one, not a {type(name).__name__}")
        self._read_plugins()
        key = name.strip()
        key = self._aliases.get(key, key)
        if key not in self._targets:
            raise did_you_mean(self.kind, name, [*self._targets, *self._aliases], listed=", ".join(self._targets))
        return key

    def get(self, name: str) -> T:
        """The object behind a name or alias; imports it when it was given as "module:attribute".

        Raises:
            InputError: an unknown name.
            PluginError: what another distribution registers under the name does not load, or cannot be used.
        """
        key = self.canonical(name)
        target = self._targets[key]
        if isinstance(target, str):
            target = typing.cast(T, _imported(target))
        elif isinstance(target, EntryPoint):
            target = self._load(target)
        self._targets[key] = target
        return target

    def _load(self, entry: EntryPoint) -> T:
        """What an entry point of another distribution names."""
        place = f"{self.kind} {entry.name!r} of {_distribution(entry)} cannot be used: entry point {entry.value!r}"
        try:
            target = entry.load()
        except (Exception, SystemExit) as error:  # an import runs anything
            raise PluginError(f"{place} does not load ({type(error).__name__}: {one_line(error)})") from error
        check = _imported(self._check) if isinstance(self._check, str) else self._check
        try:
            if check is not None:
                check(target)
        except PluginError as error:
            raise PluginError(f"{place}: {error}") from error
        name = getattr(target, "name", entry.name)
        if name != entry.name:
            raise PluginError(
                f"{place} calls itself {name!r}; give it and its entry point one name, so that what is stored under "
                "that name can be found again"
            )
        return typing.cast(T, target)

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

    def is_plugin(self, name: str) -> bool:
        """Whether a registered name comes from another distribution."""
        return name in self._plugins

    def usable(self) -> Iterator[tuple[str, T]]:
        """Every name and its object, without those of other distributions that cannot be used."""
        for name in self:
            try:
                target = self.get(name)
            except PluginError:
                continue
            yield name, target

    def _read_plugins(self) -> None:
        """Register what other installed distributions offer, once, on first use."""
        if self._plugins_read:
            return
        self._plugins_read = True
        for entry in sorted(entry_points(group=self._group or ""), key=lambda entry: entry.name):
            if entry.name in self._targets or entry.name in self._aliases:
                warnings.warn(
                    f"{self.kind} {entry.name!r} of {_distribution(entry)} is left out: the name is taken; it needs "
                    "another",
                    stacklevel=2,
                )
                continue
            self._targets[entry.name] = entry
            self._plugins.add(entry.name)
            self._summaries[entry.name] = f"from {_distribution(entry)}"


def _is_again(before: object, now: object) -> bool:
    """Whether two classes are one that was defined twice."""
    if not isinstance(before, type) or not isinstance(now, type):
        return False
    return (before.__module__, before.__qualname__) == (now.__module__, now.__qualname__)


def _imported(path: str) -> Any:
    """The object at "module:attribute"."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def require_texts(kind: type[Any], noun: str, *attributes: str) -> None:
    """Raise PluginError unless a class has a `name` that can be registered, and texts in these other attributes."""
    name = getattr(kind, "name", None)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        said = "no name" if name is None else f"the name {name!r}"
        raise PluginError(f'{noun} {kind.__qualname__} has {said}; write `name = "mine"`')
    for attribute in attributes:
        if not isinstance(getattr(kind, attribute, None), str):
            raise PluginError(f'{noun} {name!r} has no {attribute}; write `{attribute} = "..."`')


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.module


def parse_spec(spec: str) -> tuple[str, dict[str, str]]:
    """Split `name:param=value,param=value` into the name and its raw parameters.

    Raises:
        InputError: a parameter without `=`, or given twice.
    """
    if not isinstance(spec, str):
        raise InputTypeError(f"a spec is a text such as 'name:param=value', not a {type(spec).__name__}")
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
    try:
        hints = typing.get_type_hints(cls)
    except Exception as error:  # annotations are evaluated
        raise PluginError(f"{owner} has annotations that do not evaluate ({one_line(error)})") from error
    values: dict[str, Any] = {}
    for key, text in params.items():
        if key not in fields:
            if not fields:
                raise InputError(f"{owner} takes no parameters, but {key!r} was given; leave it out")
            raise did_you_mean(f"parameter of {owner}", key, fields)
        values[key] = convert(text, hints[key], what=f"parameter {key!r} of {owner}")
    for f in _parameters(cls):
        if f.name not in values and f.default is f.default_factory is dataclasses.MISSING:
            name = owner.rpartition(" ")[2].strip("'")
            raise InputError(f"{owner} needs its parameter {f.name!r}; write '{name}:{f.name}=...'")
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
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        if text.lower() == "none" and type(None) in typing.get_args(hint):
            return None
        return convert(text, options[0], what=what)
    if hint is bool:
        if text.lower() in ("true", "yes", "on", "1"):
            return True
        if text.lower() in ("false", "no", "off", "0"):
            return False
        raise InputError(f"{what} must be true or false, not {_quoted(text)}")
    if hint is int or hint is float:
        return _number(text, hint, what=what)
    if hint is not str:
        raise PluginError(f"{what} is declared as {hint}; a parameter is a str, int, float, bool or Literal of texts")
    return text


def _number(text: str, kind: type[int] | type[float], *, what: str) -> int | float:
    noun = "a whole number" if kind is int else "a number"
    try:
        value = kind(text)
    except ValueError:
        raise InputError(f"{what} must be {noun}, not {_quoted(text)}") from None
    if math.isnan(value):
        raise InputError(f"{what} must be {noun}, not {_quoted(text)}")
    if kind is int and abs(value) > LARGEST_WHOLE:
        raise InputError(f"{what} must be a whole number of 64 bits, not {_quoted(text)}")
    return value


def _quoted(text: str) -> str:
    return repr(shortened(text, 60))


def _format_value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
