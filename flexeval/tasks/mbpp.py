"""MBPP (Austin et al. 2021, arXiv:2108.07732): the 500 problems of its test split, or the 374 of its training split.

The upstream file is `mbpp.jsonl` of google-research/mbpp (974 problems), with the fields `task_id`, `text`,
`code`, `test_list` and `test_setup_code`, or `sanitized-mbpp.json`, the 427 problems that were checked by hand. The
task id decides the split (ids 1 to 10 are for prompts, 511 to 600 for validation). Upstream does not name the function
to write: it is the function of the reference solution that the first test calls.

The test split is what JustGRPO evaluates, too: rows 10 to 509 of the file are the task ids 11 to 510.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from flexeval.errors import InputError
from flexeval.reading import Row
from flexeval.records import Problem
from flexeval.tasks.benchmark import ProgramBenchmark, Splits, functions_in, parse_python, require_in_sandbox
from flexeval.tasks.data import Benchmark
from flexeval.tasks.prompts import BARE, JUSTGRPO_PROGRAM, WRITE_PYTHON, PromptTemplate

TASK_IDS = {"test": range(11, 511), "train": range(601, 975)}
"""The task ids of each split, as the authors drew it."""

WRITE_FUNCTION = PromptTemplate(
    system=WRITE_PYTHON,
    user=(
        "{question}\n\nThe function begins with\n\n```python\n{signature}\n```\n\nand has to pass these tests:\n\n"
        "```python\n{tests}\n```"
    ),
)

JUSTGRPO = PromptTemplate(
    user=(
        f"{JUSTGRPO_PROGRAM}** TARGET FUNCTION **\n{{question}}\n\n"
        "** UNIT TESTS **\nYour code should pass unit tests like:\n{indented_tests}\n\n"
        "Here is the function to complete:\n```python\n"
        '{stub}\n    """{question}\n    """\n```\n'
    )
)
"""What JustGRPO evaluates MBPP with (LeapLabTHU/JustGRPO at eebe50e, eval.py). "The Flexibility Trap" does not
say which prompt its numbers on programs were measured with."""


@dataclass(frozen=True, kw_only=True)
class MBPP(ProgramBenchmark, Splits):
    """The task `mbpp`."""

    name: ClassVar[str] = "mbpp"
    summary: ClassVar[str] = "MBPP: Python functions from a description and tests, graded in a sandbox"
    templates: ClassVar = {"default": WRITE_FUNCTION, "bare": BARE, "justgrpo": JUSTGRPO}
    """`default` (description, signature and tests), `bare` (the description alone), `justgrpo` (that of its released
    evaluation)."""
    placeholders: ClassVar[frozenset[str]] = frozenset(
        {"question", "signature", "tests", "entry_point", "stub", "indented_tests"}
    )
    """`stub` is the signature with numbered parameters."""

    @property
    def benchmark(self) -> Benchmark:
        """Where the rows are, and which columns they have."""
        return Benchmark(
            title="MBPP",
            files=("mbpp.jsonl", "sanitized-mbpp.jsonl"),
            hub_id="google-research-datasets/mbpp",
            hub_config="full",
            hub_split=self.split,
            columns={"task_id": int, "text": str, "code": str, "test_list": list, "test_setup_code": str},
            adapt=_adapt,
        )

    def read(self, index: int, row: Row) -> Problem | None:
        """The problem in a row; None for a row of another split. Raises InputError where no function is tested."""
        if row["task_id"] not in TASK_IDS[self.split]:
            return None
        function = _function_under_test(row)
        return Problem(
            id=f"mbpp/{row['task_id']}",
            question=row["text"],
            target=row["code"],
            metadata={
                "test_list": row["test_list"],
                "test_setup_code": row["test_setup_code"],
                "code": row["code"],
                "entry_point": function.name,
                "signature": f"def {function.name}({ast.unparse(function.args)}):",
            },
        )

    def fields(self, problem: Problem) -> dict[str, str]:
        """What the placeholders of a template stand for."""
        tests = problem.metadata["test_list"]
        return {
            "question": problem.question,
            "signature": problem.metadata["signature"],
            "tests": "\n".join(tests),
            "entry_point": problem.metadata["entry_point"],
            "stub": _stub(problem),
            "indented_tests": "\n".join(f"    {test}" for test in tests),
        }


def _adapt(row: Mapping[str, Any]) -> dict[str, Any]:
    """The sanitized subset calls the description `prompt`, and lists imports for the tests instead of setup code."""
    row = dict(row)
    if "text" not in row and "prompt" in row:
        row["text"] = row["prompt"]
    if "test_setup_code" not in row and isinstance(row.get("test_imports"), list):
        row["test_setup_code"] = "\n".join(map(str, row["test_imports"]))
    return row


def _stub(problem: Problem) -> str:
    """The signature as JustGRPO writes it: as many numbered parameters as the reference solution has."""
    (function,) = ast.parse(f"{problem.metadata['signature']} pass").body
    count = len(function.args.args) if isinstance(function, ast.FunctionDef) else 0
    parameters = ", ".join(f"input_param_{number}" for number in range(1, count + 1))
    return f"def {problem.metadata['entry_point']}({parameters}):"


def _function_under_test(row: Row) -> ast.FunctionDef:
    """The function of the reference solution that the first test calls.

    Raises:
        InputError: there is none, or tests that no program could pass.
    """
    tests: list[object] = row["test_list"]
    if not tests or not all(isinstance(test, str) for test in tests):
        raise InputError(f"{row.place}: 'test_list' should be a list of texts, each a test, not {tests!r:.60}")
    functions = functions_in(parse_python(row["code"], what=f"{row.place}: 'code'"))
    parsed = [parse_python(str(test), what=f"{row.place}: 'test_list'") for test in tests]
    setup = parse_python(row["test_setup_code"], what=f"{row.place}: 'test_setup_code'")
    require_in_sandbox(setup, what=f"{row.place}: 'test_setup_code'")
    for node in ast.walk(parsed[0]):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
            return functions[node.func.id]
    raise InputError(f"{row.place}: the first test calls no function that 'code' defines")
