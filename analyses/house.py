"""How much there is to read: files, functions, and the way of one sample through the package.

    python analyses/house.py            # print the table
    python analyses/house.py --write    # and put it into docs/design.md, section 1

Files and functions are read from the source. The way of a sample is traced: `flexeval passk` with `ar` on the bundled
model, once for one problem and once for three, one sample each, one at a time. What is called once more for each more
sample is on the way of a sample, from its prompt to its line on the disk. Options, loading and what is done once for
the whole run are not.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import statistics
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "design.md"
BEGIN, END = "<!-- house: begin (python analyses/house.py --write) -->", "<!-- house: end -->"
LONG_FUNCTION = 60
"""Lines; longer functions are named."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What stands in a folder of Python files."""

    lines_by_file: dict[str, int]
    lines_by_function: dict[str, int]
    """By file and name; a function's own lines, without those of functions inside it."""


def read_source(folder: Path) -> Source:
    """Count the lines of every file and every function below a folder."""
    files, functions = {}, {}
    for path in sorted(folder.rglob("*.py")):
        text, name = path.read_text(encoding="utf-8"), path.relative_to(folder).as_posix()
        files[name] = len(text.splitlines())
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions[f"{name}:{node.name}:{node.lineno}"] = _length(node) - sum(map(_length, _inside(node)))
    return Source(lines_by_file=files, lines_by_function=functions)


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _inside(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The outermost functions inside a node."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
        else:
            yield from _inside(child)


@dataclass
class Calls:
    """Calls of functions of a package while this records, in all threads."""

    package: str
    functions: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By (module, qualified name)."""
    hops: Counter[tuple[str, str]] = field(default_factory=Counter)
    """From one module of the package to another, by (caller, called); foreign code between them does not count."""
    records: Counter[str] = field(default_factory=Counter)
    """Dataclasses that were made, by name."""

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Record what is called inside."""
        before = sys.getprofile(), threading.getprofile()
        threading.setprofile(self._event)
        sys.setprofile(self._event)
        try:
            yield
        finally:
            sys.setprofile(before[0])
            threading.setprofile(before[1])

    def _event(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call":
            return
        # A dataclass's __init__ is made from text, in no file; its instance tells where the class stands.
        if frame.f_code.co_filename == "<string>":
            made = type(frame.f_locals.get("self"))
            if frame.f_code.co_name == "__init__" and self._ours(made.__module__):
                self.records[f"{made.__module__}.{made.__qualname__}"] += 1
            return
        module = frame.f_globals.get("__name__", "")
        if not self._ours(module):
            return
        self.functions[module, frame.f_code.co_qualname] += 1
        caller = frame.f_back
        while caller is not None and not self._ours(caller.f_globals.get("__name__", "")):
            caller = caller.f_back
        if caller is not None and caller.f_globals["__name__"] != module:
            self.hops[caller.f_globals["__name__"], module] += 1

    def _ours(self, module: str) -> bool:
        return module == self.package or module.startswith(f"{self.package}.")


@dataclass(frozen=True, kw_only=True)
class Way:
    """What one more sample calls."""

    functions: frozenset[tuple[str, str]]
    hops: frozenset[tuple[str, str]]
    records: frozenset[str]

    @property
    def modules(self) -> frozenset[str]:
        """The files that it passes."""
        return frozenset(module for module, _ in self.functions)

    @classmethod
    def between(cls, fewer: Calls, more: Calls, *, samples: int) -> Way:
        """What was called more often in the second recording, at least once for each of its additional samples."""

        def grown(before: Counter[T], after: Counter[T]) -> frozenset[T]:
            return frozenset(what for what, count in after.items() if count - before[what] >= samples)

        return cls(
            functions=grown(fewer.functions, more.functions),
            hops=grown(fewer.hops, more.hops),
            records=grown(fewer.records, more.records),
        )


def trace_sample() -> Way:
    """Trace `flexeval passk` for one and for three problems."""
    from flexeval.cli.main import main as flexeval

    def calls(problems: int) -> Calls:
        calls = Calls("flexeval")
        silent = (contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()))
        with tempfile.TemporaryDirectory() as folder, silent[0], silent[1], calls.recorded():
            status = flexeval(f"passk --limit {problems} --num-samples 1 --batch-size 1 --out {folder}".split())
        if status:
            raise SystemExit("flexeval passk failed; run it by hand")
        return calls

    calls(1)  # what is made once and kept
    return Way.between(calls(1), calls(3), samples=2)


def table(source: Source, way: Way) -> str:
    """The table, in Markdown."""
    lengths, longest = list(source.lines_by_file.values()), max(source.lines_by_file.items(), key=lambda item: item[1])
    functions = list(source.lines_by_function.values())
    long = sum(length > LONG_FUNCTION for length in functions)
    rows = [
        ("files", f"{len(lengths)}, {sum(lengths):,} lines, median {statistics.median(lengths):.0f}"),
        ("longest file", f"`{longest[0]}`, {longest[1]} lines"),
        (
            "functions",
            f"{len(functions):,}, median {statistics.median(functions):.0f} lines, {long} over {LONG_FUNCTION}",
        ),
        (
            "one sample passes",
            f"{len(way.modules)} files, {len(way.hops)} hops between two files, {len(way.functions)} functions",
        ),
        ("it is carried by", f"{len(way.records)} record shapes"),
    ]
    return "\n".join(["| what | how much |", "|---|---|", *(f"| {what} | {much} |" for what, much in rows)])


def main() -> None:
    """Print the table, or put it into the page."""
    parser = argparse.ArgumentParser(description="How much there is to read.")
    parser.add_argument("--write", action="store_true", help="Put the table into docs/design.md.")
    parser.add_argument(
        "--way", action="store_true", help="Also list the files, functions and records of a sample's way."
    )
    options = parser.parse_args()
    source, way = read_source(ROOT / "flexeval"), trace_sample()
    print(found := table(source, way))
    if options.way:
        for module in sorted(way.modules):
            print(module, *sorted(name for of, name in way.functions if of == module), sep="\n    ")
        print("records", *sorted(way.records), sep="\n    ")
    for name, length in source.lines_by_function.items():
        if length > LONG_FUNCTION:
            print(f"long: {name}, {length} lines")
    if options.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        after = rest.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n{found}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
