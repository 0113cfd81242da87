"""HumanEval (Chen et al. 2021, arXiv:2107.03374): 164 Python functions to complete from signature and docstring.

The upstream file is `HumanEval.jsonl.gz` of openai/human-eval, with the fields `task_id`, `prompt`,
`canonical_solution`, `test` and `entry_point`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from flexeval.grading.programs import grade_program
from flexeval.grading.published import program_as_published
from flexeval.grading.sandbox import Isolation, shared_sandbox
from flexeval.records import Grade, Problem, Prompt
from flexeval.tasks.data import Benchmark, read_benchmark
from flexeval.tasks.prompts import BARE, JUSTGRPO_PROGRAM, PromptTemplate, find_template

BENCHMARK = Benchmark(
    title="HumanEval",
    files=("HumanEval.jsonl", "humaneval.jsonl"),
    hub_id="openai/openai_humaneval",
    hub_config=None,
    hub_split="test",
    columns={"task_id": str, "prompt": str, "canonical_solution": str, "test": str, "entry_point": str},
)

COMPLETE_FUNCTION = PromptTemplate(
    system="You write Python. Answer with the whole function, and the imports that it needs, in one ```python block.",
    user="Complete the function `{entry_point}` so that it does what its docstring says.\n\n```python\n{question}\n```",
)

JUSTGRPO = PromptTemplate(
    user=f"{JUSTGRPO_PROGRAM}Here is the function to complete:\n```python\n{{upstream_prompt}}\n```\n"
)
"""What JustGRPO evaluates HumanEval with (LeapLabTHU/JustGRPO at eebe50e, eval.py). "The Flexibility Trap" does not
say which prompt its numbers on programs were measured with."""


@dataclass(frozen=True, kw_only=True)
class HumanEval:
    """The task `humaneval`."""

    name: ClassVar[str] = "humaneval"
    gen_length: ClassVar[int] = 256
    templates: ClassVar[Mapping[str, PromptTemplate]] = {
        "default": COMPLETE_FUNCTION,
        "bare": BARE,
        "justgrpo": JUSTGRPO,
    }

    template: str = "default"
    """`default` (asks for the whole function), `bare` (signature and docstring alone), `justgrpo` (that of its released
    evaluation) or the path of a YAML file, which may use {question}, {entry_point} and {upstream_prompt} (the question
    with the empty lines before it)."""
    data_dir: Path | None = field(default=None, compare=False, metadata={"spec": False})
    """Folder of local files; None asks FLEXEVAL_DATA_DIR, then the hub."""

    def problems(self) -> Sequence[Problem]:
        """All problems, in file order. Raises InputError when the data cannot be read."""
        return [
            Problem(
                id=row["task_id"].lower(),
                question=row["prompt"].strip("\n"),
                target=row["canonical_solution"],
                metadata={column: row[column] for column in BENCHMARK.columns},
            )
            for row in read_benchmark(BENCHMARK, self.data_dir).rows
        ]

    def source(self) -> dict[str, Any]:
        """Where the problems came from: origin, fingerprint, rows."""
        return asdict(read_benchmark(BENCHMARK, self.data_dir).source)

    @cached_property
    def prompt_template(self) -> PromptTemplate:
        """The wording around each question, read once. Raises InputError for an unknown or malformed template."""
        fields = frozenset({"question", "entry_point", "upstream_prompt"})
        return find_template(self.template, self.templates, fields)

    def prompt(self, problem: Problem) -> Prompt:
        """What the model is given."""
        return self.prompt_template.fill(
            {
                "question": problem.question,
                "entry_point": problem.metadata["entry_point"],
                "upstream_prompt": problem.metadata["prompt"].rstrip(),
            }
        )

    def grade(self, problem: Problem, text: str) -> Grade:
        """Whether the program in the completion passes the upstream tests, in the sandbox."""
        return grade_program(problem, text, benchmark="humaneval")

    def grade_as_published(self, problem: Problem, text: str) -> Grade:
        """The verdict by the rules under which numbers were published."""
        return program_as_published(problem, text, benchmark="humaneval")

    def isolation(self) -> Isolation:
        """What confines the programs on this machine. Raises InputError where nothing would."""
        return shared_sandbox().isolation
