"""The candidate's interpreter, and the files that it must be able to read.

The candidate gets the interpreter that runs flexeval, without its virtual environment: the standard library,
no installed packages (a package of benchmarks would hold the answers). The shared libraries that its
extension modules need are found by loading all of them once, in a process of its own.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FLAGS = ("-s", "-S", "-P")
"""No user packages, no installed packages, no current folder. Together with our own environment this is `-I -S`, which
would also ignore PYTHONHASHSEED."""
ENVIRONMENT = {"PYTHONHASHSEED": "0"}
"""PYTHONHASHSEED makes a program that depends on the order of a set deterministic. Where this process needs the
loader's path to find its libraries, so does the candidate. The program itself finds the environment empty."""
if "LD_LIBRARY_PATH" in os.environ:
    ENVIRONMENT["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
PACKAGE_FOLDERS = ("site-packages", "dist-packages")
"""Folders of installed packages, which may lie inside that of the standard library."""

_OWN_CODE = os.path.dirname(os.path.abspath(__file__))

# A package that consists of this folder alone: what the sandbox starts and forks must stay small.
_BOOTSTRAP = """
import sys
package = type(sys)("sandbox")
package.__path__ = [{folder!r}]
sys.modules["sandbox"] = package
from {module} import {function}
{function}()
"""

_SURVEY = """
import importlib, json, os, sys
for folder in sys.path:
    for file in os.listdir(folder) if os.path.isdir(folder) else ():
        name, _, kind = file.partition(".")
        if kind.endswith("so") and not name.startswith(("_test", "_tkinter", "xx")):
            try:
                importlib.import_module(name)
            except ImportError:
                pass
try:
    import ctypes
    ctypes.CDLL("libgcc_s.so.1")  # what the C library loads when a thread is cancelled
except (ImportError, OSError):
    pass
with open("/proc/self/maps") as maps:
    files = {line.split(None, 5)[5].strip() for line in maps if line.count("/")}
print(json.dumps({"folders": sys.path, "files": sorted(files)}))
"""


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """A Python and its files, as absolute paths without links."""

    executable: str
    stdlib: tuple[str, ...]
    """Folders of the standard library, none inside another."""
    libraries: tuple[str, ...]
    """Shared libraries that the interpreter and its standard library need."""


def bootstrap(module: str, function: str = "main") -> str:
    """The program that calls a function of the sandbox, without importing the rest of flexeval.

    Args:
        module: as it is called there, `sandbox.worker` for example.
        function: of the module, without arguments.
    """
    return _BOOTSTRAP.format(folder=_OWN_CODE, module=module, function=function)


@functools.cache
def interpreter() -> Interpreter:
    """The interpreter of this process, without its virtual environment."""
    # A virtual environment's own executable is a link, or a copy that needs the original's library.
    executable = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    command = [executable, *FLAGS, "-c", _SURVEY]
    found = subprocess.run(command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    survey = json.loads(found.stdout)
    folders = {os.path.realpath(folder) for folder in survey["folders"] if Path(folder).is_dir()}
    stdlib = tuple(sorted(folder for folder in folders if folders.isdisjoint(map(str, Path(folder).parents))))
    libraries = (file for file in survey["files"] if ".so" in Path(file).name and not file.startswith(stdlib))
    return Interpreter(executable=executable, stdlib=stdlib, libraries=tuple(libraries))
