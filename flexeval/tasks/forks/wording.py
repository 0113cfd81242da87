"""A puzzle and a chain in English. The chain decides every word: there is one text for it, and no free choice.

The word that opens a sentence is the choice of the sign, the lead ("We pass 25.") says that the chain goes above the
goal on the way, and steps of different signs are of different lengths, so that words of one kind do not always stand
at the same positions.
"""

from __future__ import annotations

from collections.abc import Mapping

from flexeval.tasks.forks.puzzle import Chain, Puzzle, Sign, passes

LEAD = "We pass {goal}."

FIRST: Mapping[Sign, str] = {"+": "First {eq}.", "-": "Let us take {eq}.", "*": "Notice that {eq}."}
MIDDLE: Mapping[Sign, str] = {"+": "Also {eq}.", "-": "But that leaves {eq}.", "*": "Then take {eq}."}
LAST: Mapping[Sign, str] = {"+": "So {eq}.", "-": "Therefore that leaves {eq}.", "*": "Thus finally {eq}."}


def question_text(puzzle: Puzzle) -> str:
    """What is asked."""
    return f"Make {puzzle.goal} from {', '.join(str(number) for number in puzzle.numbers)}."


def solution_text(chain: Chain) -> str:
    """One sentence a step."""
    lead = [LEAD.format(goal=chain[-1].result)] if passes(chain) else []
    steps = []
    for index, step in enumerate(chain):
        words = FIRST if index == 0 else LAST if index == len(chain) - 1 else MIDDLE
        steps.append(words[step.sign].format(eq=step.equation))
    return " ".join(lead + steps)
