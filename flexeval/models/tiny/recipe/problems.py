"""What the bundled model is trained on: the settings of both tasks, and sums to practise.

The settings are said in full, since the tasks' own defaults may move and these may not.

Sums are a few calculations a problem, asked in one order and answered in another:

    What is 8 + 2, 3 * 2, 9 - 4?        Calculate 9 - 4 = 5. Calculate 8 + 2 = 10. Calculate 3 * 2 = 6.

A worked solution spends two tokens in thirty on results, so from solutions alone a model learns a table of sums slowly.
Sums are the same calculations, written in the same way, and nothing else. There are several in one problem because a
model that sees one at a time learns to add whatever numbers are in sight. No task asks for them.
"""

from __future__ import annotations

from flexeval.tasks.drawing import Draw
from flexeval.tasks.sudoku4 import Sudoku4
from flexeval.tasks.word_problems import WordProblems

WORDS = WordProblems(split="train", max_start=10, max_change=6, max_total=20, products=True)
FACTS, FACTS_WEIGHTS = (1, 2, 3), (0.25, 0.4, 0.35)
"""Changes of a word problem, and how often."""

SUDOKU = Sudoku4(split="train", givens=5)
GIVENS = tuple(range(3, 11))
"""Filled cells of a Sudoku, all equally often."""

WORDS_CANVAS, SUDOKU_CANVAS = 48, 24
"""Answer positions of a canvas, the end of sequence among them."""

FEWEST, MOST = 2, 4
"""Calculations of a problem."""
SMALL_CHANGE = 0.75
"""How often the second number is one that a single gain or loss can have; else any that fits."""
PRODUCT = 0.1
"""How often the calculation is a product of packs."""


def draw_sums(draw: Draw) -> tuple[str, str]:
    """Question and answer."""
    sums = [_product(draw) if draw.chance(PRODUCT) else _change(draw) for _ in range(draw.between(FEWEST, MOST))]
    question = f"What is {', '.join(calculation for calculation, _ in sums)}?"
    return question, " ".join(f"Calculate {calculation} = {result}." for calculation, result in draw.shuffled(sums))


def _product(draw: Draw) -> tuple[str, int]:
    packs, each = draw.between(2, 5), draw.between(2, 5)
    return f"{packs} * {each}", packs * each


def _change(draw: Draw) -> tuple[str, int]:
    amount = draw.between(0, WORDS.max_change if draw.chance(SMALL_CHANGE) else WORDS.max_total)
    less = draw.between(0, WORDS.max_total - amount)
    if draw.chance(0.5):
        return f"{less} + {amount}", less + amount
    return f"{less + amount} - {amount}", less
