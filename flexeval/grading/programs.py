"""Grade generated programs: HumanEval and MBPP.

A completion becomes a program (`program_text`), a program and a problem become a check as upstream assembles
it, and the sandbox makes the check.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from flexeval.grading.program_text import extract_program
from flexeval.grading.sandbox import ProgramCheck, Sandbox, Verdict, shared_sandbox
from flexeval.records import Grade, Problem

Benchmark = Literal["humaneval", "mbpp"]


def grade_program(problem: Problem, completion: str, *, benchmark: Benchmark, sandbox: Sandbox | None = None) -> Grade:
    """The verdict on one completion.

    Args:
        problem: its metadata hold `prompt`, `test`, `entry_point` (HumanEval) or `test_list`, `test_setup_code`,
            `entry_point` (MBPP).
        completion: what the model wrote, without the prompt.
        benchmark: how program and tests are joined.
        sandbox: where the program runs; None stands for the one that the process shares.

    Returns:
        `extracted` is the program that was run. `error` says why a program did not get as far as a wrong answer: it
        was not found, raised, ran out of time or died.

    Raises:
        InputError: there is no isolation on this machine.
        RuntimeError: the check could not be made, for a reason that is not in the completion.
    """
    return grade_programs([(problem, completion)], benchmark=benchmark, sandbox=sandbox)[0]


def grade_programs(
    items: Iterable[tuple[Problem, str]], *, benchmark: Benchmark, sandbox: Sandbox | None = None
) -> list[Grade]:
    """The verdicts on many completions, in their order; see `grade_program`.

    As many are checked at a time as the sandbox has workers. The verdicts do not depend on it.
    """
    items = list(items)
    extractions = [
        extract_program(
            completion,
            entry_point=problem.metadata["entry_point"],
            prompt=problem.metadata["prompt"] if benchmark == "humaneval" else "",
        )
        for problem, completion in items
    ]
    found = [n for n, extraction in enumerate(extractions) if extraction.program is not None]
    checks = [program_check(items[n][0], extractions[n].program or "", benchmark=benchmark) for n in found]
    sandbox = sandbox if sandbox is not None else shared_sandbox()
    verdicts = dict(zip(found, sandbox.check_all(checks), strict=True))

    grades = []
    for n, extraction in enumerate(extractions):
        error = _error(verdicts[n]) if n in verdicts else "no program found"
        correct = n in verdicts and verdicts[n].passed
        grades.append(Grade(correct=correct, extracted=extraction.program, rule=extraction.rule, error=error))
    return grades


def program_check(problem: Problem, program: str, *, benchmark: Benchmark) -> ProgramCheck:
    """A program with the tests of its problem, joined as upstream does.

    HumanEval's tests define `check(candidate)` and may use what the prompt defines; MBPP's are assertions after
    some setup.
    """
    facts = problem.metadata
    entry_point = facts["entry_point"]
    if benchmark == "humaneval":
        tests = f"{facts['test']}\ncheck({entry_point})\n"
        return ProgramCheck(program=program, tests=tests, entry_point=entry_point, preamble=facts["prompt"])
    tests = "\n".join([facts["test_setup_code"], *facts["test_list"]])
    return ProgramCheck(program=program, tests=tests, entry_point=entry_point)


def _error(verdict: Verdict) -> str | None:
    """Why there was no answer to compare; None when there was one, right or wrong."""
    return f"{verdict.outcome}: {verdict.reason}" if verdict.outcome in ("crashed", "timed out") else None
