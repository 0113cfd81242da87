"""Prompt templates: built-in, bare, those of papers, and from a file, to the letter."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest

from flexeval.errors import InputError
from flexeval.grading.answers import before_end_token
from flexeval.records import Problem, Prompt
from flexeval.tasks import TASKS, get_task, task_spec
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


# ----- the prompts of papers -----

PROBLEM = Problem(id="p", question="How many?", target="1")
D1_FORMAT = "Respond in the following format:\n<reasoning>\nYour reasoning here\n</reasoning>\n<answer>\n\\boxed{...}\n"


def digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


@pytest.mark.parametrize(
    ("task", "of_the_source"),
    [
        ("gsm8k", "0dd9ac0f02415db54e8839fb560405e88c46fac148b0a66d22e9d50759f52894"),
        ("math500", "e2f951f2a261f7b21cbe52fc1021bed377d342fe98e805b924c5ca8f85a6cffd"),
    ],
)
def test_d1_is_its_released_text_to_the_letter(task: str, of_the_source: str) -> None:
    """The checksum is of the text in d1's own files, with an empty line and `{question}` after it."""
    template = get_task(f"{task}:template=d1").prompt_template  # type: ignore[attr-defined]
    assert digest(template.user) == of_the_source
    prompt = get_task(f"{task}:template=d1").prompt(PROBLEM)
    assert D1_FORMAT in prompt.user and prompt.user.endswith("\n\nHow many?")
    assert (prompt.system, prompt.prefill) == ("", "<reasoning>")


def test_the_prompts_of_d1_differ_in_their_slips_only() -> None:
    gsm8k, math = (get_task(f"{name}:template=d1").prompt(PROBLEM).user for name in ("gsm8k", "math500"))
    assert gsm8k.replace("}. \n", "}.\n", 1) == math.replace('</answer>" \n', "</answer>", 1)


def test_justgrpo_asks_the_bare_question_on_gsm8k_and_names_the_box_on_math() -> None:
    assert get_task("gsm8k:template=justgrpo").prompt(PROBLEM) == Prompt(user="How many?")
    assert get_task("math500:template=justgrpo").prompt(PROBLEM) == Prompt(
        user=r"How many?(Please put the final answer in \boxed{} tag, i.e. $\boxed{answer here}$)"
    )


@pytest.mark.parametrize(
    ("task", "of_the_source"),
    [
        ("humaneval", "0d0f1fa4edbb44666301890578464d9723f625c8456b141f023b65d31920e289"),
        ("mbpp", "ea6ec7e679a3a8b98b9a00d518ad8a1a5682317bffbdbc1943a2c70ea197cf08"),
    ],
)
def test_justgrpo_on_programs_is_its_released_text_to_the_letter(
    shared_dir: Path, task: str, of_the_source: str
) -> None:
    """The checksum is of the prompts that the released evaluation makes of all problems, with NUL between them."""
    found = get_task(f"{task}:template=justgrpo", data_dir=shared_dir / "data")
    prompts = [found.prompt(problem) for problem in found.problems()]
    assert digest(*(prompt.user for prompt in prompts)) == of_the_source
    assert {(prompt.system, prompt.prefill) for prompt in prompts} == {("", "")}


@pytest.mark.parametrize("task", ["gsm8k", "math500"])
def test_real_answers_to_the_d1_prompt_are_read(shared_dir: Path, task: str) -> None:
    """LLaDA-8B-Instruct's answers, from d1's release: nearly all in the box that the prompt asks for."""
    (path,) = (shared_dir / "data" / "llada_8b_instruct_outputs").glob(f"{task}_*.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [before_end_token(json.loads(line)["generation"]) for line in lines]
    grader = get_task(task)
    rules = Counter(grader.grade(PROBLEM, text).rule for text in texts[:200])
    assert rules["boxed"] + rules["answer-tag"] + rules["open-boxed"] >= 190


@pytest.mark.parametrize(
    ("text", "extracted", "rule"),
    [
        ("\nShe sells 9 eggs.\n</reasoning>\n\n<answer>\n\\boxed{18}", "18", "boxed"),
        ("\nTogether 260.\n\n\\boxed{260}\n</answer>", "260", "boxed"),
        ("\nSo it is 6.\n</reasoning>\n<answer>\n\\boxed{6}\n</answer>", "6", "boxed"),
        ("\nSo.\n</reasoning>\n<answer>\n42\n</answer>", "42", "answer-tag"),
        ("The answer is $\\boxed{7}$.", "7", "boxed"),
    ],
)
def test_the_forms_that_the_prompts_ask_for_are_read(text: str, extracted: str, rule: str) -> None:
    for task in ("gsm8k", "math500"):
        grade = get_task(task).grade(Problem(id="p", question="?", target=extracted), text)
        assert (grade.correct, grade.extracted, grade.rule) == (True, extracted, rule)


def test_every_template_of_every_task_fills() -> None:
    """The names are those that the tasks list, and each is a run of its own."""
    metadata = {
        "entry_point": "f",
        "signature": "def f(a, b):",
        "test_list": ["assert f(1, 2) == 3"],
        "prompt": "\n\nq\n",
    }
    problem = Problem(id="p", question="q", target="1", metadata=metadata)
    listed = {name: list(TASKS.get(name).templates) for name in TASKS if hasattr(TASKS.get(name), "templates")}
    assert listed["gsm8k"] == listed["math500"] == ["default", "bare", "d1", "justgrpo"]
    assert listed["humaneval"] == listed["mbpp"] == ["default", "bare", "justgrpo"]
    for name, templates in listed.items():
        specs = {task_spec(get_task(f"{name}:template={template}")) for template in templates}
        assert len(specs) == len(templates)
        for template in templates:
            assert "q" in get_task(f"{name}:template={template}").prompt(problem).user
