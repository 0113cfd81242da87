"""Wrong programs made from right ones: what a grader of programs must reject.

A mutant appends to a program that defines its entry point; nothing else of the program changes. Tests that accept a
mutant cannot tell it from the original, and such problems can be counted.
"""

from __future__ import annotations

import textwrap


def returns_none(program: str, entry_point: str) -> str:
    """The program with an entry point that does nothing."""
    return f"{program}\n\ndef {entry_point}(*args, **kwargs):\n    return None\n"


def off_by_one(program: str, entry_point: str) -> str:
    """The program with an entry point whose answers are a little wrong.

    A number is one too large, a truth value the opposite, a text or collection has one item too many, None is 0. The
    type stays the same, but for None.
    """
    return program + textwrap.dedent(
        f"""

        def _off_by_one(value):
            if isinstance(value, bool):
                return not value
            if isinstance(value, (int, float, complex)):
                return value + 1
            if isinstance(value, str):
                return value + "1"
            if isinstance(value, (list, tuple)):
                return type(value)([*value, 1])
            if isinstance(value, (set, frozenset)):
                return value | {{"one more"}}
            if isinstance(value, dict):
                return {{**value, "one more": 1}}
            return 0

        _right = {entry_point}

        def {entry_point}(*args, **kwargs):
            return _off_by_one(_right(*args, **kwargs))
        """
    )
