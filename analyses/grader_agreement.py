r"""Our graders against another project's parser on real outputs of LLaDA-8B-Instruct: every disagreement, explained.

    python analyses/grader_agreement.py --data-dir ../shared/data

reads `llada_8b_instruct_outputs/*.jsonl.gz` there (question, ground_truth, generation, reference_parser_correct:
1130 outputs on GSM8K, 500 on MATH-500) and the benchmark files beside it, prints both accuracies and every
disagreement by class, and writes the same to results/grading/agreement.md. It fails if a disagreement belongs
to no class below: each class has been read through, output by output, before its verdict was written here.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flexeval.errors import InputError
from flexeval.grading.answers import before_end_token
from flexeval.grading.latex import clean
from flexeval.grading.numerals import read_number
from flexeval.grading.quantities import split_unit
from flexeval.grading.shapes import Based, Range
from flexeval.grading.structure import read
from flexeval.records import Grade, Problem
from flexeval.tasks import get_task
from flexeval.tasks.task import HasPublishedGrader

OUTPUTS = {"gsm8k": "gsm8k_len256.jsonl.gz", "math500": "math500_len512.jsonl.gz"}
UNEXPLAINED = "unexplained"
FORM = re.compile(r"[Ss]implify|common fraction|simplest|as a fraction")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One output on which the two verdicts differ."""

    problem: Problem
    completion: str
    grade: Grade
    reference_target: str


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A class of disagreements: what they share, and who is right."""

    name: str
    explanation: str
    holds: Callable[[Case], bool]


def _same_number(case: Case) -> bool:
    target, answer = (
        read_number(split_unit(clean(text))[0]) for text in (case.problem.target, case.grade.extracted or "")
    )
    return target == answer is not None


GSM8K = (
    Disagreement(
        name="the reference file has no target",
        explanation="Its target is null where the reference answer is negative, so nothing could be correct there. "
        "The benchmark's own target settles it: ours is right.",
        holds=lambda case: case.reference_target == "None",
    ),
    Disagreement(
        name="an earlier box was read",
        explanation="The reference takes the first box, ours the last. The last one is the answer that the model "
        "hands in, whether it helps (the first was empty) or not (162000 was boxed, then 16200): ours is right.",
        holds=lambda case: case.completion.count("boxed{") > 1 and "," not in case.completion.split("boxed{")[1],
    ),
    Disagreement(
        name="separators of thousands",
        explanation="The reference reads 6,277 as 6. Ours is right.",
        holds=lambda case: "," in str(case.grade.extracted) or "," in case.completion.partition("boxed{")[2][:8],
    ),
    Disagreement(
        name="the numerator for the fraction",
        explanation="The reference reads \\frac{2}{3} as 2. Ours is right.",
        holds=lambda case: "frac" in str(case.grade.extracted) and not case.grade.correct,
    ),
    Disagreement(
        name="a box without its closing brace",
        explanation="The number stands in the box, which the model closed late (`\\boxed{120 </answer}`) or never. "
        "The reference looks for `\\boxed{...}` on one line. The answer is legible and right: ours is right.",
        holds=lambda case: "boxed{" in case.completion and case.grade.rule in ("boxed", "open-boxed", "answer-tag"),
    ),
    Disagreement(
        name="no box",
        explanation="The model ends its text with the right number, stated as the result, but boxes nothing. The "
        "reference finds no answer; ours falls back on the last number of a GSM8K answer. Ours is right.",
        holds=lambda case: case.grade.rule == "last-number",
    ),
)

MATH500 = (
    Disagreement(
        name="the box without its backslash",
        explanation="`boxed{5}` inside the answer tag. The answer is legible and right: ours is right.",
        holds=lambda case: "\\boxed" not in case.completion,
    ),
    Disagreement(
        name="the value, but not the form asked for",
        explanation="The question asks to simplify or for a common fraction, and the model's answer has the right "
        "value in another form. Ours grades values, as graders for MATH in common use do, and is right about these; "
        "a marker who insists on the form would side with the reference.",
        holds=lambda case: FORM.search(case.problem.question) is not None,
    ),
    Disagreement(
        name="units, currency and separators",
        explanation="The reference compares texts, so 15 is not 15\\mbox{ cm}^2 and 10080 is not 10,\\!080. The "
        "question names the unit; the numbers are equal: ours is right.",
        holds=lambda case: (
            _same_number(case) and split_unit(clean(case.problem.target))[0].replace(",", "") != case.problem.target
        ),
    ),
    Disagreement(
        name="another form of the same number",
        explanation="5.5 is 11/2, and the question asks for no particular form. The numbers are equal as fractions: "
        "ours is right.",
        holds=lambda case: _same_number(case),
    ),
    Disagreement(
        name="notation",
        explanation="Braces around a base, brackets around a choice, `x \\in` before the interval that the "
        "question asks for. The answer is the same: ours is right.",
        holds=lambda case: (
            isinstance(read(clean(case.problem.target)), Based | Range)
            or case.problem.target == f"\\text{{({case.grade.extracted})}}"
        ),
    ),
    Disagreement(
        name="algebra",
        explanation="The expressions are equal: a root that was not taken, a sum in another order, a factor before "
        "a vector. Ours is right.",
        holds=lambda case: case.grade.correct,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All outputs of one benchmark."""

    task: str
    count: int
    reference_correct: int
    rederived: int
    """Verdicts of the reference parser that `flexeval grade --grader paper` gives as well."""
    ours_correct: int
    disagreements: dict[str, list[Case]]
    """By the name of the class, in the order of the classes; `UNEXPLAINED` holds the rest."""


