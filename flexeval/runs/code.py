"""A hash of the code of an order or a task that is not flexeval's, so that a run is not continued with other code."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import dis
import functools
import inspect
import json
import re
import sys
import textwrap
import tokenize
from collections.abc import Iterator, Mapping
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from flexeval.hashing import json_hash

_OURS = __name__.partition(".")[0]
_SCRIPTS = ("__main__", "__mp_main__")
"""What Python calls a notebook or a script, in its own process and in those that it starts."""


def code_hash(kind: type) -> str | None:
    """A hash of the code behind a class; None for one of flexeval's own, which a version says.

    It is of the modules in which the class, its bases and its methods stand, and of what these import of the same
    package and of all that is not installed; work on the rest of a package changes nothing. Of a class in a notebook
    or a script it is of the class, and of the functions, classes and values there that it uses. Comments, layout and
    the version of Python do not count.
    """
    if _package(kind.__module__) == _OURS:
        return None
    code = _Code(kind)
    return json_hash(sorted(code.found, key=json.dumps))


class _Code:
    """The code behind a class."""

    def __init__(self, kind: type) -> None:
        self.found: list[list[Any]] = []
        """Of each module, and of each class and function of a script, its name and what it consists of."""
        self._modules: dict[str, bool] = {}
        """Those looked at, and whether their text was found."""
        self._seen: list[object] = [kind]
        self._kind = kind
        ours = (base for base in kind.__mro__ if any(_package(one.__module__) == _OURS for one in base.__mro__))
        self._home = {_package(base.__module__) for base in (kind, *ours)}
        self._class(kind)

    def _value(self, thing: Any) -> Any:
        """What stands for a value that code uses; None for other things, which are looked into."""
        if isinstance(thing, bool | int | float | complex | str | bytes | None):
            return repr(thing)
        if isinstance(thing, tuple | list):
            return [self._value(value) for value in thing]
        if isinstance(thing, set | frozenset):
            return sorted(json.dumps(self._value(value)) for value in thing)
        if isinstance(thing, Mapping):
            return sorted(json.dumps([self._value(key), self._value(value)]) for key, value in thing.items())
        if isinstance(thing, re.Pattern):
            return [repr(thing.pattern), thing.flags]
        if isinstance(thing, np.ndarray | np.generic):
            return [str(thing.dtype), repr(thing.tolist())]
        if isinstance(thing, functools.partial | functools.partialmethod):
            return [self._value(part) for part in (thing.func, thing.args, thing.keywords)]
        if not any(thing is one for one in self._seen):
            self._seen.append(thing)
            if isinstance(thing, ModuleType):
                self._module(thing.__name__)
            elif isinstance(thing, type):
                if self._is_own(thing.__module__):
                    self._class(thing)
            elif isinstance(function := _function_in(thing), FunctionType):
                self._function(function)
            else:
                self._value(type(thing))
                if dataclasses.is_dataclass(thing):
                    return self._value({field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)})
        return None

    def _class(self, kind: type) -> None:
        for base in kind.__bases__:
            self._value(base)
        # Methods may stand elsewhere: in another module, or in none that Python knows of.
        written = {name: value for name, value in vars(kind).items() if not _is_made(name, value)}
        members = {name: self._value(value) for name, value in written.items()}
        if not self._module(kind.__module__) or not _stands(kind):
            self.found.append([kind.__qualname__, members])

    def _function(self, function: FunctionType) -> None:
        if not self._is_own(function.__module__):
            return
        code, uses = None, _enclosed(function)
        if not self._module(function.__module__):
            code = _written(function)
            uses |= {name: value for name, value in function.__globals__.items() if name in _names(function.__code__)}
        elif _stands(self._kind):
            return
        values = [self._value(one) for one in (uses, function.__defaults__, function.__kwdefaults__)]
        self.found.append([function.__qualname__, code, *values])

    def _module(self, name: str) -> bool:
        """Take in a module and what it imports; whether its text was found."""
        if name in self._modules or not self._is_own(name):
            return self._modules.get(name, False)
        spec = _spec(name)
        data = None if spec is None else _text(spec)
        self._modules[name] = data is not None
        if spec is not None and data is not None:
            self.found.append([name, _parsed(data)])
            with contextlib.suppress(SyntaxError, ValueError):
                package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
                for imported in _imported(ast.parse(data), package):
                    self._module(imported)
        return data is not None

    def _is_own(self, module: str) -> bool:
        """Whether a module is of the class's package, or is neither installed nor ours nor Python's."""
        package = _package(module)
        if package == _OURS or package in sys.stdlib_module_names:
            return False
        return package in self._home or not _is_installed(package)


def _package(module: str) -> str:
    return module.partition(".")[0]


def _spec(module: str) -> ModuleSpec | None:
    """Where a module is; None where there is no such module, and of a script."""
    with contextlib.suppress(ImportError, AttributeError, ValueError):
        return None if module in _SCRIPTS else find_spec(module)
    return None


def _is_installed(package: str) -> bool:
    """Whether a package lies where packages are installed, or cannot be found."""
    spec = _spec(package)
    places = [] if spec is None else [*(spec.submodule_search_locations or ()), *filter(None, [spec.origin])]
    return not places or any(Path(places[0]).parent.glob("*.dist-info"))


def _text(spec: ModuleSpec) -> str | bytes | None:
    """The source of a module, or the file of one that is compiled; None where it has none."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        source: str | None = spec.loader.get_source(spec.name)  # type: ignore[union-attr]
        if source is not None:
            return source
    path = Path(spec.origin or "")
    return path.read_bytes() if path.is_file() else None


