r"""The wording around a question, as data: a system text, a user turn and the start of the answer.

A template is one of the task's own (`default`, `bare`, and those that papers used: `d1`, `justgrpo`) or a YAML file
with the keys `system`, `user` and `prefill`, for repeating another paper's prompt to the letter. `{name}` stands for a
field of the problem, and `{{name}}` for the text `{name}` itself. Every other brace is plain text, so `\boxed{}` can be
written as it is.

The texts of `d1` and `justgrpo` are what the released evaluation code of these papers sends, character by character,
slips and blanks included: to repeat a number, one needs the prompt that it was measured with.
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

_D1_TASK = (
    "You are a math expert. You will be given a question to solve. Solve it step by step. "
    "Wrap the final answer in a \\boxed{}."
)
_D1_FORMAT = (
    "Respond in the following format:\n"
    "<reasoning>\nYour reasoning here\n</reasoning>\n"
    "<answer>\n\\boxed{...}\n</answer>"
)

D1_GSM8K = PromptTemplate(user=f"{_D1_TASK} \n{_D1_FORMAT}\n\n{{question}}", prefill="<reasoning>")
"""d1 (Zhao et al. 2025, arXiv:2504.12216; dllm-reasoning/d1 at 837888f, eval/gsm8k.py), zero-shot: the template that
"The Flexibility Trap" says it follows."""

D1_MATH = PromptTemplate(user=f'{_D1_TASK}\n{_D1_FORMAT}" \n\n\n{{question}}', prefill="<reasoning>")
"""The same for MATH-500 (eval/math500.py), whose text ends in a stray quotation mark and a blank."""

JUSTGRPO_MATH = PromptTemplate(
    user="{question}(Please put the final answer in \\boxed{} tag, i.e. $\\boxed{answer here}$)"
)
"""What JustGRPO evaluates and trains on MATH with (LeapLabTHU/JustGRPO at eebe50e, data/math.py). On GSM8K it asks the
question alone, which is `BARE`."""

WRITE_PYTHON = (
    "You write Python. Answer with the whole function, and the imports that it needs, in one ```python block."
)
"""The system text of the tasks that ask for programs."""

JUSTGRPO_PROGRAM = (
    "You are an expert Python programmer. Your task is to complete the implementation of a function named "
    "`{entry_point}`.\n\n"
)
"""How JustGRPO's prompts for programs begin (eval.py)."""


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
