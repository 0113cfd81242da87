"""4x4 Sudoku: graded by the rules, any completion counts, test puzzles never occur in training."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexeval.errors import InputError
from flexeval.grading.answers import answer_started
from flexeval.tasks import Task, get_task
from flexeval.tasks.sudoku4 import Sudoku4, all_grids, grid_text, is_valid, puzzle_split


def test_there_are_288_grids() -> None:
    # Felgenhauer and Jarvis (2006) count the 4x4 grids; relabelling the digits maps the set onto itself.
    grids = set(all_grids())
    assert len(grids) == len(all_grids()) == 288
    assert {tuple(5 - digit for digit in grid) for grid in grids} == grids


def test_exactly_the_completions_of_the_givens_are_correct() -> None:
    task = Sudoku4(givens=4, size=20)
    for problem in task.problems():
        givens = problem.metadata["givens"]
        accepted = [grid for grid in all_grids() if task.grade(problem, f"Rows: {grid_text(grid)}").correct]
        assert accepted == [
            grid for grid in all_grids() if all(given in (0, cell) for given, cell in zip(givens, grid, strict=True))
        ]
        assert problem.target in [grid_text(grid) for grid in accepted]


def test_one_wrong_cell_is_wrong() -> None:
    task = Sudoku4(size=5)
    for problem in task.problems():
        solved = [int(cell) for cell in re.findall(r"\d", problem.target)]
        for cell in range(16):
            changed = list(solved)
            changed[cell] = solved[cell] % 4 + 1
            assert not is_valid(tuple(changed))
            assert not task.grade(problem, grid_text(tuple(changed))).correct


@pytest.mark.parametrize(
    ("rewrite", "correct"),
    [
        (lambda grid: f"Rows: {grid}", True),
        (lambda grid: grid.replace(" / ", "\n"), True),
        (lambda grid: grid.replace(" ", ""), True),
        (lambda grid: grid.rsplit(" / ", 1)[0], False),
        (lambda grid: f"{grid} / 1 2 3 4", False),
        (lambda grid: f"{grid} / 1 2 3", False),
        (lambda grid: f"{grid} / 1", False),
        (lambda grid: grid.replace(" / ", " 1 / ", 1), False),
        (lambda grid: grid.replace(" / ", " 4 4 / ", 1), False),
        (lambda grid: grid.replace(" / ", "5 / ", 1), False),
        (lambda grid: f"7{grid}", False),
        (lambda grid: f"Of the puzzle 4 _ _ _ / _ 3 _ _ / _ _ _ _ / 1 2 _ _ the 16 cells are {grid}", True),
        (lambda grid: "", False),
    ],
)
def test_what_counts_as_four_rows(rewrite, correct) -> None:
    task = Sudoku4(size=1)
    problem = task.problems()[0]
    assert task.grade(problem, rewrite(problem.target)).correct is correct


@pytest.mark.parametrize(
    ("text", "started"),
    [
        ("Rows: 3", True),
        ("Rows: 3 1 2 4 1 / 2", True),
        ("1 2 3 4", True),
        ("Rows:", False),
        ("In row 1 stand 3 and 4.", False),
    ],
)
def test_an_answer_has_started_with_its_first_row(text: str, started: bool) -> None:
    task = Sudoku4(size=1)
    grade = task.grade(task.problems()[0], text)
    assert answer_started(text, grade.extracted, grade.rule) is started


def test_no_test_puzzle_is_ever_drawn_for_training() -> None:
    for givens in (2, 5, 9):
        test = [problem.metadata["givens"] for problem in Sudoku4(givens=givens, size=60).problems()]
        train = [Sudoku4(givens=givens, split="train").draw(str(i))[0].metadata["givens"] for i in range(500)]
        assert {puzzle_split(puzzle) for puzzle in test} == {"test"}
        assert {puzzle_split(puzzle) for puzzle in train} == {"train"}
        assert all(sum(cell > 0 for cell in puzzle) == givens for puzzle in (*test, *train))


def test_problems_are_distinct_and_the_same_on_every_machine() -> None:
    problems = Sudoku4(givens=5).problems()
    assert len({problem.id for problem in problems}) == len(problems) == 200
    assert Sudoku4(givens=5, size=20).problems() == problems[:20]
    # The bundled checkpoint was trained on this generator: other puzzles than these would need another checkpoint.
    assert problems[0].question == "Fill in the Sudoku: 4 _ _ _ / _ _ _ 4 / _ 1 _ _ / _ 4 3 _"


@given(st.text(alphabet="1234 /_\nRows:"))
@settings(max_examples=50, deadline=None)
def test_grading_never_raises(text: str) -> None:
    task = Sudoku4(size=1)
    task.grade(task.problems()[0], text)


@pytest.mark.parametrize("spec", ["sudoku4:givens=16", "sudoku4:givens=0", "sudoku4:size=0", "sudoku4:split=all"])
def test_bad_settings_are_refused(spec: str) -> None:
    with pytest.raises(InputError):
        get_task(spec)


def test_too_few_puzzles_say_so() -> None:
    assert isinstance(get_task("sudoku"), Task)
    with pytest.raises(InputError, match="use size="):
        Sudoku4(givens=1, size=20).problems()