def _parsed(source: str | bytes) -> Any:
    """Code as JSON values, without comments and layout; as it is where it is no Python of this version."""
    with contextlib.suppress(SyntaxError, ValueError):
        return _tree(ast.parse(source))
    return repr(source)


def _tree(node: Any) -> Any:
    """A syntax tree as JSON values that no version of Python changes, as `ast.unparse` and `ast.dump` do."""
    if isinstance(node, ast.AST):
        fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, []) and name != "kind"}
        if isinstance(node, ast.JoinedStr):  # some versions add empty texts
            fields["values"] = [one for one in node.values if not (isinstance(one, ast.Constant) and one.value == "")]
        return [type(node).__name__, {name: _tree(value) for name, value in fields.items()}]
    if isinstance(node, list):
        return [_tree(one) for one in node]
    return repr(node)


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    """What code imports, by full names; names of what is no module are among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            with contextlib.suppress(ImportError):
                base = resolve_name("." * node.level + (node.module or ""), package)
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)


# ----- what a script made -----


def _stands(kind: type) -> bool:
    """Whether a class stands under its name in its module; otherwise a function made it, of values from anywhere."""
    place: Any = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        place = getattr(place, name, None)
    return place is kind


def _is_made(name: str, value: object) -> bool:
    """Whether Python put something into a class, and nobody wrote it."""
    if isinstance(value, FunctionType) and not name.startswith("__annotate"):
        code = getattr(inspect.unwrap(value), "__code__", value.__code__)
        return code.co_qualname.startswith("__create_fn__")  # by a dataclass, of its fields
    return name.startswith("__") and name.endswith("__") and not isinstance(value, classmethod | staticmethod)


def _function_in(value: object) -> object:
    """The function behind a method or property of any kind."""
    for name in ("fget", "func", "__func__", "__wrapped__"):
        value = value if isinstance(value, FunctionType) else getattr(value, name, value)
    return value


def _written(function: FunctionType) -> Any:
    """What a function consists of: its source, or what was made of it where it was typed at a prompt."""
    try:
        return _parsed(textwrap.dedent(inspect.getsource(function.__code__)))
    except (OSError, SyntaxError, tokenize.TokenError):
        return [[repr(code.co_code), repr(code.co_names), _constants(code)] for code in _codes(function.__code__)]


def _constants(code: CodeType) -> list[str]:
    return [
        repr(sorted(one, key=repr) if isinstance(one, frozenset) else one)
        for one in code.co_consts
        if not isinstance(one, CodeType)
    ]


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code and that of the functions in it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _codes(one)


def _names(code: CodeType) -> set[str]:
    """The global names that code reads."""
    read = (step for one in _codes(code) for step in dis.get_instructions(one))
    return {step.argval for step in read if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}


def _enclosed(function: FunctionType) -> dict[str, Any]:
    """What a function uses of the function that made it."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # not assigned yet
            found[name] = cell.cell_contents
    return found
