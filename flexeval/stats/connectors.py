"""Connectors: words that join the steps of an argument, at which a text may go one way or another.

Knows the list and where in a text its words count. What was measured at them is in other files.
"""

from __future__ import annotations

CONNECTORS = (
    "Therefore", "Thus", "So", "Since", "When", "Given", "However", "Let", "First", "Then", "Next", "Finally", "Now",
    "Similarly", "Calculate", "Solving", "Notice", "Specifically", "Follows", "Because", "But", "Or", "Consider",
    "Also", "Express", "Write",
)  # fmt: skip
"""The words of figure 12 of "The Flexibility Trap" (arXiv:2601.15165), as they are written at the start of a clause.

The paper does not say how they are matched. Here a connector is a whole word, written as in the list, that begins a
clause: the first word of a text, or one with a character of `CLAUSE_ENDS` between it and the word before.
"""

CLAUSE_ENDS = frozenset('.,;:!?…\n—–([{“"')
"""What ends a clause, or opens a new one inside it."""
