"""What a sound solution is, task by task: correct, and every step holds."""

from __future__ import annotations

import pytest

from flexeval.records import Problem
from flexeval.tasks import OURS
from flexeval.tasks.countdown import Countdown
from flexeval.tasks.forks import Forks
from flexeval.tasks.sudoku4 import Sudoku4
from flexeval.tasks.task import verdicts_of
from flexeval.tasks.word_problems import WordProblems


def test_the_generated_tasks_say_what_is_sound() -> None:
    giving = {kind.name for kind in OURS if "sound" in verdicts_of(kind())}
    assert giving == {"word-problems", "countdown", "sudoku4", "forks"}


@pytest.mark.parametrize("task", [WordProblems(split="train"), Sudoku4(split="train"), Forks(split="train")])
def test_every_worked_solution_is_sound(task: WordProblems | Sudoku4 | Forks) -> None:
    for i in range(150):
        problem, solution = task.draw(f"sound/{i}")
        grade = task.grade(problem, solution)
        assert grade.correct and grade.verdicts == {"sound": True}


@pytest.mark.parametrize(
    ("text", "correct", "sound"),
    [
        ("The packs hold 2 * 3 = 6. First, 9 + 4 = 13. Then 13 - 6 = 7. The answer is 7.", True, True),
        ("The packs hold 2 * 3 = 6. So 9 + 4 = 13 and 13 - 6 = 7. The answer is 7.", True, True),
        # A false equation; one chain of them that comes out right; an operand from nowhere.
        ("First, 9 + 4 = 15. Then 15 - 8 = 7. The answer is 7.", True, False),
        ("4 * 3 = 9. Then 9 - 3 = 9. Now 8 - 7 = 7. The answer is 7.", True, False),
        ("First, 11 - 4 = 7. The answer is 7.", True, False),
        # The answer is not the last result; there are no steps; the steps hold, and the answer is wrong.
        ("First, 9 + 4 = 13. The answer is 7.", True, False),
        ("The answer is 7.", True, False),
        ("First, 9 + 4 = 13. The answer is 13.", False, False),
        ("First, 9 + 4 = 13.", False, False),
        # Neither a line break nor a dollar hides a false step; units and another dash are no false step.
        ("4 + 2 =\n7. 2 * 3 = 6. 9 + 4 = 13. 13 - 6 = 7. The answer is 7.", True, False),
        (r"$4 + 2 &= \boxed{7}$. 2 * 3 = 6. 9 + 4 = 13. 13 - 6 = 7. The answer is 7.", True, False),
        ("2 • 3 = 6. 9 red apples + 4 = 13 red apples. 9 + 4 = 13, 13 – 6 = 7. The answer is 7.", True, True),
        ("First, 4 - 9 = -5. Then -5 + 6 = 1. The answer is 7.", True, False),
        ("- 2 * 3 = **6**\n- 4 - 6 = -2\n- -2 + 9 = **7**\n\nThe answer is 7.", True, True),
    ],
)
def test_word_problems(text: str, correct: bool, sound: bool) -> None:
    problem = Problem(id="p", question="?", target="7", metadata={"skeleton": "9+4-2*3"})
    grade = WordProblems().grade(problem, text)
    assert (grade.correct, grade.verdicts) == (correct, {"sound": sound})


@pytest.mark.parametrize(
    ("text", "correct", "sound"),
    [
        (r"7 + 2 = 9, too much. 7 - 2 = 5 and 5 * 3 = 15. \boxed{(7 - 2) * 3}", True, True),
        (r"15 / 3 = 5 and 7 - 2 = 5. \boxed{(7 - 2) * 3}", True, True),
        (r"\boxed{(7 - 2) * 3}", True, True),
        (r"\boxed{(7 - 2) * 3 = 15}", True, True),
        (r"2 - 7 = -5, and -5 * 3 = -15. \boxed{(7 - 2) * 3}", True, True),
        (r"\boxed{\frac{(7 - 2) * 3}{1}}", False, False),
        (r"7 * 2 = 15. \boxed{(7 - 2) * 3}", True, False),
        (r"\begin{align} 7 - 2 &= 4 \\ 4 * 3 &= 15 \end{align} \boxed{(7-2)*3}", True, False),
        (r"Try 7*3 = 21 - too big. 7-2=5. \boxed{(7-2)*3}", True, True),
        (r"10 + 5 = 15. \boxed{(7 - 2) * 3}", True, False),
        (r"7 + 2 = 9. \boxed{7 + 2 * 3}", False, False),
        ("", False, False),
    ],
)
def test_countdown(text: str, correct: bool, sound: bool) -> None:
    problem = Problem(id="p", question="?", target="", metadata={"numbers": [7, 2, 3], "goal": 15})
    grade = Countdown().grade(problem, text)
    assert (grade.correct, grade.verdicts) == (correct, {"sound": sound})


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("Rows: 1 2 3 4 / 3 4 1 2 / 2 1 4 3 / 4 3 2 1", True),
        ("Rows: 2 1 3 4 / 3 4 1 2 / 1 2 4 3 / 4 3 2 1", False),
        ("Rows: 1 2 3 4", False),
    ],
)
def test_in_a_sudoku_sound_is_correct(text: str, sound: bool) -> None:
    problem = Problem(id="p", question="?", target="", metadata={"givens": (1, *[0] * 15)})
    grade = Sudoku4().grade(problem, text)
    assert (grade.correct, grade.verdicts) == (sound, {"sound": sound})
