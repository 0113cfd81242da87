"""GSM8K: problems from upstream files and the verdict on completions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flexeval.errors import InputError
from flexeval.records import Problem
from flexeval.tasks import Task, get_task, task_spec
from flexeval.tasks.gsm8k import GSM8K

PROBLEM = Problem(id="p", question="?", target="1234")


def test_upstream_counts_ids_and_targets(shared_dir: Path) -> None:
    task = get_task("gsm8k", data_dir=shared_dir / "data")
    assert isinstance(task, Task)
    problems = task.problems()
    assert len(problems) == 1319
    assert (problems[0].id, problems[0].target) == ("gsm8k/test/0", "18")
    assert len({problem.id for problem in problems}) == 1319
    assert sum(problem.target.startswith("-") for problem in problems) == 2
    train = get_task("gsm8k:split=train", data_dir=shared_dir / "data")
    assert (len(train.problems()), train.problems()[17].id) == (7473, "gsm8k/train/17")
    assert task_spec(train) == "gsm8k:split=train"


def test_the_reference_solution_of_every_problem_is_correct(shared_dir: Path) -> None:
    task = GSM8K(data_dir=shared_dir / "data")
    for problem in task.problems():
        completion = f"{problem.metadata['solution']}\n</reasoning>\n<answer>\n\\boxed{{{problem.target}}}\n</answer>"
        assert task.grade(problem, completion).correct
        wrong = f"\\boxed{{{int(problem.target) + 1}}}"
        assert not task.grade(problem, wrong).correct


def test_a_row_without_a_final_number_is_named(tmp_path: Path) -> None:
    good = {"question": "q", "answer": "so\n#### 3"}
    for answer in ("so 3", "#### three", "####"):
        (tmp_path / "test.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps({**good, 'answer': answer})}\n")
        with pytest.raises(InputError, match=r"test\.jsonl line 2: 'answer' should end in '####' and a number"):
            GSM8K(data_dir=tmp_path).problems()


@pytest.mark.parametrize(
    ("completion", "extracted", "rule"),
    [
        (r"... \boxed{1234}", "1234", "boxed"),
        (r"\boxed{1} then <answer>\boxed{\$1,234.00}</answer>", r"\$1,234.00", "boxed"),
        ("<answer>1,234 eggs</answer>", "1,234 eggs", "answer-tag"),
        (r"... \boxed{1234", "1234", "open-boxed"),
        ("5 + 1229 = 1234.", "1234", "last-number"),
    ],
)
def test_the_rule_that_found_the_answer_is_reported(completion: str, extracted: str, rule: str) -> None:
    grade = GSM8K().grade(PROBLEM, completion)
    assert (grade.correct, grade.extracted, grade.rule, grade.error) == (True, extracted, rule, None)


@pytest.mark.parametrize(
    "completion",
    [
        "",
        "no number",
        r"\boxed{12.34}",
        r"\boxed{123400}",
        r"\boxed{12340, 1234}",
        r"\boxed{1234.001}",
        r"1234 \boxed{1}",
    ],
)
def test_wrong_answers(completion: str) -> None:
    assert not GSM8K().grade(PROBLEM, completion).correct


def test_a_target_that_is_no_number_is_an_error_and_no_wrong_answer() -> None:
    grade = GSM8K().grade(Problem(id="p", question="q", target="three"), "So 3.")
    assert (grade.correct, grade.error) == (False, "the target does not state one number")


def test_unknown_split_and_template_are_refused() -> None:
    with pytest.raises(InputError, match="test"):
        get_task("gsm8k:split=tset")
    with pytest.raises(InputError, match="Did you mean 'bare'"):
        get_task("gsm8k:template=baer").prompt(PROBLEM)
