"""What published benchmarks share: rows from a file or the hub, a choice of prompts, grading by tests in the sandbox.

A new benchmark is one file in this folder: a subclass that says where its rows are (`benchmark`), how a row becomes a
problem (`read`), which prompts there are (`templates`), and how an answer is graded. flexeval finds it by its
`summary`, and lm-eval gets it as `flexeval_<name>`.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from flexeval.errors import InputError, one_line
from flexeval.grading.programs import grade_program
from flexeval.grading.published import program_as_published
from flexeval.grading.sandbox import Isolation, shared_sandbox
from flexeval.reading import Row
from flexeval.records import Grade, Problem, Prompt
from flexeval.tasks.data import Benchmark, read_benchmark
from flexeval.tasks.prompts import PromptTemplate, find_template


@dataclass(frozen=True, kw_only=True)
class BenchmarkTask:
    """A published benchmark. Subclasses say what is their own; see `flexeval.tasks.Task` for the rest."""

    name: ClassVar[str]
    gen_length: ClassVar[int] = 256
    templates: ClassVar[Mapping[str, PromptTemplate]]
    """The prompts to choose from, by name."""
    placeholders: ClassVar[frozenset[str]] = frozenset({"question"})
    """What a template may name: the keys of `fields`."""

    template: str = "default"
    """One of `templates`, or the path of a YAML file."""
    data_dir: str | Path | None = field(default=None, compare=False, metadata={"spec": False})
    """Folder of local files; None asks FLEXEVAL_DATA_DIR, then the hub."""

    @property
    def benchmark(self) -> Benchmark:
        """Where the rows are, and which columns they have."""
        raise NotImplementedError

    def read(self, index: int, row: Row) -> Problem | None:
        """The problem in row `index`; None for a row of another split. Raises InputError for a malformed row."""
        raise NotImplementedError

    def fields(self, problem: Problem) -> dict[str, str]:
        """What the placeholders of a template stand for."""
        return {"question": problem.question}

    def problems(self) -> Sequence[Problem]:
        """All problems of the split, in file order. Raises InputError when the data cannot be read."""
        found = []
        for index, row in enumerate(read_benchmark(self.benchmark, self.data_dir).rows):
            problem = self.read(index, row)
            if problem is None:
                continue
            if not problem.question.strip():
                raise InputError(f"{row.place}: the question is empty; give it some text, or remove the row")
            found.append(problem)
        return found

    def source(self) -> dict[str, Any]:
        """Where the problems came from: origin, fingerprint, rows."""
        return asdict(read_benchmark(self.benchmark, self.data_dir).source)

    @cached_property
    def prompt_template(self) -> PromptTemplate:
        """The wording around each question, read once. Raises InputError for an unknown or malformed template."""
        return find_template(self.template, self.templates, self.placeholders)

    def prompt(self, problem: Problem) -> Prompt:
        """What the model is given."""
        return self.prompt_template.fill(self.fields(problem))


@dataclass(frozen=True, kw_only=True)
class ProgramBenchmark(BenchmarkTask):
    """A benchmark of Python functions. `flexeval.grading.programs` says which metadata its problems need."""

    def grade(self, problem: Problem, text: str) -> Grade:
        """Whether the program in the completion passes the upstream tests, in the sandbox."""
        return grade_program(problem, text)

    def grade_as_published(self, problem: Problem, text: str) -> Grade:
        """The verdict by the rules under which numbers were published."""
        return program_as_published(problem, text)

    def isolation(self) -> Isolation:
        """What confines the programs on this machine. Raises InputError where nothing would."""
        return shared_sandbox().isolation


def parse_python(source: str, *, what: str) -> ast.Module:
    """The syntax tree of a program. Raises InputError, which calls it `what`, for what is no Python."""
    try:
        with warnings.catch_warnings():
            # Some published programs hold escapes that newer Pythons warn about.
            warnings.simplefilter("ignore", SyntaxWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            return ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise InputError(f"{what} should be Python ({one_line(error)}); mend it, or remove the row") from None


def require_in_sandbox(tests: ast.Module, *, what: str) -> None:
    """Raise InputError, which calls them `what`, for tests that import what the sandbox lacks: no program passes."""
    for statement in tests.body:
        names = [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else []
        if isinstance(statement, ast.ImportFrom):
            names = [statement.module or "."]
        for name in names:
            if name.partition(".")[0] not in sys.stdlib_module_names:
                raise InputError(
                    f"{what} should import nothing but Python's standard library, which is all that generated programs "
                    f"run with, and imports {name!r}; use tests that do not, or remove the row"
                )


def functions_in(program: ast.Module) -> dict[str, ast.FunctionDef]:
    """Name -> function that a program defines, the last of each name."""
    return {node.name: node for node in program.body if isinstance(node, ast.FunctionDef)}


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The second base of a benchmark that also has a training split.

    As the last base its field comes first, as in every generated task: specs read `gsm8k:split=train,template=bare`.
    """

    split: Literal["test", "train"] = "test"
    """Which problems."""
