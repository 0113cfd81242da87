"""MATH-500 as a task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flexeval.errors import InputError
from flexeval.records import Problem
from flexeval.tasks import Task, get_task
from flexeval.tasks.math500 import Math500


def test_upstream_problems(shared_dir: Path) -> None:
    task = get_task("math-500", data_dir=shared_dir / "data")
    assert isinstance(task, Task)
    problems = task.problems()
    assert len({problem.id for problem in problems}) == len(problems) == 500
    assert problems[0].id == "math500/test/precalculus/807"
    assert {problem.metadata["level"] for problem in problems} == {1, 2, 3, 4, 5}
    assert task.source()["rows"] == 500  # type: ignore[attr-defined]


def test_every_reference_answer_is_accepted_and_a_marked_wrong_one_is_not(shared_dir: Path) -> None:
    task = Math500(data_dir=shared_dir / "data")
    for problem in task.problems():
        assert task.grade(problem, f"...</reasoning>\n<answer>\\boxed{{{problem.target}}}</answer>").correct
        assert not task.grade(problem, "\\boxed{\\text{none of these}}").correct


def test_no_last_number_and_nothing_from_the_question() -> None:
    problem = Problem(id="p", question=r"Write the answer as \boxed{5}.", target="5")
    grade = Math500().grade(problem, "The answer is 5.")
    assert (grade.correct, grade.extracted, grade.rule) == (False, None, None)


@pytest.mark.parametrize("answer", ["", " \n", "$$"])
def test_a_row_without_an_answer_is_refused(tmp_path: Path, answer: str) -> None:
    (tmp_path / "math500.json").write_text(json.dumps([{"problem": "1 + 1?", "answer": answer}]))
    with pytest.raises(InputError, match=r"math500\.json item 1: 'answer' is empty"):
        Math500(data_dir=tmp_path).problems()


def test_files_in_the_layout_of_math_are_read(tmp_path: Path) -> None:
    """Level and subject are written differently there, and the answer stands in the solution."""
    row = {"problem": "1 + 1?", "level": "Level 5", "type": "Algebra", "solution": "We add: $\\boxed{2}$."}
    rows = [
        row,
        {**row, "level": "Level ?", "answer": "2"},
        {"problem": "1 + 1?", "answer": "2", "unique_id": "a/7.json"},
    ]
    (tmp_path / "math500.json").write_text(json.dumps(rows))
    problems = Math500(data_dir=tmp_path).problems()
    assert [problem.id for problem in problems] == ["math500/0", "math500/1", "math500/a/7"]
    assert {problem.target for problem in problems} == {"2"}
    assert [tuple(problem.metadata.values()) for problem in problems] == [
        ("Algebra", 5),
        ("Algebra", None),
        (None, None),
    ]
