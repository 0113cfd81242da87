"""MATH-500: the 500 problems that Lightman et al. 2023 (arXiv:2305.20050) held out of MATH.

The upstream file is `prm800k/math_splits/test.jsonl` of openai/prm800k, with the fields `problem`, `solution`,
`answer` (LaTeX), `subject`, `level` (1 to 5) and `unique_id`. Files in MATH's own layout are read as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from flexeval.errors import InputError
from flexeval.grading.answers import extract_answer
from flexeval.grading.latex import clean
from flexeval.grading.mathematics import grade_expression
from flexeval.grading.published import expression_as_published
from flexeval.reading import Row
from flexeval.records import Grade, Problem
from flexeval.tasks.benchmark import BenchmarkTask
from flexeval.tasks.data import Benchmark
from flexeval.tasks.prompts import BARE, D1_MATH, JUSTGRPO_MATH, STEP_BY_STEP


def _adapt(row: Mapping[str, Any]) -> dict[str, Any]:
    """MATH's own files write "Level 5", call the subject `type` and state the answer in the solution's last box."""
    row = dict(row)
    level = str(row.get("level", "")).removeprefix("Level ")
    row["level"] = int(level) if level.isdecimal() else None
    row.setdefault("subject", row.get("type"))
    if "answer" not in row and isinstance(row.get("solution"), str):
        found = extract_answer(row["solution"])
        if found is not None and found.rule == "boxed":
            row["answer"] = found.text
    return row


def _name(row: Row, number: int) -> str:
    """The published name of a problem; its place in the file where it has none."""
    name = row.values.get("unique_id")
    return name.removesuffix(".json") if isinstance(name, str) else str(number)


@dataclass(frozen=True, kw_only=True)
class Math500(BenchmarkTask):
    """The task `math500`."""

    name: ClassVar[str] = "math500"
    aliases: ClassVar[tuple[str, ...]] = ("math-500", "math_500")
    summary: ClassVar[str] = "MATH-500: competition mathematics, answer in LaTeX"
    target_suffices: ClassVar[bool] = True
    templates: ClassVar = {"default": STEP_BY_STEP, "bare": BARE, "d1": D1_MATH, "justgrpo": JUSTGRPO_MATH}
    """`default` (step by step, boxed answer), `bare` (the question alone), `d1` (that of "The Flexibility Trap"),
    `justgrpo` (that of its released evaluation)."""
    benchmark = Benchmark(
        title="MATH-500",
        files=("math500_test.jsonl", "math500.jsonl", "test.jsonl"),
        hub_id="HuggingFaceH4/MATH-500",
        hub_config=None,
        hub_split="test",
        columns={"problem": str, "answer": str},
        adapt=_adapt,
    )

    def read(self, index: int, row: Row) -> Problem:
        """The problem in a row. Raises InputError where it has no answer, which nothing would equal."""
        if not clean(row["answer"]):
            raise InputError(f"{row.place}: 'answer' is empty; give it one, or remove the row")
        return Problem(
            id=f"math500/{_name(row, index)}",
            question=row["problem"],
            target=row["answer"],
            metadata={"subject": row["subject"], "level": row["level"]},
        )

    def grade(self, problem: Problem, text: str) -> Grade:
        """Whether the completion's answer is the reference answer, by shape, exact numbers and algebra."""
        return grade_expression(text, problem.target)

    def grade_as_published(self, problem: Problem, text: str) -> Grade:
        """The verdict by the rules under which numbers were published."""
        return expression_as_published(text, problem.target)
