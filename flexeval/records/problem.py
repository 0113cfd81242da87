"""A question, its prompt, and the verdict on a completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flexeval.errors import encodable, one_line
from flexeval.fields import require, require_types

PROMPT_DATE = "2026-01-01"
"""The date that chat templates get unless a run says otherwise."""
CORRECT = "correct"
"""The verdict on a sample that every task gives, and that counts unless another one is asked for."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One question of a benchmark."""

    id: str
    """Unique within the task, stable across runs and machines; part of the key of every random number."""
    question: str
    """What the model is asked, without any prompt wording."""
    target: str
    """The reference answer, as the task's grader reads it."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else the grader or an analysis needs (tests, level, facts of a generated problem)."""

    def __post_init__(self) -> None:
        require_types(self, owner="Problem.")


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a model is given, before its chat template is applied."""

    user: str
    """The user's turn."""
    system: str = ""
    """A system text; empty for none."""
    prefill: str = ""
    """How the assistant's turn already begins; the completion continues it."""
    date: str = PROMPT_DATE
    """The date or time that a chat template gets when it asks for the present one; as `RunConfig.prompt_date`."""

    def __post_init__(self) -> None:
        require_types(self, owner="Prompt.")
        require_date("Prompt.date", self.date)


def require_date(what: str, text: str) -> None:
    """Raise InputError, which calls it `what`, unless a text is a date or a time in ISO format, to the minute."""
    try:
        moment = datetime.fromisoformat(text)
        known = text in (moment.date().isoformat(), moment.isoformat(timespec="minutes"))
    except ValueError:
        known = False
    require(known, f"{what} must be a date or time such as 2026-01-31 or 2026-01-31T09:30, not {text!r}")


@dataclass(frozen=True, kw_only=True)
class Grade:
    """The verdict on one completion."""

    correct: bool
    extracted: str | None = None
    """The answer that was read from the text; None when there was none."""
    rule: str | None = None
    """Which extraction rule found it. Without an answer: the rule by which one has begun that cannot be read."""
    error: str | None = None
    """Why the answer could not be graded (a time-out, an unreadable expression), on one line. Never set when
    correct."""
    verdicts: Mapping[str, bool] = field(default_factory=dict)
    """What else the task says of the text, by name: the names that its class attribute `verdicts` lists."""

    def gives(self, verdict: str) -> bool:
        """A verdict by its name: `correct`, or one of `verdicts`. Raises KeyError for another."""
        return self.correct if verdict == CORRECT else self.verdicts[verdict]

    def __post_init__(self) -> None:
        # What a model or its program said is foreign text: here it becomes such that any file and terminal can take it.
        for name, safe in (("extracted", encodable), ("rule", one_line), ("error", one_line)):
            if isinstance(text := getattr(self, name), str) and text:
                object.__setattr__(self, name, safe(text))
        require_types(self, owner="Grade.")
        require(not (self.correct and self.error), f"Grade.error must be None when correct, not {self.error!r:.60}")
