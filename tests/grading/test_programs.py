"""Reference solutions pass, wrong ones do not; needs the reference folder `shared` for the benchmarks' problems."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mutants import off_by_one, returns_none

from flexeval.grading.programs import grade_program, grade_programs, program_check
from flexeval.grading.sandbox import Limits, Sandbox
from flexeval.records import Problem
from flexeval.tasks.humaneval import HumanEval
from flexeval.tasks.mbpp import MBPP

pytestmark = pytest.mark.linux

HUMANEVAL_SAMPLE = {f"humaneval/{n}" for n in (0, 32, 33, 38, 50, 53, 95, 137)}
"""Among them those whose tests use helpers of the prompt, name their function, or draw random arguments."""
MBPP_SAMPLE = {f"mbpp/{n}" for n in (11, 18, 40, 88, 122, 126, 367, 490)}
"""Among them a function named as a builtin, answers that are Counters and sets, and classes that tests construct."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(limits=Limits(cpu_s=12, wall_s=120), allow_unsafe=True) as sandbox:
        yield sandbox


def problems_of(benchmark: str, shared_dir: Path) -> list[Problem]:
    task = HumanEval if benchmark == "humaneval" else MBPP
    return list(task(data_dir=shared_dir / "data").problems())


def whole(problem: Problem) -> str:
    """The reference solution as a program."""
    return problem.metadata.get("prompt", "") + problem.target


@pytest.mark.parametrize("benchmark", ["humaneval", "mbpp"])
def test_a_sample_of_solutions_passes_and_their_mutants_fail(
    shared_dir: Path, sandbox: Sandbox, benchmark: str
) -> None:
    problems = [p for p in problems_of(benchmark, shared_dir) if p.id in HUMANEVAL_SAMPLE | MBPP_SAMPLE]
    assert len(problems) == 8
    grades = grade_programs([(p, p.target) for p in problems], sandbox=sandbox)
    assert [grade.error for grade in grades if not grade.correct] == []
    for mutate in (returns_none, off_by_one):
        mutants = [(p, mutate(whole(p), p.metadata["entry_point"])) for p in problems]
        assert not any(grade.correct for grade in grade_programs(mutants, sandbox=sandbox))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("benchmark", "count"), [("humaneval", 164), ("mbpp", 500)])
def test_every_solution_passes_and_every_mutant_fails(
    shared_dir: Path, sandbox: Sandbox, benchmark: str, count: int
) -> None:
    problems = problems_of(benchmark, shared_dir)
    assert len(problems) == count

    def passed(programs: list[str]) -> set[str]:
        checks = [program_check(p, text) for p, text in zip(problems, programs, strict=True)]
        verdicts = sandbox.check_all(checks)
        return {p.id for p, verdict in zip(problems, verdicts, strict=True) if verdict.passed}

    assert passed([whole(p) for p in problems]) == {p.id for p in problems}
    for mutate in (returns_none, off_by_one):
        assert passed([mutate(whole(p), p.metadata["entry_point"]) for p in problems]) == set()


ADD = Problem(
    id="add",
    question="",
    target="",
    metadata={"entry_point": "add", "test_setup_code": "", "test_list": ["assert add(1, 2) == 3"]},
)


@pytest.mark.parametrize(
    ("completion", "correct", "error"),
    [
        ("```python\ndef add(a, b):\n    return a + b\n```", True, None),
        ("```python\ndef add(a, b):\n    return a - b\n```", False, None),
        ("```python\ndef add(a, b):\n    return a + c\n```", False, "crashed: the program raised NameError"),
        ("```python\ndef plus(a, b):\n    return a + b\n```", False, "crashed: the program defines no 'add'"),
        ("I would rather not.", False, "no program found"),
    ],
)
def test_a_grade_says_what_was_read_and_why_it_could_not_be_graded(
    sandbox: Sandbox, completion: str, correct: bool, error: str | None
) -> None:
    grade = grade_program(ADD, completion, sandbox=sandbox)
    assert grade.correct is correct
    assert (grade.error or "").startswith(error or "")
    assert (grade.error is None) == (error is None)
    assert (grade.extracted is None) == (grade.rule == "none")
    assert grade.extracted is None or "return" in grade.extracted


def test_the_helpers_of_a_prompt_are_upstreams_not_the_completions(shared_dir: Path, sandbox: Sandbox) -> None:
    """HumanEval/38 encodes with a helper of the prompt: a completion that redefines it gains nothing."""
    (problem,) = (p for p in problems_of("humaneval", shared_dir) if p.id == "humaneval/38")
    cheat = "def encode_cyclic(s):\n    return s\n\ndef decode_cyclic(s):\n    return s\n"
    assert not grade_program(problem, f"```python\n{cheat}```", sandbox=sandbox).correct


def test_what_the_completion_prints_or_asserts_is_not_its_verdict(sandbox: Sandbox) -> None:
    boast = "def add(a, b):\n    return 0\nprint('passed')\nassert True\n"
    assert not grade_program(ADD, boast, sandbox=sandbox).correct
