"""Hashes that are equal on every machine: of JSON values, of 64-bit numbers, and of the code of others."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import inspect
import json
from collections.abc import Iterator
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def json_hash(value: Any) -> str:
    """SHA-256 of JSON values in hexadecimal, whatever the order of their keys; anything else counts by its `repr`."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=repr).encode()).hexdigest()


def mixed_bits(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014), a bijection that mixes all 64 bits of each number."""
    with np.errstate(over="ignore"):
        x = numbers + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


# ----- code -----


def code_hash(kind: type) -> str | None:
    """A hash of the code behind a class; None for one of flexeval's own, which a version says.

    It is of the module in which the class stands and of those that this imports of its own package, so that work on the
    rest of the package changes nothing. Of a class in a notebook or a script it is of the class alone. Comments and
    layout do not count.
    """
    package = kind.__module__.partition(".")[0]
    if package == __name__.partition(".")[0]:
        return None
    if package == "__main__":
        return json_hash(sorted(_members(kind)))
    found: dict[str, str] = {}
    waiting = [kind.__module__]
    while waiting:
        name = waiting.pop()
        if name not in found and name.partition(".")[0] == package and (path := _file_of(name)) is not None:
            data = path.read_bytes()
            found[name] = repr(data)
            with contextlib.suppress(SyntaxError, ValueError):  # a compiled extension
                tree = ast.parse(data)
                found[name] = ast.unparse(tree)
                waiting += _imported(tree, name if path.stem == "__init__" else name.rpartition(".")[0])
    return json_hash(found)


def _file_of(module: str) -> Path | None:
    """The file of a module; None where there is no such module or it has none."""
    with contextlib.suppress(ImportError, AttributeError, ValueError):
        spec = find_spec(module)
        path = Path(spec.origin) if spec is not None and spec.origin is not None else None
        return path if path is not None and path.is_file() else None
    return None


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    """What code imports that stands in a package, by full names; names of what is no module are among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            with contextlib.suppress(ImportError):
                base = resolve_name("." * node.level + (node.module or ""), package)
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)


def _members(kind: type) -> Iterator[str]:
    """The methods of a class as their source, and its plain values."""
    for name, value in vars(kind).items():
        if isinstance(value, bool | int | float | str) and not name.startswith("__"):
            yield f"{name} = {value!r}"
        code = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if inspect.isfunction(code):
            with contextlib.suppress(OSError):  # one that a dataclass made
                yield inspect.getsource(code)
