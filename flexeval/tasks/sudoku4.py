"""`sudoku4`: 4x4 Sudoku with few givens, question and answer as text; the bundled model's other task.

The answer is the filled grid, row by row: "Rows: 1 2 3 4 / 3 4 1 2 / 2 1 4 3 / 4 3 2 1". It is graded by the
rules, so any completion of the givens counts. There are only 288 grids, so every test grid answers
some training puzzle as well; only the puzzles are disjoint. A hash of the givens (the question itself) puts an eighth
of them on the test side, and the training data never uses those.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

from flexeval.errors import InputError
from flexeval.records import Grade, Problem, Prompt
from flexeval.tasks.drawing import Draw, Split, check_at_least, check_split, first_different, split_of

Grid = tuple[int, ...]
"""16 cells, row by row; 0 for a blank."""

_UNITS = (
    *(tuple(range(4 * row, 4 * row + 4)) for row in range(4)),
    *(tuple(range(column, 16, 4)) for column in range(4)),
    *(tuple(8 * i + 2 * j + offset for offset in (0, 1, 4, 5)) for i in range(2) for j in range(2)),
)
_DIGITS = frozenset({1, 2, 3, 4})
_DIGITS_IN_A_ROW = re.compile(
    r"(?P<last>/\s*)?(?<![\d_])(?<!\d )(?<!_ )(?P<row>\d(?: ?\d)*+)(?! ?_)(?=\s*(?P<next>/)?)", re.ASCII
)
"""All digits with at most a space between, if no blank cell is beside them: a puzzle has those, and no answer."""
_ROW = re.compile(r"[1-4](?: ?[1-4]){3}")
_BEGUN = re.compile(r"\bRows?: *[1-4]")


@cache
def all_grids() -> tuple[Grid, ...]:
    """The 288 filled grids, in lexicographic order."""
    rows = list(itertools.permutations((1, 2, 3, 4)))
    halves = [
        first + second
        for first, second in itertools.product(rows, repeat=2)
        if {*first[:2], *second[:2]} == {*first[2:], *second[2:]} == _DIGITS
    ]
    return tuple(top + bottom for top, bottom in itertools.product(halves, repeat=2) if is_valid(top + bottom))


def is_valid(grid: Grid) -> bool:
    """Whether every row, column and box holds 1, 2, 3 and 4."""
    return all({grid[cell] for cell in unit} == _DIGITS for unit in _UNITS)


def grid_text(grid: Grid) -> str:
    """Rows separated by slashes, a blank as an underscore."""
    cells = ["_" if cell == 0 else str(cell) for cell in grid]
    return " / ".join(" ".join(cells[4 * row : 4 * row + 4]) for row in range(4))


@dataclass(frozen=True, kw_only=True)
class Sudoku4:
    """Fill a 4x4 grid so that every row, column and 2x2 box holds 1, 2, 3 and 4."""

    name: ClassVar[str] = "sudoku4"
    aliases: ClassVar[tuple[str, ...]] = ("sudoku",)
    summary: ClassVar[str] = "generated 4x4 Sudoku, the bundled model's other task"
    gen_length: ClassVar[int] = 24
    verdicts: ClassVar[tuple[str, ...]] = ("sound",)

    givens: int = 4
    """Cells that are filled in; fewer leave more completions, of which any one counts."""
    split: Split = "test"
    """`test`, or `train` for puzzles of the kind that the bundled model was trained on."""
    size: int = 200
    """How many problems."""
    seed: int = 0
    """Of the problem set."""

    def __post_init__(self) -> None:
        if not 1 <= self.givens <= 15:
            raise InputError(f"givens must lie in 1..15, not {self.givens}")
        check_at_least(1, size=self.size)
        check_split(self.split)

    def problems(self) -> list[Problem]:
        """The first `size` different puzzles of this split that the seed draws."""
        return list(_problems(self))

    def prompt(self, problem: Problem) -> Prompt:
        """The question alone."""
        return Prompt(user=problem.question)

    def grade(self, problem: Problem, text: str) -> Grade:
        """Correct when the four rows in the text follow the rules and keep the givens.

        A row is four digits 1 to 4 with at most a space between; there must be exactly four rows, and no other row of
        digits. Rows of a table (3, 1, 2, 4 between bars) and lists ("[3, 1, 2, 4]") are not read: they may number
        columns, or be what a cell can be. Sound is the same: each cell is a step, and the rules that judge the answer
        judge all of them.

        The rule is `rows` as soon as the first row has begun.
        """
        rows = _rows(text)
        rule = "rows" if rows or _BEGUN.search(text) else None
        if len(rows) != 4 or not all(_ROW.fullmatch(row) for row in rows):
            return Grade(correct=False, rule=rule, verdicts={"sound": False})
        grid = tuple(int(cell) for row in rows for cell in row if cell != " ")
        givens: Grid = problem.metadata["givens"]
        kept = all(given in (0, cell) for given, cell in zip(givens, grid, strict=True))
        correct = kept and is_valid(grid)
        return Grade(correct=correct, extracted=grid_text(grid), rule=rule, verdicts={"sound": correct})

    def draw(self, key: str) -> tuple[Problem, str]:
        """A puzzle of this split and one completion of it, decided by `key` (for training data)."""
        draw = Draw(key)
        while True:
            grid = draw.pick(all_grids())
            shown = set(draw.shuffled(range(16))[: self.givens])
            puzzle = tuple(digit if cell in shown else 0 for cell, digit in enumerate(grid))
            if puzzle_split(puzzle) == self.split:
                return _problem(puzzle, grid), f"Rows: {grid_text(grid)}"


def _rows(text: str) -> list[str]:
    """The rows of digits in a text, of whatever length; a number of up to three digits beside no slash is prose."""
    return [
        match["row"]
        for match in _DIGITS_IN_A_ROW.finditer(text)
        if " " in match["row"] or len(match["row"]) > 3 or match["last"] or match["next"]
    ]


def puzzle_split(puzzle: Grid) -> Split:
    """The side of the train/test split that a puzzle is on. Only its givens count."""
    return split_of(f"sudoku4/{grid_text(puzzle)}")


@cache
def _problems(task: Sudoku4) -> tuple[Problem, ...]:
    def draw(attempt: int) -> Problem:
        return task.draw(f"sudoku4/{task.split}/{task.seed}/{attempt}")[0]

    return first_different(draw, task.size, attempts=20 * task.size + 200)


def _problem(puzzle: Grid, grid: Grid) -> Problem:
    return Problem(
        id=f"sudoku4/{''.join(str(cell) if cell else '.' for cell in puzzle)}",
        question=f"Fill in the Sudoku: {grid_text(puzzle)}",
        target=grid_text(grid),
        metadata={"givens": puzzle},
    )
