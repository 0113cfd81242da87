"""Grade generated programs: a completion becomes a program, the sandbox runs it against its problem's tests.

`problem.metadata` holds `entry_point`, the function to write, and the tests in one of two forms, as upstream has them:

- `test`, source that defines `check(candidate)` (HumanEval);
- `test_list`, assertions, and `test_setup_code` to run before them (MBPP).

`prompt` is there if the completion continues source code that the tests may use (HumanEval).
"""

from __future__ import annotations

from collections.abc import Iterable

from flexeval.grading.program_text import extract_program
from flexeval.grading.sandbox import ProgramCheck, Sandbox, Verdict, shared_sandbox
from flexeval.records import Grade, Problem


def grade_program(problem: Problem, completion: str, *, sandbox: Sandbox | None = None) -> Grade:
    """The verdict on one completion.

    Args:
        problem: with the metadata that the module describes.
        completion: what the model wrote, without the prompt.
        sandbox: where the program runs; None takes the one that the process shares.

    Returns:
        `extracted` is the program that ran. `error` says why a program gave no answer to compare: none was found, or
        it raised, ran out of time, died, or returned an object that cannot be compared.

    Raises:
        InputError: this machine offers no isolation.
        RuntimeError: the check failed for a reason that is not in the completion.
    """
    return grade_programs([(problem, completion)], sandbox=sandbox)[0]


def grade_programs(items: Iterable[tuple[Problem, str]], *, sandbox: Sandbox | None = None) -> list[Grade]:
    """The verdicts on many completions, in their order; see `grade_program`.

    The sandbox checks as many at a time as it has workers. The verdicts do not depend on their number.
    """
    items = list(items)
    extractions = [
        extract_program(
            completion, entry_point=problem.metadata["entry_point"], prompt=problem.metadata.get("prompt", "")
        )
        for problem, completion in items
    ]
    found = [n for n, extraction in enumerate(extractions) if extraction.program is not None]
    checks = [program_check(items[n][0], extractions[n].program or "") for n in found]
    sandbox = sandbox if sandbox is not None else shared_sandbox()
    verdicts = dict(zip(found, sandbox.check_all(checks), strict=True))

    grades = []
    for n, extraction in enumerate(extractions):
        error = _error(verdicts[n]) if n in verdicts else "no program found"
        correct = n in verdicts and verdicts[n].passed
        grades.append(Grade(correct=correct, extracted=extraction.program, rule=extraction.rule, error=error))
    return grades


def program_check(problem: Problem, program: str) -> ProgramCheck:
    """A program with the tests of its problem, joined as upstream joins them."""
    facts = problem.metadata
    entry_point = facts["entry_point"]
    if "test" in facts:
        tests = f"{facts['test']}\ncheck({entry_point})\n"
    else:
        tests = "\n".join([facts["test_setup_code"], *facts["test_list"]])
    return ProgramCheck(program=program, tests=tests, entry_point=entry_point, preamble=facts.get("prompt", ""))


def _error(verdict: Verdict) -> str | None:
    """Why there was no answer to compare; None when there was one, right or wrong."""
    return None if verdict.outcome in ("passed", "failed") else f"{verdict.outcome}: {verdict.reason}"
