"""Generated problems and worked solutions never change: results/ and the bundled models rest on them."""

from __future__ import annotations

import pytest

from flexeval.hashing import json_hash
from flexeval.records import Problem
from flexeval.tasks import get_task
from flexeval.tasks.forks import Forks
from flexeval.tasks.sudoku4 import Sudoku4
from flexeval.tasks.word_problems import WordProblems


def told(problem: Problem) -> list[str]:
    return [problem.id, problem.question, problem.target]


@pytest.mark.parametrize(
    ("task", "split", "problems"),
    [
        ("forks", "train", "c4992669343367aa"),
        ("forks", "test", "c838f65feace8eca"),
        ("word-problems", "train", "3186048515f193f7"),
        ("word-problems", "test", "abbff08cef91330a"),
        ("countdown", "train", "07fdde8bc1ba998d"),
        ("countdown", "test", "62e546145d539d72"),
        ("sudoku4", "train", "9a823adbe0de1852"),
        ("sudoku4", "test", "aec778cf5762642a"),
    ],
)
def test_problems_stay_what_they_are(task: str, split: str, problems: str) -> None:
    drawn = get_task(f"{task}:split={split},size=32").problems()
    assert json_hash([told(problem) for problem in drawn])[:16] == problems


@pytest.mark.parametrize(
    ("task", "solutions"),
    [
        (WordProblems(split="train"), "9cb322414b0fd9e7"),
        (Sudoku4(split="train"), "b022da9257befa37"),
        (Forks(split="train"), "50c8051d569337e9"),
    ],
)
def test_worked_solutions_stay_what_they_are(task: WordProblems | Sudoku4 | Forks, solutions: str) -> None:
    drawn = [task.draw(f"pinned/{i}") for i in range(100)]
    assert json_hash([[*told(problem), solution] for problem, solution in drawn])[:16] == solutions
