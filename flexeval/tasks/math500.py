"""MATH-500: the 500 problems that Lightman et al. 2023 (arXiv:2305.20050) held out of MATH.

The upstream file is `prm800k/math_splits/test.jsonl` of openai/prm800k, with the fields `problem`, `solution`,
`answer` (LaTeX), `subject`, `level` (1 to 5) and `unique_id`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from flexeval.grading.mathematics import grade_expression
from flexeval.grading.published import expression_as_published
from flexeval.records import Grade, Problem, Prompt
from flexeval.tasks.data import Benchmark, read_benchmark
from flexeval.tasks.prompts import BARE, D1_MATH, JUSTGRPO_MATH, STEP_BY_STEP, PromptTemplate, find_template

BENCHMARK = Benchmark(
    title="MATH-500",
    files=("math500_test.jsonl", "math500.jsonl", "test.jsonl"),
    hub_id="HuggingFaceH4/MATH-500",
    hub_config=None,
    hub_split="test",
    columns={"problem": str, "answer": str, "subject": str, "level": int, "unique_id": str},
)


@dataclass(frozen=True, kw_only=True)
class Math500:
    """The task `math500`."""

    name: ClassVar[str] = "math500"
    gen_length: ClassVar[int] = 256
    target_suffices: ClassVar[bool] = True
    templates: ClassVar[Mapping[str, PromptTemplate]] = {
        "default": STEP_BY_STEP,
        "bare": BARE,
        "d1": D1_MATH,
        "justgrpo": JUSTGRPO_MATH,
    }

    template: str = "default"
    """`default` (step by step, boxed answer), `bare` (the question alone), `d1` (that of "The Flexibility Trap"),
    `justgrpo` (that of its released evaluation) or the path of a YAML file."""
    data_dir: Path | None = field(default=None, compare=False, metadata={"spec": False})
    """Folder of local files; None asks FLEXEVAL_DATA_DIR, then the hub."""

    def problems(self) -> Sequence[Problem]:
        """All problems, in file order. Raises InputError when the data cannot be read."""
        return [
            Problem(
                id=f"math500/{row['unique_id'].removesuffix('.json')}",
                question=row["problem"],
                target=row["answer"],
                metadata={"subject": row["subject"], "level": row["level"]},
            )
            for row in read_benchmark(BENCHMARK, self.data_dir).rows
        ]

    def source(self) -> dict[str, Any]:
        """Where the problems came from: origin, fingerprint, rows."""
        return asdict(read_benchmark(BENCHMARK, self.data_dir).source)

    @cached_property
    def prompt_template(self) -> PromptTemplate:
        """The wording around each question, read once. Raises InputError for an unknown or malformed template."""
        return find_template(self.template, self.templates, frozenset({"question"}))

    def prompt(self, problem: Problem) -> Prompt:
        """What the model is given."""
        return self.prompt_template.fill({"question": problem.question})

    def grade(self, problem: Problem, text: str) -> Grade:
        """Whether the completion's answer is the reference answer, by shape, exact numbers and algebra."""
        return grade_expression(text, problem.target)

    def grade_as_published(self, problem: Problem, text: str) -> Grade:
        """The verdict by the rules under which numbers were published."""
        return expression_as_published(text, problem.target)
