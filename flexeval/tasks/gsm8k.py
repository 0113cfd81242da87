"""GSM8K (Cobbe et al. 2021, arXiv:2110.14168): grade-school mathematics with one number as the answer.

Upstream files are `test.jsonl` (1319 problems) and `train.jsonl` (7473) of openai/grade-school-math, with the
fields `question` and `answer`; the number stands after `####`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flexeval.errors import InputError
from flexeval.grading.mathematics import grade_number
from flexeval.grading.numerals import read_number
from flexeval.grading.published import number_as_published
from flexeval.reading import Row
from flexeval.records import Grade, Problem
from flexeval.tasks.benchmark import BenchmarkTask, Splits
from flexeval.tasks.data import Benchmark
from flexeval.tasks.prompts import BARE, D1_GSM8K, STEP_BY_STEP

MARK = "####"


@dataclass(frozen=True, kw_only=True)
class GSM8K(BenchmarkTask, Splits):
    """The task `gsm8k`."""

    name: ClassVar[str] = "gsm8k"
    summary: ClassVar[str] = "GSM8K: grade-school mathematics, numeric answer"
    target_suffices: ClassVar[bool] = True
    templates: ClassVar = {"default": STEP_BY_STEP, "bare": BARE, "d1": D1_GSM8K, "justgrpo": BARE}
    """`default` (step by step, boxed answer), `bare` (the question alone), `d1` (that of "The Flexibility Trap"),
    `justgrpo` (that of its released evaluation: the question alone)."""

    @property
    def benchmark(self) -> Benchmark:
        """Where the rows are, and which columns they have."""
        return Benchmark(
            title=f"GSM8K {self.split}",
            files=(f"gsm8k_{self.split}.jsonl", f"{self.split}.jsonl"),
            hub_id="openai/gsm8k",
            hub_config="main",
            hub_split=self.split,
            columns={"question": str, "answer": str},
        )

    def read(self, index: int, row: Row) -> Problem:
        """The problem in a row. Raises InputError where its answer does not end in a number."""
        solution, mark, target = row["answer"].rpartition(MARK)
        if not mark or read_number(target) is None:
            raise InputError(f"{row.place}: 'answer' should end in '{MARK}' and a number")
        return Problem(
            id=f"gsm8k/{self.split}/{index}",
            question=row["question"],
            target=target.strip().replace(",", ""),
            metadata={"solution": solution.strip()},
        )

    def grade(self, problem: Problem, text: str) -> Grade:
        """Whether the completion's number equals the reference, exactly."""
        return grade_number(text, problem.target)

    def grade_as_published(self, problem: Problem, text: str) -> Grade:
        """The verdict by the rules under which numbers were published."""
        return number_as_published(text, problem.target)
