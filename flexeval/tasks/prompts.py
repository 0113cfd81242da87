r"""The wording around a question, as data: a system text, a user turn and the start of the answer.

A template is a built-in of the task (`default`, `bare`) or a YAML file with the keys `system`, `user`
and `prefill`, for repeating another paper's prompt to the letter. `{name}` stands for a field of the
problem; `{{name}}` is the text `{name}` itself; every other brace is plain text, so that `\boxed{}`
needs no care.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flexeval.errors import InputError, did_you_mean
from flexeval.reading import parse_yaml, read_text, require_text
from flexeval.records import Prompt

PLACEHOLDER = re.compile(r"\{\{(?P<literal>\w+)\}\}|\{(?P<field>[A-Za-z_]\w*)\}")


@dataclass(frozen=True, kw_only=True)
class PromptTemplate:
    """A prompt with places for a problem's fields. Stored with every run."""

    user: str
    """The user's turn."""
    system: str = ""
    """A system text; empty for none."""
    prefill: str = ""
    """How the assistant's turn begins."""

    def fill(self, fields: Mapping[str, str]) -> Prompt:
        """The prompt of one problem. Every placeholder must be a key of `fields`."""
        return Prompt(
            user=_fill(self.user, fields), system=_fill(self.system, fields), prefill=_fill(self.prefill, fields)
        )


BARE = PromptTemplate(user="{question}")
"""The question and nothing else."""

STEP_BY_STEP = PromptTemplate(
    system=(
        "You solve mathematics problems. Work through the problem one step at a time, then give the result in "
        "\\boxed{}. Lay your answer out like this:\n"
        "<reasoning>\n"
        "the steps, in order\n"
        "</reasoning>\n"
        "<answer>\n"
        "\\boxed{the result}\n"
        "</answer>"
    ),
    user="{question}",
    prefill="<reasoning>",
)
"""The default of the mathematical tasks."""


def find_template(name: str, builtin: Mapping[str, PromptTemplate], fields: frozenset[str]) -> PromptTemplate:
    """The template that a task's `template` parameter names.

    Args:
        name: a key of `builtin`, or the path of a YAML file.
        builtin: the task's own templates.
        fields: what placeholders may name; always includes `question`.

    Raises:
        InputError: neither a template nor a file; a file that is not a mapping of the three keys to texts;
            an unknown placeholder; no `{question}` anywhere.
    """
    if name in builtin:
        return builtin[name]
    path = Path(name)
    if path.suffix not in (".yaml", ".yml") and not path.is_file():
        raise did_you_mean("prompt", name, builtin, listed=", ".join(builtin) + ", or the path of a YAML file")
    return _read_template(path, fields)


def _read_template(path: Path, fields: frozenset[str]) -> PromptTemplate:
    where = f"the prompt file {str(path)!r}"
    content = parse_yaml(read_text(path, what="a YAML file with the key 'user'", where=where), where=where)
    if not isinstance(content, dict) or "user" not in content:
        raise InputError(
            f"prompt file {str(path)!r} must be a mapping with the key 'user' (and system, prefill if any)"
        )
    for key, text in content.items():
        if key not in ("system", "user", "prefill"):
            named = key if isinstance(key, str) else type(key).__name__
            raise did_you_mean(f"key of prompt file {str(path)!r}", named, ("system", "user", "prefill"))
        if not isinstance(text, str):
            raise InputError(f"prompt file {str(path)!r}: {key!r} must be a text; put it in quotes or after '|'")
        require_text(text, what=f"prompt file {str(path)!r}: {key!r}")

    used = {match["field"] for text in content.values() for match in PLACEHOLDER.finditer(text) if match["field"]}
    for field in sorted(used - fields):
        known = ", ".join(f"{{{name}}}" for name in sorted(fields))
        raise InputError(
            f"prompt file {str(path)!r} has the unknown placeholder {{{field}}}. Known: {known}; "
            f"write {{{{{field}}}}} for the text itself"
        )
    if "question" not in used:
        raise InputError(
            f"prompt file {str(path)!r} never uses {{question}}, so every problem would get the same prompt"
        )
    return PromptTemplate(**content)


def _fill(text: str, fields: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(
        lambda match: f"{{{match['literal']}}}" if match["literal"] else fields[match["field"]], text
    )
