"""Reference solutions pass, wrong ones do not; needs the reference folder `shared` for the benchmarks' problems."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from program_problems import full_program, humaneval, mbpp, solution

from flexeval.grading.mutants import off_by_one, returns_none
from flexeval.grading.programs import Benchmark, grade_program, grade_programs, program_check
from flexeval.grading.sandbox import Limits, Sandbox
from flexeval.records import Problem

HUMANEVAL_SAMPLE = {f"HumanEval/{n}" for n in (0, 32, 33, 38, 50, 53, 95, 137)}
"""Among them those whose tests use helpers of the prompt, name their function, or draw random arguments."""
MBPP_SAMPLE = {"11", "18", "40", "88", "122", "126", "367", "490"}
"""Among them a function named as a builtin, answers that are Counters and sets, and classes that tests construct."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(limits=Limits(cpu_s=12, wall_s=120), allow_unsafe=True) as sandbox:
        yield sandbox


def sample(shared_dir: Path, benchmark: Benchmark) -> list[Problem]:
    if benchmark == "humaneval":
        return [problem for problem in humaneval(shared_dir) if problem.id in HUMANEVAL_SAMPLE]
    return [problem for problem in mbpp(shared_dir) if problem.id in MBPP_SAMPLE]


@pytest.mark.parametrize("benchmark", ["humaneval", "mbpp"])
def test_a_sample_of_solutions_passes_and_their_mutants_fail(
    shared_dir: Path, sandbox: Sandbox, benchmark: Benchmark
) -> None:
    problems = sample(shared_dir, benchmark)
    assert len(problems) == 8
    grades = grade_programs([(p, solution(p)) for p in problems], benchmark=benchmark, sandbox=sandbox)
    assert [grade.error for grade in grades if not grade.correct] == []
    for mutate in (returns_none, off_by_one):
        mutants = [(p, mutate(full_program(p), p.metadata["entry_point"])) for p in problems]
        assert not any(grade.correct for grade in grade_programs(mutants, benchmark=benchmark, sandbox=sandbox))


@pytest.mark.slow
def test_every_solution_of_humaneval_passes_and_every_mutant_fails(shared_dir: Path, sandbox: Sandbox) -> None:
    problems = humaneval(shared_dir)
    assert len(problems) == 164
    assert verdicts(problems, [full_program(p) for p in problems], "humaneval", sandbox) == {}
    for mutate in (returns_none, off_by_one):
        programs = [mutate(full_program(p), p.metadata["entry_point"]) for p in problems]
        assert passed(problems, programs, "humaneval", sandbox) == []


@pytest.mark.slow
def test_every_solution_of_mbpp_passes_and_every_mutant_fails(shared_dir: Path, sandbox: Sandbox) -> None:
    problems = mbpp(shared_dir)
    assert len(problems) == 500
    assert verdicts(problems, [full_program(p) for p in problems], "mbpp", sandbox) == {}
    # Off by one calls the original, which for 123 is slow enough to be timed out.
    for mutate in (returns_none, off_by_one):
        programs = [mutate(full_program(p), p.metadata["entry_point"]) for p in problems]
        assert passed(problems, programs, "mbpp", sandbox) == []


def verdicts(problems: list[Problem], programs: list[str], benchmark: Benchmark, sandbox: Sandbox) -> dict[str, str]:
    """Id and reason of every program that does not pass."""
    checks = [program_check(p, program, benchmark=benchmark) for p, program in zip(problems, programs, strict=True)]
    results = zip(problems, sandbox.check_all(checks), strict=True)
    return {p.id: str(verdict.reason) for p, verdict in results if not verdict.passed}


def passed(problems: list[Problem], programs: list[str], benchmark: Benchmark, sandbox: Sandbox) -> list[str]:
    """Ids of the programs that pass."""
    rejected = verdicts(problems, programs, benchmark, sandbox)
    return [p.id for p in problems if p.id not in rejected]


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
    grade = grade_program(ADD, completion, benchmark="mbpp", sandbox=sandbox)
    assert grade.correct is correct
    assert (grade.error or "").startswith(error or "")
    assert (grade.error is None) == (error is None)
    assert (grade.extracted is None) == (grade.rule == "none")
    assert grade.extracted is None or "return" in grade.extracted


def test_the_helpers_of_a_prompt_are_upstreams_not_the_completions(shared_dir: Path, sandbox: Sandbox) -> None:
    """HumanEval/38 encodes with a helper of the prompt: a completion that redefines it gains nothing."""
    (problem,) = (p for p in humaneval(shared_dir) if p.id == "HumanEval/38")
    cheat = "def encode_cyclic(s):\n    return s\n\ndef decode_cyclic(s):\n    return s\n"
    assert not grade_program(problem, f"```python\n{cheat}```", benchmark="humaneval", sandbox=sandbox).correct


def test_what_the_completion_prints_or_asserts_is_not_its_verdict(sandbox: Sandbox) -> None:
    boast = "def add(a, b):\n    return 0\nprint('passed')\nassert True\n"
    assert not grade_program(ADD, boast, benchmark="mbpp", sandbox=sandbox).correct
