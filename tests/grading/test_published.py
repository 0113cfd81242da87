"""The rules of published numbers, their errors included, and the numbers that they give."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from flexeval.grading.published import (
    countdown_as_published,
    expression_as_published,
    number_as_published,
    program_as_published,
)
from flexeval.records import Problem
from flexeval.tasks import get_task
from flexeval.tasks.task import HasPublishedGrader


@pytest.mark.parametrize(
    ("completion", "extracted"),
    [
        (r"\boxed{18}", "18"),
        (r"\boxed{5} and \boxed{18}", "5"),
        (r"\boxed{...} then \boxed{} then \boxed{x = 18 or 3}", "18"),
        (r"\boxed{6,277}", "6"),
        (r"\boxed{\frac{2}{3}}", "2"),
        ("\\boxed{1\n8} <answer>3 or 4</answer>", "4"),
        ("<answer>1e3</answer> <answer>7</answer>", "1e3"),
        (r"\boxed{none} <answer>-5</answer>", "-5"),
        ("the answer is 18", None),
        (r"\boxed{18", None),
    ],
)
def test_numbers(completion: str, extracted: str | None) -> None:
    grade = number_as_published(completion, "18")
    assert grade.extracted == extracted
    assert grade.correct == (extracted == "18")


def test_a_negative_target_is_none() -> None:
    assert not number_as_published(r"\boxed{-5}", "-5").correct
    assert number_as_published(r"\boxed{1000}", "1,000").correct


@pytest.mark.parametrize(
    ("completion", "target", "correct"),
    [
        (r"\boxed{\dfrac{1}{2}}", r"\frac{1}{2}", True),
        (r"\boxed{\frac12}", "1/2", True),
        (r"\boxed{0.5}", r"\frac{1}{2}", True),
        (r"\boxed{5.5}", r"\frac{11}{2}", False),
        (r"\boxed{xy = 5}", "5", False),
        (r"\boxed{x=5}", "5", True),
        (r"\boxed{90^\circ}", "90", True),
        (r"\boxed{15\text{ cm}}", "15", True),
        (r"\boxed{15\text{ cm}\text{ a}}", "15", False),
        (r"\boxed{25\%}", "25", True),
        (r"\boxed{\sqrt3}", r"\sqrt{3}", True),
        (r"\boxed{\sqrt}", r"\sqrt", True),
        (r"\boxed{x/2}", "x/2", True),
        (r"\boxed{x / 2}", "x/2", False),
        (r"\boxed{.25}", "0.25", True),
        (r"\boxed{1} or \boxed{2}", "2", True),
        (r"$\boxed 42$", "42", True),
        (r"\fbox{42}", r"\fbox{42}", True),
        (r"\boxed{42 <answer> 42 </answer>", "42", True),
        ("42", "42", True),
        ("it is 42", "42", False),
    ],
)
def test_expressions(completion: str, target: str, correct: bool) -> None:
    assert expression_as_published(completion, target).correct == correct


@pytest.mark.parametrize(
    ("completion", "correct"),
    [
        (r"\boxed{(7 - 2) * 3}", True),
        (r"\boxed{(7-2) \times 3 = 15}", True),
        (r"\boxed{7 - 2 * 3}", False),
        (r"\boxed{7 * 2}", False),
        (r"\boxed{7 + 2 ** 3}", True),
        (r"\boxed{__import__('os') 7 2 3}", False),
        (r"\boxed{7 - 2 <answer>(7-2)*3</answer>", True),
        (r"\boxed{((7 - 2) * 3}", False),
    ],
)
def test_countdown_is_what_python_makes_of_it(completion: str, correct: bool) -> None:
    assert countdown_as_published(completion, [2, 3, 7], 15).correct == correct


def test_programs_are_the_first_python_block() -> None:
    prompt = 'def one():\n    """One."""\n'
    facts = {"prompt": prompt, "test": "def check(f):\n    assert f() == 1\n", "entry_point": "one"}
    problem = Problem(id="humaneval/0", question="", target="", metadata=facts)
    for completion, correct in (
        ("    return 1\n", True),
        ("```python\n    return 1\n```", False),
        ("```python\ndef one():\n    return 1\n```\n```python\ndef one():\n    return 2\n```", True),
        ("```\ndef one():\n    return 1\n```", False),
    ):
        assert program_as_published(problem, completion).correct == correct


@pytest.mark.parametrize(
    ("task_name", "file", "published_percent"),
    [("gsm8k", "gsm8k_len256", 76.37), ("math500", "math500_len512", 36.2)],
)
def test_published_numbers_are_found_again(
    shared_dir: Path, task_name: str, file: str, published_percent: float
) -> None:
    """Every single verdict, from texts as they are stored, end tokens and all."""
    task = get_task(task_name, data_dir=shared_dir / "data")
    assert isinstance(task, HasPublishedGrader)
    problems = {" ".join(problem.question.split()): problem for problem in task.problems()}
    with gzip.open(shared_dir / "data" / "llada_8b_instruct_outputs" / f"{file}.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    verdicts = [
        task.grade_as_published(problems[" ".join(row["question"].split())], row["generation"]).correct for row in rows
    ]
    assert verdicts == [row["reference_parser_correct"] for row in rows]
    assert 100 * sum(verdicts) / len(verdicts) == pytest.approx(published_percent, abs=0.005)
