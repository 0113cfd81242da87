"""What the sandbox is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["passed", "failed", "crashed", "timed out"]
"""All tests held; a test did not hold; the program raised, ended or lacks its function; the time was up."""


@dataclass(frozen=True, kw_only=True)
class ProgramCheck:
    """One generated program and the tests that it has to pass."""

    program: str
    """The program under test; runs as the candidate."""
    tests: str
    """Statements that raise nothing if, and only if, the program is right; run by the judge."""
    entry_point: str
    """The function that the program must define."""
    preamble: str = ""
    """What else the tests may use (helper functions that the problem gives); run by the judge, before the tests."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer to one check."""

    outcome: Outcome
    reason: str | None = None
    """Why it did not pass; None when it did."""
    seconds: float = 0.0
    """Wall time from the request to the answer; says as much about the machine as about the program."""

    @property
    def passed(self) -> bool:
        """Whether the program is right."""
        return self.outcome == "passed"
