"""What a sound solution is, task by task: pure functions of a text and a problem.

A solution counts as solved soundly when it is correct and sound. The steps of these tasks can be judged by rule, since
the tasks are generated; for others the literature reads chains by hand (Yue et al. 2025, arXiv:2504.13837).
"""

from __future__ import annotations

import re

from flexeval.grading.soundness import SOUND, Soundness, find_equations, judge_chain, judge_steps
from flexeval.records import Problem
from flexeval.tasks.sudoku4 import UNITS, Grid

_ANSWER = re.compile(r"answer\s+is\b[^\w\n.-]{0,4}(-?\d+)", re.IGNORECASE)
_ROW = re.compile(r"[1-4](?:[ ]?[1-4]){3}")


def forks_soundness(text: str, problem: Problem) -> Soundness:
    """Every equation is true, goes on from the result before and takes numbers that are left; none is left over."""
    return judge_chain(text, problem.metadata["numbers"])


def word_problem_soundness(text: str, problem: Problem) -> Soundness:
    """Every equation is true, every operand is from the problem or an earlier result, and the answer is the last one.

    There has to be an equation.
    """
    steps = judge_steps(text, [int(number) for number in re.findall(r"\d+", problem.metadata["skeleton"])])
    if steps.sound and (answers := _ANSWER.findall(text)):
        last = find_equations(text)[-1].result
        if int(answers[-1]) != last:
            return Soundness(False, f"the answer {answers[-1]} is not the last result, {last}")
    return steps


def countdown_soundness(text: str, problem: Problem) -> Soundness:
    """Every equation is true, and every operand is a given number, the goal (to work backwards) or an earlier result.

    What was tried and given up may use a number again; that the answer uses each once is what makes it correct. The
    answer alone, without any equation, is sound.
    """
    return judge_steps(text, [*problem.metadata["numbers"], problem.metadata["goal"]], needed=False)


def sudoku4_soundness(text: str, problem: Problem) -> Soundness:
    """Each cell is a step: the givens are kept, and no row, column or box has a digit twice."""
    rows = _ROW.findall(text)
    if len(rows) != 4:
        return Soundness(False, f"{len(rows)} rows, not 4")
    grid: Grid = tuple(int(cell) for row in rows for cell in row if cell != " ")
    givens: Grid = problem.metadata["givens"]
    for cell, (given, digit) in enumerate(zip(givens, grid, strict=True)):
        if given not in (0, digit):
            return Soundness(False, f"the given {given} in row {cell // 4 + 1}, column {cell % 4 + 1} became {digit}")
    for index, unit in enumerate(UNITS):
        for digit in range(1, 5):
            if [grid[cell] for cell in unit].count(digit) > 1:
                return Soundness(False, f"{('row', 'column', 'box')[index // 4]} {index % 4 + 1} has two of {digit}")
    return SOUND
