"""HumanEval and MBPP as tasks; their graders are tested with the sandbox."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from flexeval.errors import InputError
from flexeval.tasks import Task, get_task, task_spec
from flexeval.tasks.humaneval import HumanEval
from flexeval.tasks.mbpp import MBPP


def test_humaneval_problems_and_prompts(shared_dir: Path) -> None:
    task = get_task("humaneval", data_dir=shared_dir / "data")
    assert isinstance(task, Task)
    problems = task.problems()
    assert (len(problems), problems[0].id) == (164, "humaneval/0")
    for problem in problems:
        prompt = task.prompt(problem)
        assert f"def {problem.metadata['entry_point']}(" in prompt.user
        assert problem.metadata["prompt"].strip() in prompt.user
        # The upstream tests are for grading only.
        assert "check(candidate)" not in prompt.user + prompt.system
        assert {"prompt", "test", "entry_point", "canonical_solution"} <= set(problem.metadata)


def test_mbpp_is_the_published_test_split(shared_dir: Path) -> None:
    task = get_task("mbpp", data_dir=shared_dir / "data")
    assert isinstance(task, Task)
    problems = task.problems()
    assert [problem.id for problem in problems] == [f"mbpp/{i}" for i in range(11, 511)]
    for problem in problems:
        prompt = task.prompt(problem).user
        assert all(test in prompt for test in problem.metadata["test_list"])
        signature = ast.parse(f"{problem.metadata['signature']} pass").body[0]
        assert isinstance(signature, ast.FunctionDef)
        assert signature.name == problem.metadata["entry_point"]
        assert f"{signature.name}(" in problem.metadata["test_list"][0].replace(" (", "(")
        assert problem.metadata["code"] not in prompt
    by_id = {problem.id: problem for problem in problems}
    # A function that shadows a builtin, which the tests call.
    assert by_id["mbpp/126"].metadata["entry_point"] == "sum"


def test_mbpp_has_the_published_training_split(shared_dir: Path) -> None:
    task = get_task("mbpp:split=train", data_dir=shared_dir / "data")
    problems = task.problems()
    assert [problem.id for problem in problems] == [f"mbpp/{i}" for i in range(601, 975)]
    assert not {problem.id for problem in get_task("mbpp", data_dir=shared_dir / "data").problems()} & {
        problem.id for problem in problems
    }
    assert task_spec(task) == "mbpp:split=train"


def test_bare_prompts_are_the_question(shared_dir: Path) -> None:
    for name in ("humaneval", "mbpp"):
        task = get_task(f"{name}:template=bare", data_dir=shared_dir / "data")
        problem = task.problems()[0]
        prompt = task.prompt(problem)
        assert (prompt.user, prompt.system, prompt.prefill) == (problem.question, "", "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"code": "def f(:"}, "should be Python"),
        ({"test_list": []}, "should be a list of texts"),
        ({"test_list": ["assert f(1) == 1", 2]}, "should be a list of texts"),
        ({"test_list": ["assert f(1) == 1", "assert f(1) = 1"]}, "should be Python"),
        ({"test_list": [f"assert f({'-' * 20_000}1) == 1"]}, "should be Python"),
        ({"test_setup_code": "import numpy as np"}, "should import nothing but Python's standard library.*'numpy'"),
        ({"test_list": ["assert g(1) == 1"]}, "calls no function that 'code' defines"),
    ],
)
def test_a_row_that_names_no_function_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    row = {"task_id": 11, "text": "t", "code": "def f(x): return x", "test_list": ["assert f(1) == 1"]}
    (tmp_path / "mbpp.jsonl").write_text(json.dumps({**row, "test_setup_code": "", **change}) + "\n")
    with pytest.raises(InputError, match=rf"mbpp\.jsonl line 1.*{message}"):
        MBPP(data_dir=tmp_path).problems()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": "def f(x):\n"}, "'prompt' should be Python"),
        ({"entry_point": "g"}, "'prompt' defines no function 'g'"),
        ({"test": "assert candidate(1) == 1"}, "'test' defines no function 'check'"),
        ({"test": "def check(c: assert"}, "'test' should be Python"),
        ({"test": "from numpy.linalg import norm\ndef check(c): pass"}, "standard library.*'numpy.linalg'"),
    ],
)
def test_tests_that_no_program_could_pass_are_refused(tmp_path: Path, change: dict[str, str], message: str) -> None:
    row = {"task_id": "HumanEval/0", "prompt": 'def f(x):\n    """x"""\n', "canonical_solution": "    return x\n",
           "test": "def check(candidate):\n    assert candidate(1) == 1\n", "entry_point": "f"}  # fmt: skip
    (tmp_path / "HumanEval.jsonl").write_text(json.dumps({**row, **change}) + "\n")
    with pytest.raises(InputError, match=rf"HumanEval\.jsonl line 1.*{message}"):
        HumanEval(data_dir=tmp_path).problems()


@pytest.mark.linux
@pytest.mark.parametrize("task_class", [HumanEval, MBPP])
def test_completions_are_graded_in_the_sandbox(shared_dir: Path, task_class: type[HumanEval] | type[MBPP]) -> None:
    task = task_class(data_dir=shared_dir / "data")
    problem = task.problems()[2]
    whole = problem.metadata.get("prompt", "") + problem.target
    assert task.grade(problem, f"Here it is:\n```python\n{whole}\n```").correct
    nothing = f"def {problem.metadata['entry_point']}(*arguments):\n    return None\n"
    assert not task.grade(problem, f"```python\n{nothing}```").correct


def test_the_sanitized_subset_of_mbpp_is_the_same_problems_in_other_fields(tmp_path: Path) -> None:
    tests = ["assert root(9) == 3.0", "assert math.isclose(root(2), 1.414, abs_tol=1e-3)"]
    row = {"source_file": "x.ipynb", "task_id": 12, "prompt": "Write a function for the square root.",
           "code": "def root(x): return x**0.5", "test_imports": ["import math"], "test_list": tests}  # fmt: skip
    (tmp_path / "sanitized-mbpp.json").write_text(json.dumps([row, {**row, "task_id": 602}]))
    [problem] = MBPP(data_dir=tmp_path).problems()
    assert (problem.id, problem.question, problem.metadata["test_setup_code"]) == (
        "mbpp/12",
        row["prompt"],
        "import math",
    )
    assert [problem.id for problem in MBPP(split="train", data_dir=tmp_path).problems()] == ["mbpp/602"]
