"""HumanEval (Chen et al. 2021, arXiv:2107.03374): 164 Python functions to complete from signature and docstring.

The upstream file is `HumanEval.jsonl.gz` of openai/human-eval, with the fields `task_id`, `prompt`,
`canonical_solution`, `test` and `entry_point`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flexeval.errors import InputError
from flexeval.reading import Row
from flexeval.records import Problem
from flexeval.tasks.benchmark import ProgramBenchmark, functions_in, parse_python, require_in_sandbox
from flexeval.tasks.data import Benchmark
from flexeval.tasks.prompts import BARE, JUSTGRPO_PROGRAM, WRITE_PYTHON, PromptTemplate

COMPLETE_FUNCTION = PromptTemplate(
    system=WRITE_PYTHON,
    user="Complete the function `{entry_point}` so that it does what its docstring says.\n\n```python\n{question}\n```",
)

JUSTGRPO = PromptTemplate(
    user=f"{JUSTGRPO_PROGRAM}Here is the function to complete:\n```python\n{{upstream_prompt}}\n```\n"
)
"""What JustGRPO evaluates HumanEval with (LeapLabTHU/JustGRPO at eebe50e, eval.py). "The Flexibility Trap" does not
say which prompt its numbers on programs were measured with."""


@dataclass(frozen=True, kw_only=True)
class HumanEval(ProgramBenchmark):
    """The task `humaneval`."""

    name: ClassVar[str] = "humaneval"
    summary: ClassVar[str] = "HumanEval: Python functions from signature and docstring, graded in a sandbox"
    templates: ClassVar = {"default": COMPLETE_FUNCTION, "bare": BARE, "justgrpo": JUSTGRPO}
    """`default` (asks for the whole function), `bare` (signature and docstring alone), `justgrpo` (that of its released
    evaluation)."""
    placeholders: ClassVar[frozenset[str]] = frozenset({"question", "entry_point", "upstream_prompt"})
    """`upstream_prompt` is the question with the empty lines before it."""
    benchmark = Benchmark(
        title="HumanEval",
        files=("HumanEval.jsonl", "humaneval.jsonl"),
        hub_id="openai/openai_humaneval",
        hub_config=None,
        hub_split="test",
        columns={"task_id": str, "prompt": str, "canonical_solution": str, "test": str, "entry_point": str},
    )

    def read(self, index: int, row: Row) -> Problem:
        """The problem in a row. Raises InputError where no program could pass its tests."""
        for column, name in (("prompt", row["entry_point"]), ("test", "check")):
            program = parse_python(row[column], what=f"{row.place}: {column!r}")
            require_in_sandbox(program, what=f"{row.place}: {column!r}")
            if name not in functions_in(program):
                raise InputError(f"{row.place}: {column!r} defines no function {name!r}; mend it, or remove the row")
        return Problem(
            id=row["task_id"].lower(),
            question=row["prompt"].strip("\n"),
            target=row["canonical_solution"],
            metadata={column: row[column] for column in self.benchmark.columns},
        )

    def fields(self, problem: Problem) -> dict[str, str]:
        """What the placeholders of a template stand for."""
        return {
            "question": problem.question,
            "entry_point": problem.metadata["entry_point"],
            "upstream_prompt": problem.metadata["prompt"].rstrip(),
        }
