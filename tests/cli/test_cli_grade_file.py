"""`flexeval grade FILE.jsonl`: completions of another program, graded with the task's problems or their own targets."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flexeval.cli.main import main
from flexeval.stats.pass_at_k import pass_at_k

pytestmark = pytest.mark.usefixtures("in_tmp")
Refused = Callable[..., str]
Grade = Callable[..., str]

PENS = "Tom has 3 pens. He buys 4 more. How many pens does Tom have now?"
EGGS = "A hen lays 2 eggs a day. How many in a week?"
GSM8K = [
    {"question": PENS, "answer": "3 + 4 = 7. #### 7"},
    {"question": EGGS, "answer": "2 * 7 = 14. #### 14"},
]
ADD = 'def add(a, b):\n    """The sum of a and b."""\n'
HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": ADD,
    "canonical_solution": "    return a + b\n",
    "test": "def check(candidate):\n    assert candidate(2, 3) == 5\n    assert candidate(-1, 1) == 0\n",
    "entry_point": "add",
}


def write(name: str, *rows: Any) -> str:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    data = "".join(f"{line}\n" for line in lines).encode()
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return name


@pytest.fixture(autouse=True)
def data(in_tmp: Path) -> None:
    write("data/gsm8k_test.jsonl", *GSM8K)
    write("data/HumanEval.jsonl", HUMANEVAL)


@pytest.fixture
def grade(capsys: pytest.CaptureFixture[str]) -> Grade:
    """What `flexeval grade` prints about a file of GSM8K answers."""

    def run(path: str, *argv: str, task: str = "gsm8k") -> str:
        assert main(["grade", path, "--task", task, "--data-dir", "data", *argv]) == 0
        return capsys.readouterr().out

    return run


def graded_lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


@pytest.mark.parametrize("name", ["answers.jsonl", "answers.jsonl.gz"])
def test_verdicts_of_a_file(grade: Grade, name: str) -> None:
    write(
        name,
        # The task's target, not the line's, and blanks that differ.
        {"question": f"  {PENS.replace(' ', '  ')}\n", "completion": "\\boxed{7}", "target": "8"},
        {"question": EGGS, "generation": "It is <answer>15</answer>"},
        "",
        # An answer after the end of the text was never given.
        {"problem_id": "GSM8K/test/1", "completion": "I do not know.<|eot_id|>14"},
        {"question": "And 6 times 7?", "completion": "<answer>42 or 43</answer>", "target": 42},
        {"question": "And 6 times 7?", "completion": "so 42", "target": "42"},
    )
    printed = grade(name, "--out", "graded.jsonl")
    assert "accuracy 40.00 %: 2 of 5 completions of 3 questions correct" in printed
    assert "extraction rules: answer-tag 2, boxed 1, none 1, last-number 1" in printed
    assert "errors: 1\n    1 x the answer does not state one number" in printed
    lines = graded_lines("graded.jsonl")
    assert [list(line) for line in lines] == [["question", "target", "extracted", "rule", "correct", "error"]] * 5
    assert [line["correct"] for line in lines] == [True, False, False, False, True]
    assert [line["target"] for line in lines] == ["7", "14", "14", "42", "42"]
    assert [line["question"] for line in lines] == [PENS, EGGS, EGGS, "And 6 times 7?", "And 6 times 7?"]


def test_several_completions_a_question_give_pass_at_k(grade: Grade) -> None:
    right, wrong = ({"question": PENS, "completion": text} for text in ("\\boxed{7}", "\\boxed{8}"))
    hen = {"question": EGGS, "completion": "\\boxed{14}"}
    write("answers.jsonl", right, hen, wrong, wrong, hen, wrong, hen)
    printed = grade("answers.jsonl")
    assert "over questions, n = 3 to 4" in printed
    for k in (1, 2, 3):
        percent = 100 * (pass_at_k(4, 1, k) + pass_at_k(3, 3, k)) / 2
        assert f"pass@{k}: {percent:.1f} [" in printed
    assert "pass@4" not in printed
    write("one.jsonl", right, hen)
    assert "pass@" not in grade("one.jsonl")


@pytest.mark.linux
def test_programs_run_in_the_sandbox_with_the_tests_of_their_problem(
    grade: Grade, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        "programs.jsonl",
        {"problem_id": "HumanEval/0", "completion": f"```python\n{ADD}    return a + b\n```"},
        {"question": ADD, "completion": f"```python\n{ADD}    return a - b\n```"},
    )
    assert main(["grade", "programs.jsonl", "--task", "humaneval", "--data-dir", "data", "--out", "graded.jsonl"]) == 0
    captured = capsys.readouterr()
    assert "1 of 2 completions of 1 questions correct" in captured.out
    assert captured.err.startswith("generated programs run as Python")
    assert [line["correct"] for line in graded_lines("graded.jsonl")] == [True, False]


@pytest.mark.parametrize(
    ("line", "task", "parts"),
    [
        ('{"question": "Half a', "gsm8k", ["answers.jsonl line 2 is not JSON"]),
        ("[1, 2]", "gsm8k", ["answers.jsonl line 2 is not a JSON object"]),
        ({"question": PENS}, "gsm8k", ["line 2 has no field 'completion' (or 'generation')"]),
        ({"question": PENS, "completion": ["7"]}, "gsm8k", ["line 2: field 'completion' should be a text, not a list"]),
        ({"completion": "7"}, "gsm8k", ["line 2 has no field 'question' (or 'problem_id')"]),
        ({"question": "?", "completion": "7"}, "gsm8k", ["line 2: the question is none of task 'gsm8k'", "'target'"]),
        ({"question": "?", "completion": "7", "target": True}, "gsm8k", ["line 2", "'target' with a text or number"]),
        ({"problem_id": "gsm8k/test/7", "completion": "7"}, "gsm8k", ["line 2: 'gsm8k/test/7'", "Did you mean"]),
        ({"question": "?", "completion": "x", "target": "x"}, "humaneval", ["line 2: the question is none of task"]),
    ],
    ids=str,
)
def test_a_line_that_cannot_be_graded(refused: Refused, line: object, task: str, parts: list[str]) -> None:
    first = {"question": PENS if task == "gsm8k" else ADD, "completion": "7"}
    write("answers.jsonl", first, line)
    message = refused("grade", "answers.jsonl", "--task", task, "--data-dir", "data", "--out", "graded.jsonl")
    for part in parts:
        assert part in message
    assert not Path("graded.jsonl").exists()


def test_questions_that_cannot_be_told_apart(refused: Refused) -> None:
    write("data/gsm8k_test.jsonl", GSM8K[0], GSM8K[0] | {"answer": "#### 8"})
    write("answers.jsonl", {"question": PENS, "completion": "7"})
    argv = ("grade", "answers.jsonl", "--task", "gsm8k", "--data-dir", "data")
    assert "problems 'gsm8k/test/0' and 'gsm8k/test/1' ask this question" in refused(*argv)
    write("answers.jsonl", {"question": PENS, "completion": "7", "problem_id": "gsm8k/test/1"})
    assert main([*argv]) == 0


def test_one_question_with_two_targets(refused: Refused) -> None:
    rows = ({"question": "?", "completion": "7", "target": target} for target in ("7", "8"))
    message = refused("grade", write("answers.jsonl", *rows), "--task", "gsm8k", "--data-dir", "data")
    assert "line 2: the target is '8', but '7' on an earlier line" in message


def test_the_rules_of_published_numbers_next_to_ours(grade: Grade) -> None:
    write(
        "answers.jsonl",
        {"question": PENS, "completion": r"\boxed{\frac{14}{2}}"},
        {"question": EGGS, "completion": r"\boxed{14}, not \boxed{13}"},
        {"question": EGGS, "completion": r"\boxed{14}"},
    )
    printed = grade("answers.jsonl", "--grader", "paper", "--out", "graded.jsonl")
    assert "accuracy 66.67 %: 2 of 3" in printed
    assert "by the rules of published numbers 66.67 %: 2 of 3 correct; 1 by ours alone, 1 by theirs alone" in printed
    rows = [json.loads(line) for line in Path("graded.jsonl").read_text().splitlines()]
    assert [row["correct"] for row in rows] == [True, False, True]
    assert [(row["paper_correct"], row["paper_extracted"]) for row in rows] == [
        (False, "14"),
        (True, "14"),
        (True, "14"),
    ]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["answers.jsonl", "--task", "gsm8k", "--grader", "papr"], "unknown grader: 'papr'. Did you mean 'paper'?"),
        (["answers.jsonl"], "say which task it answers"),
        (["missing.jsonl", "--task", "gsm8k"], "cannot read 'missing.jsonl'"),
        (["empty.jsonl", "--task", "gsm8k"], "'empty.jsonl' is empty"),
        (["answers.jsonl", "answers.jsonl", "--task", "gsm8k", "--out", "a"], "--out takes the grades of one file"),
        (["data", "--out", "a"], "--out takes the grades of one file"),
        (["answers.jsonl", "--task", "gsm8k", "--out", "missing/a"], "there is no folder 'missing'"),
        (["answers.jsonl", "--task", "gsm9k"], "unknown task: 'gsm9k'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_arguments(refused: Refused, argv: list[str], message: str) -> None:
    write("answers.jsonl", {"question": PENS, "completion": "7"})
    write("empty.jsonl")
    assert message in refused("grade", *argv, "--data-dir", "data")


def test_an_old_file_survives_a_failed_write(grade: Grade, monkeypatch: pytest.MonkeyPatch) -> None:
    write("answers.jsonl", {"question": PENS, "completion": "7"})
    Path("graded.jsonl").write_text("old")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk"):
        patch.setattr("flexeval.runs.files.os.write", lambda *_: (_ for _ in ()).throw(OSError(5, "disk")))
        grade("answers.jsonl", "--out", "graded.jsonl")
    assert [path.name for path in Path().iterdir() if "graded" in path.name] == ["graded.jsonl"]
    assert Path("graded.jsonl").read_text() == "old"


def test_half_a_surrogate_pair_is_no_reason_to_stop(grade: Grade) -> None:
    write("answers.jsonl", '{"question": "' + PENS + '", "completion": "\\ud83d <answer>\\ud83d</answer>"}')
    grade("answers.jsonl", "--out", "graded.jsonl")
    assert graded_lines("graded.jsonl")[0]["correct"] is False
