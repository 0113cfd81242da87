"""What of a claim follows from how a bundled model's training texts were made, and is no finding about orders.

A bundled model is made so that a question can be asked, and some answers come with the making: where texts choose the
first word of a sentence freely, that word is uncertain in AR order. The table of claims says so beside each claim.
"""

from __future__ import annotations

from flexeval.registry import parse_spec

_FREE_OPENINGS = (
    "in part: the training texts choose each sentence's opening freely among connectors, so connectors are uncertain "
    "in AR order; what confidence order makes of it is not built in"
)
_CHOICES = (
    "in part: the training texts tie an opening to an operation. Three quarters of the puzzles have one first "
    "operation that leads to the goal, the rest two or three, and which ones is known only by calculating ahead, so "
    "openings are uncertain in AR order; what confidence order makes of it is not built in"
)
_OF_FORKS = {"connectors-bypassed": _CHOICES, "connector-entropy-lower": _CHOICES}
_BUILT_IN = {
    ("tiny", "word-problems"): {"connectors-bypassed": _FREE_OPENINGS, "connector-entropy-lower": _FREE_OPENINGS},
    ("forks", "forks"): _OF_FORKS,
    ("tiny-block", "forks"): _OF_FORKS,
    ("tiny", "sudoku4"): {
        "order-freedom-helps-sudoku": "in part: cells constrain each other and can be filled in any order; most of "
        "the default puzzles have several completions, of which any one counts"
    },
}


def built_in(model: str, task: str, claim: str) -> str:
    """What of a claim on a model and task was built in: "no", or "in part" and how; empty where it is not known, which
    is everywhere but on the tasks that a bundled model was trained on.

    Args:
        model: its name in runs.
        task: spec.
        claim: name.
    """
    made = _BUILT_IN.get((model, parse_spec(task)[0]))
    return "" if made is None else made.get(claim, "no")