def compare(task_name: str, classes: tuple[Disagreement, ...], data_dir: Path) -> Comparison:
    """Grade every stored output of one benchmark and sort the disagreements."""
    task = get_task(task_name, data_dir=data_dir)
    by_question = {" ".join(problem.question.split()): problem for problem in task.problems()}
    with gzip.open(data_dir / "llada_8b_instruct_outputs" / OUTPUTS[task_name], "rt", encoding="utf-8") as lines:
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines]

    found: dict[str, list[Case]] = {name: [] for name in (*(group.name for group in classes), UNEXPLAINED)}
    assert isinstance(task, HasPublishedGrader)
    ours = rederived = 0
    for row in rows:
        problem = by_question[" ".join(row["question"].split())]
        completion = before_end_token(row["generation"])
        grade = task.grade(problem, completion)
        ours += grade.correct
        rederived += task.grade_as_published(problem, completion).correct == row["reference_parser_correct"]
        if grade.correct != row["reference_parser_correct"]:
            target = str(row["ground_truth"])
            case = Case(problem=problem, completion=completion, grade=grade, reference_target=target)
            name = next((group.name for group in classes if group.holds(case)), UNEXPLAINED)
            found[name].append(case)
    return Comparison(
        task=task_name,
        count=len(rows),
        reference_correct=sum(row["reference_parser_correct"] for row in rows),
        rederived=rederived,
        ours_correct=ours,
        disagreements=found,
    )


def report(comparison: Comparison, classes: tuple[Disagreement, ...], excerpt: int) -> str:
    """The comparison as Markdown."""
    total = sum(map(len, comparison.disagreements.values()))
    n = comparison.count
    lines = [
        f"## {comparison.task}",
        "",
        "| outputs | reference parser | its verdicts that `--grader paper` gives | ours | disagreements |",
        "|---|---|---|---|---|",
        f"| {n} | {100 * comparison.reference_correct / n:.2f} % ({comparison.reference_correct}) "
        f"| {comparison.rederived} | {100 * comparison.ours_correct / n:.2f} % ({comparison.ours_correct}) | {total} |",
        "",
    ]
    explanations = {group.name: group.explanation for group in classes} | {UNEXPLAINED: "To be read."}
    for name, cases in comparison.disagreements.items():
        if not cases:
            continue
        lines += [f"### {name}: {len(cases)}", "", explanations[name], ""]
        quoted = " end of the completion |" if excerpt else ""
        lines += [f"| problem | target | extracted by us | rule | ours |{quoted}", "|---" * (5 + bool(excerpt)) + "|"]
        for case in cases:
            cells = (case.problem.target, case.grade.extracted or "", case.grade.rule or "")
            verdict = "correct" if case.grade.correct else "wrong"
            ending = f" {_cell(case.completion.strip()[-excerpt:])} |" if excerpt else ""
            lines.append(f"| {case.problem.id} | {' | '.join(map(_cell, cells))} | {verdict} |{ending}")
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    text = " ".join(text.split()).replace("|", "\\|")
    return f"`{text}`" if text else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of benchmark files and stored outputs")
    parser.add_argument("--out", type=Path, default=Path("results/grading/agreement.md"))
    parser.add_argument(
        "--excerpt",
        type=int,
        default=0,
        help="quote so many characters from the end of each completion [default: none]",
    )
    arguments = parser.parse_args()

    both = {"gsm8k": GSM8K, "math500": MATH500}
    try:
        comparisons = {name: compare(name, classes, arguments.data_dir) for name, classes in both.items()}
    except InputError as error:
        parser.error(str(error))
    text = "\n".join(
        [
            "# Our graders and a reference parser on real outputs",
            "",
            "Outputs of LLaDA-8B-Instruct from dllm-reasoning/d1 with the verdicts of its parser. Regenerate with",
            "",
            "    python analyses/grader_agreement.py --data-dir ../shared/data",
            "",
            *(report(comparisons[name], classes, arguments.excerpt) for name, classes in both.items()),
        ]
    )
    print(text)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = arguments.out.with_suffix(".tmp")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, arguments.out)
    unexplained = sum(len(comparison.disagreements[UNEXPLAINED]) for comparison in comparisons.values())
    if unexplained:
        print(f"{unexplained} disagreements belong to no class", file=sys.stderr)
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
