"""What of the code of others counts, and what does not."""

from __future__ import annotations

import importlib
import linecache
import sys
import zipfile

import pytest

from flexeval.orders import get_order
from flexeval.runs.code import code_hash

PACKAGE = {
    "own/__init__": "from .made import make\nMade = make(tau=1)\n",
    "own/order": "from . import rules\nimport near, own.limits\nclass Mine(near.Base):\n    call = rules.call\n",
    "own/rules": "def call(state):\n    return f\"{state['a']!r:>{3}} it's\", ['']\n",
    "own/limits": "MOST = 3\n",
    "own/plots": "COLOUR = 1\n",
    "own/made": "def make(tau):\n    class Made:\n        def call(self): return tau\n    return Made\n",
    "near": "class Base:\n    def call(self): ...\n",
}
"""A package, and a module beside it."""


@pytest.fixture(params=["folder", "archive"])
def write(request, tmp_path, monkeypatch):
    """Writes modules to where they are imported from, and has those of before forgotten."""
    place = tmp_path if request.param == "folder" else tmp_path / "code.zip"
    monkeypatch.syspath_prepend(place)

    def write(modules):
        for name in PACKAGE:
            sys.modules.pop(name.removesuffix("/__init__").replace("/", "."), None)
        for name, text in modules.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / f"{name}.py").write_text(text)
        if place != tmp_path:
            with zipfile.ZipFile(place, "w") as archive:
                for name in modules:
                    archive.write(tmp_path / f"{name}.py", f"{name}.py")
        importlib.invalidate_caches()

    yield write
    write({})


@pytest.mark.parametrize(
    ("kind", "name", "old", "new", "counts"),
    [
        ("own.order:Mine", "own/order", "", "class Other: ...\n", True),
        ("own.order:Mine", "own/rules", "['']", "[]", True),
        ("own.order:Mine", "own/limits", "3", "4", True),
        ("own.order:Mine", "near", "...", "return 1", True),
        ("own.order:Mine", "own/plots", "1", "2", False),
        ("own.order:Mine", "own/order", "\n", "\n   # said otherwise\n", False),
        ("own:Made", "own/__init__", "1", "2", True),
    ],
)
def test_the_hash_of_code_is_of_what_a_class_uses(write, kind, name, old, new, counts):
    def hashed():
        module, _, attribute = kind.partition(":")
        return code_hash(getattr(importlib.import_module(module), attribute))

    write(PACKAGE)
    before = hashed()
    changed = PACKAGE[name].replace(old, new, 1) if old else PACKAGE[name] + new
    write({**PACKAGE, name: changed})
    assert (hashed() != before) == counts


@pytest.mark.parametrize("write", ["folder"], indirect=True)
def test_what_is_installed_beside_a_package_is_no_part_of_it(write, tmp_path):
    (tmp_path / "near-1.dist-info").mkdir()
    write(PACKAGE)
    before = code_hash(importlib.import_module("own.order").Mine)
    write({**PACKAGE, "near": "class Base: ...\n"})
    assert code_hash(importlib.import_module("own.order").Mine) == before


def test_every_version_of_python_gives_code_one_hash(write):
    write(PACKAGE)
    assert code_hash(importlib.import_module("own.order").Mine)[:12] == "ae10945196c3"


NOTEBOOK = """
import functools, re
from dataclasses import dataclass
LIMIT, SIZE = 3, 4
NUMBER = re.compile("[0-9]+")
def parsed(text): return NUMBER.search(text)
def negated(call):
    @functools.wraps(call)
    def other(*given): return not call(*given)
    return other
@dataclass
class Rule: tau: int = 1
RULE = Rule(5)
class Base:
    def other(self): return 1
def made(level):
    @dataclass(frozen=True)
    class Mine(Base):
        words = frozenset({"So", "Then", "Also"})
        share = functools.partial(max, 7)
        parameter: int = 1
        @negated
        def call(self, text): return [parsed(text) for _ in range(LIMIT)], text.SIZE, level
        @property
        def rule(self): return RULE.tau
    return Mine
Mine = made(8)
"""


@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("LIMIT, SIZE = 3, 4", "LIMIT, SIZE = 2, 4", True),
        ("[0-9]+", "[0-9.]+", True),
        ("NUMBER.search", "NUMBER.match", True),
        ("return not call", "return call", True),
        ("Rule(5)", "Rule(6)", True),
        ("return 1", "return 2", True),
        ('"Also"', '"But"', True),
        ("max, 7", "max, 6", True),
        ("parameter: int = 1", "parameter: int = 2", True),
        ("RULE.tau", "-RULE.tau", True),
        ("made(8)", "made(9)", True),
        ("LIMIT, SIZE = 3, 4", "LIMIT, SIZE = 3, 5", False),
        ('"So", "Then"', '"Then", "So"', False),
        ("def parsed(text): return", "def parsed(text):\n    # a remark\n    return", False),
    ],
)
def test_a_class_of_a_notebook_is_known_by_itself_and_what_it_uses_there(old, new, counts, typed, monkeypatch):
    monkeypatch.setattr(linecache, "cache", {})

    def hashed(text, name):
        names = {"__name__": "__main__"}
        if not typed:  # as IPython keeps its cells
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        exec(compile(text, name, "exec", dont_inherit=True), names)
        return code_hash(names["Mine"])

    assert old in NOTEBOOK
    assert (hashed(NOTEBOOK, "<a cell>") != hashed(NOTEBOOK.replace(old, new), "<another>")) == counts


def test_ours_are_known_by_their_version():
    assert code_hash(type(get_order("ar"))) is None
