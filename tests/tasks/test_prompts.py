"""Prompt templates: built-in, bare, and from a file, to the letter."""

from __future__ import annotations

from pathlib import Path

import pytest

from flexeval.errors import InputError
from flexeval.records import Prompt
from flexeval.tasks.prompts import BARE, STEP_BY_STEP, PromptTemplate, find_template

BUILTIN = {"default": STEP_BY_STEP, "bare": BARE}
FIELDS = frozenset({"question", "tests"})


def from_file(tmp_path: Path, content: str) -> PromptTemplate:
    path = tmp_path / "prompt.yaml"
    path.write_text(content, encoding="utf-8")
    return find_template(str(path), BUILTIN, FIELDS)


def test_the_bare_prompt_is_the_question() -> None:
    assert find_template("bare", BUILTIN, FIELDS).fill({"question": "2 {x}?"}) == Prompt(user="2 {x}?")


def test_the_default_asks_for_steps_and_a_box_and_begins_the_reasoning() -> None:
    prompt = find_template("default", BUILTIN, FIELDS).fill({"question": "How many?"})
    assert "one step at a time" in prompt.system
    assert all(part in prompt.system for part in (r"\boxed{", "<reasoning>", "</answer>"))
    assert (prompt.user, prompt.prefill) == ("How many?", "<reasoning>")


def test_a_file_is_followed_to_the_letter(tmp_path: Path) -> None:
    template = from_file(
        tmp_path,
        "system: |\n  Be brief.\n"
        'user: "{question}\\n\\n$\\\\boxed{{answer}}$ \\\\frac{1}{2}\\n{tests}"\n'
        "prefill: '<r>'\n",
    )
    prompt = template.fill({"question": "Q {tests}", "tests": "assert {question}"})
    assert prompt.system == "Be brief.\n"
    # What a field holds is text, also where it looks like a placeholder.
    assert prompt.user == "Q {tests}\n\n$\\boxed{answer}$ \\frac{1}{2}\nassert {question}"
    assert prompt.prefill == "<r>"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("user: '{question} {answer}'", r"unknown placeholder \{answer\}. Known: \{question\}, \{tests\}"),
        ("user: '{question}'\nsytem: x", "'sytem'. Did you mean 'system'"),
        ("user: solve it", "never uses {question}"),
        ("system: '{question}'", "key 'user'"),
        ("- user", "key 'user'"),
        ("user: 5", "must be a text"),
        ("user: '{question}", "cannot read"),
        ("", "key 'user'"),
    ],
)
def test_a_faulty_file_gets_one_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        from_file(tmp_path, content)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_gives_the_close_one_and_a_missing_file_its_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'defualt'\. Did you mean 'default'.*or the path of a YAML file"):
        find_template("defualt", BUILTIN, FIELDS)
    with pytest.raises(InputError, match="cannot read the prompt file"):
        find_template(str(tmp_path / "absent.yaml"), BUILTIN, FIELDS)
