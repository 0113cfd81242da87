"""GSM8K (Cobbe et al. 2021, arXiv:2110.14168): grade-school mathematics with one number as the answer.

Upstream files are `test.jsonl` (1319 problems) and `train.jsonl` (7473) of openai/grade-school-math, with the
fields `question` and `answer`; the number stands after `####`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from flexeval.errors import InputError
from flexeval.grading.mathematics import grade_number
from flexeval.grading.numerals import read_number
from flexeval.grading.published import number_as_published
from flexeval.records import Grade, Problem, Prompt
from flexeval.tasks.data import Benchmark, Row, read_benchmark
from flexeval.tasks.prompts import BARE, D1_GSM8K, STEP_BY_STEP, PromptTemplate, find_template

MARK = "####"


@dataclass(frozen=True, kw_only=True)
class GSM8K:
    """The task `gsm8k`."""

    name: ClassVar[str] = "gsm8k"
    gen_length: ClassVar[int] = 256
    target_suffices: ClassVar[bool] = True
    templates: ClassVar[Mapping[str, PromptTemplate]] = {
        "default": STEP_BY_STEP,
        "bare": BARE,
        "d1": D1_GSM8K,
        "justgrpo": BARE,
    }

    split: Literal["test", "train"] = "test"
    """Which problems."""
    template: str = "default"
    """`default` (step by step, boxed answer), `bare` (the question alone), `d1` (that of "The Flexibility Trap"),
    `justgrpo` (that of its released evaluation: the question alone) or the path of a YAML file."""
    data_dir: Path | None = field(default=None, compare=False, metadata={"spec": False})
    """Folder of local files; None asks FLEXEVAL_DATA_DIR, then the hub."""

    def problems(self) -> Sequence[Problem]:
        """All problems of the split, in file order. Raises InputError when the data cannot be read."""
        table = read_benchmark(self._benchmark, self.data_dir)
        return [self._problem(i, row) for i, row in enumerate(table.rows)]

    def source(self) -> dict[str, Any]:
        """Where the problems came from: origin, fingerprint, rows."""
        return asdict(read_benchmark(self._benchmark, self.data_dir).source)

    @cached_property
    def prompt_template(self) -> PromptTemplate:
        """The wording around each question, read once. Raises InputError for an unknown or malformed template."""
        return find_template(self.template, self.templates, frozenset({"question"}))

    def prompt(self, problem: Problem) -> Prompt:
        """What the model is given."""
        return self.prompt_template.fill({"question": problem.question})

    def grade(self, problem: Problem, text: str) -> Grade:
        """Whether the completion's number equals the reference, exactly."""
        return grade_number(text, problem.target)

    def grade_as_published(self, problem: Problem, text: str) -> Grade:
        """The verdict by the rules under which numbers were published."""
        return number_as_published(text, problem.target)

    @property
    def _benchmark(self) -> Benchmark:
        return Benchmark(
            title=f"GSM8K {self.split}",
            files=(f"gsm8k_{self.split}.jsonl", f"{self.split}.jsonl"),
            hub_id="openai/gsm8k",
            hub_config="main",
            hub_split=self.split,
            columns={"question": str, "answer": str},
        )

    def _problem(self, index: int, row: Row) -> Problem:
        solution, mark, target = row["answer"].rpartition(MARK)
        if not mark or read_number(target) is None:
            raise InputError(f"{row.place}: 'answer' should end in '{MARK}' and a number")
        return Problem(
            id=f"gsm8k/{self.split}/{index}",
            question=row["question"],
            target=target.strip().replace(",", ""),
            metadata={"solution": solution.strip()},
        )
