"""What a sound solution is, task by task."""

from __future__ import annotations

import pytest

from flexeval.records import Problem
from flexeval.tasks.countdown import Countdown
from flexeval.tasks.soundness import countdown_soundness, forks_soundness, sudoku4_soundness, word_problem_soundness
from flexeval.tasks.sudoku4 import Sudoku4
from flexeval.tasks.word_problems import WordProblems


def test_every_worked_solution_is_sound() -> None:
    words, sudoku = WordProblems(split="train"), Sudoku4(split="train")
    for i in range(300):
        problem, solution = words.draw(f"sound/{i}")
        assert word_problem_soundness(solution, problem).sound
    for i in range(20):
        problem, solution = sudoku.draw(f"sound/{i}")
        assert sudoku4_soundness(solution, problem).sound


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("First, 9 + 4 = 13. Then 13 - 6 = 7. The answer is 7.", True),
        ("The packs hold 2 * 3 = 6. So 9 + 4 = 13 and 13 - 6 = 7. The answer is 7.", True),
        ("First, 9 + 4 = 15. Then 15 - 8 = 7. The answer is 7.", False),
        ("4 * 3 = 9. Then 9 - 3 = 9. Now 8 - 7 = 7. The answer is 7.", False),
        ("First, 11 - 4 = 7. The answer is 7.", False),
        ("First, 9 + 4 = 13. The answer is 7.", False),
        ("The answer is 7.", False),
    ],
)
def test_word_problems(text: str, sound: bool) -> None:
    problem = Problem(id="p", question="?", target="7", metadata={"skeleton": "9+4-2*3"})
    # 6 is a result where the packs are multiplied out, and not known before.
    text_with_packs = text if "2 * 3" in text or "- 6" not in text else f"Calculate 2 * 3 = 6. {text}"
    assert word_problem_soundness(text_with_packs, problem).sound == sound


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        (r"7 + 2 = 9, too much. 7 - 2 = 5 and 5 * 3 = 15. \boxed{(7 - 2) * 3}", True),
        (r"15 / 3 = 5 and 7 - 2 = 5. \boxed{(7 - 2) * 3}", True),
        (r"\boxed{(7 - 2) * 3}", True),
        (r"\boxed{(7 - 2) * 3 = 15}", True),
        (r"7 * 2 = 15. \boxed{(7 - 2) * 3}", False),
        (r"10 + 5 = 15. \boxed{(7 - 2) * 3}", False),
    ],
)
def test_countdown(text: str, sound: bool) -> None:
    problem = Problem(id="p", question="?", target="", metadata={"numbers": [7, 2, 3], "goal": 15})
    assert Countdown().grade(problem, text).correct
    assert countdown_soundness(text, problem).sound == sound


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Rows: 1 2 3 4 / 3 4 1 2 / 2 1 4 3 / 4 3 2 1", None),
        ("Rows: 2 1 3 4 / 3 4 1 2 / 1 2 4 3 / 4 3 2 1", "the given 1 in row 1, column 1 became 2"),
        ("Rows: 1 2 3 4 / 1 4 3 2 / 2 1 4 3 / 4 3 2 1", "column 1 has two of 1"),
        ("Rows: 1 2 3 3 / 3 4 1 2 / 2 1 4 3 / 4 3 2 1", "row 1 has two of 3"),
        ("Rows: 1 2 3 4 / 2 3 4 1 / 3 4 1 2 / 4 1 2 3", "box 1 has two of 2"),
        ("Rows: 1 2 3 4", "1 rows, not 4"),
    ],
)
def test_sudoku(text: str, reason: str | None) -> None:
    problem = Problem(id="p", question="?", target="", metadata={"givens": (1, *[0] * 15)})
    verdict = sudoku4_soundness(text, problem)
    assert (verdict.sound, verdict.reason) == (reason is None, reason)
    assert Sudoku4().grade(problem, text).correct == verdict.sound


def test_forks() -> None:
    problem = Problem(id="p", question="?", target="29", metadata={"numbers": [5, 6, 6, 5], "goal": 29})
    assert forks_soundness("Notice that 6 * 5 = 30. But that leaves 30 - 6 = 24. So 24 + 5 = 29.", problem).sound
    assert not forks_soundness("Notice that 6 * 5 = 30. So 24 + 5 = 29.", problem).sound
