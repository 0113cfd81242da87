"""Run the tests of a problem on a candidate. One process per check.

The tests are upstream's, trusted and unchanged. They find the candidate's function under its name, as a
stand-in that makes each call travel. Any other name that they use and nobody else defines (a class of the
solution, say) is looked up in the candidate as well. Names are resolved in this order: the tests
themselves, the problem's preamble, Python's builtins, the candidate. Only the entry point is always the candidate's.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import random
import resource
import signal
from collections.abc import Iterable
from types import TracebackType

from .launch import Candidate, Confinement
from .records import MIB, Limits, Outcome, ProgramCheck
from .remote import CandidateLost, Remote

_TESTS = "<tests>"
_LONGEST_REASON = 300


class BrokenTests(RuntimeError):
    """The tests or the preamble of a problem do not run: a fault of the data, not of the program."""


def judge(check: ProgramCheck, confinement: Confinement) -> tuple[Outcome, str | None]:
    """The outcome of one check, and why it did not pass.

    Raises:
        BrokenTests: nothing can pass these tests.
        StartError: the candidate could not be started.
    """
    candidate = Candidate(confinement)
    _bind_itself(confinement.limits)
    remote = Remote(candidate.channel)
    outcome: Outcome = "crashed"
    reason: str | None = None
    with contextlib.suppress(CandidateLost):
        outcome, reason = _run(check, remote)
    # Even if the tests passed: they may have caught the loss.
    if remote.hung_up:
        out_of_time, reason = candidate.wait()
        return "timed out" if out_of_time else "crashed", reason
    candidate.kill()
    if remote.lost is not None:
        return "unsupported result" if remote.unsupported else "crashed", _shorten(remote.lost)
    return outcome, reason and _shorten(reason)


def _bind_itself(limits: Limits) -> None:
    """Limit this process: answers can be built to fill the memory of whoever reads them, or to keep it busy.

    Out of processor time, it dies of SIGXCPU, which tells the worker so.
    """
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    bounds = {
        resource.RLIMIT_AS: limits.memory_mib * MIB,
        resource.RLIMIT_CPU: limits.cpu_s,
        resource.RLIMIT_CORE: 0,
    }
    for which, bound in bounds.items():
        hard = resource.getrlimit(which)[1]
        resource.setrlimit(which, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))


def _run(check: ProgramCheck, remote: Remote) -> tuple[Outcome, str | None]:
    """Load the program and run the tests. Raises CandidateLost."""
    namespace: dict[str, object] = {"__name__": "tests"}
    try:
        exec(compile(check.preamble, "<preamble>", "exec", dont_inherit=True), namespace)
        tests = compile(check.tests, _TESTS, "exec", dont_inherit=True)
        names = _undefined(check.tests, namespace)
    except Exception as error:
        raise BrokenTests(f"{type(error).__name__}: {error}") from None

    try:
        remote.request("load", check.program)
    except Exception:
        return "crashed", f"the program raised {remote.raised_text} while it was loaded"
    for name in (*names, check.entry_point):
        try:
            namespace[name] = remote.request("look_up", name)
        except Exception:
            if name == check.entry_point:
                return "crashed", f"the program defines no {name!r}"

    # Some tests draw random arguments.
    random.seed(0)
    try:
        exec(tests, namespace)
    except Exception as error:
        line = _line(check.tests, error.__traceback__)
        if error is remote.raised:
            return "crashed", f"the program raised {remote.raised_text} at: {line}"
        if isinstance(error, AssertionError):
            return "failed", f"assertion failed: {line}"
        return "failed", f"the tests raised {type(error).__name__}: {error} at: {line}"
    return "passed", None


def _undefined(tests: str, namespace: dict[str, object]) -> Iterable[str]:
    """Names that the tests read and that neither they, nor the preamble, nor Python defines."""
    read: set[str] = set()
    defined: set[str] = set()
    for node in ast.walk(ast.parse(tests)):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else defined).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
        elif isinstance(node, ast.alias):
            defined.add((node.asname or node.name).split(".")[0])
    return sorted(name for name in read - defined if name not in namespace and not hasattr(builtins, name))


def _line(tests: str, traceback: TracebackType | None) -> str:
    """The line of the tests that an exception came through last."""
    number = 0
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == _TESTS:
            number = traceback.tb_lineno
        traceback = traceback.tb_next
    return tests.splitlines()[number - 1].strip() if number else "the start"


def _shorten(reason: str) -> str:
    return reason if len(reason) <= _LONGEST_REASON else reason[: _LONGEST_REASON - 3] + "..."
