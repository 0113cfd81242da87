"""MATH-500: the 500 problems that Lightman et al. 2023 (arXiv:2305.20050) held out of MATH.

The upstream file is `prm800k/math_splits/test.jsonl` of openai/prm800k, with the fields `problem`, `solution`,
`answer` (LaTeX), `subject`, `level` (1 to 5) and `unique_id`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flexeval.grading.mathematics import grade_expression
from flexeval.grading.published import expression_as_published
from flexeval.records import Grade, Problem
from flexeval.tasks.benchmark import BenchmarkTask
from flexeval.tasks.data import Benchmark, Row
from flexeval.tasks.prompts import BARE, D1_MATH, JUSTGRPO_MATH, STEP_BY_STEP


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
        columns={"problem": str, "answer": str, "subject": str, "level": int, "unique_id": str},
    )

    def read(self, index: int, row: Row) -> Problem:
        """The problem in a row."""
        return Problem(
            id=f"math500/{row['unique_id'].removesuffix('.json')}",
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
