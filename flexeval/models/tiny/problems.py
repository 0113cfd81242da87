"""What the bundled model is trained on, said in full: the tasks' own defaults may move, this may not."""

from __future__ import annotations

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
