"""Sums to practise: a few calculations a problem, asked in one order and answered in another.

    What is 8 + 2, 3 * 2, 9 - 4?        Calculate 9 - 4 = 5. Calculate 8 + 2 = 10. Calculate 3 * 2 = 6.

A worked solution spends two tokens in thirty on results, so a table of sums is learned slowly from worked
solutions alone. These are the same calculations, written in the same way, and nothing else. Several of them in
an order of their own, since a model that sees one at a time learns to add whatever numbers are in sight.
They are training data only: no task asks them.
"""

from __future__ import annotations

from flexeval.models.tiny.problems import WORDS
from flexeval.tasks.drawing import Draw

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
