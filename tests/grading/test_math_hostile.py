"""Answers written to hang, crash or take over the grader: wrong, on time, and nothing else happens."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flexeval.grading.algebra import _unless_it_stumbles
from flexeval.grading.algebra_workers import ComparisonFailed, MathWorkers
from flexeval.grading.equivalence import equivalent
from flexeval.grading.mathematics import grade_expression, grade_number, same_answer

TOO_MUCH_ALGEBRA = {
    "tower of powers": r"10^{10^{10}}",
    "factorial": "99999999!",
}
MORE_ALGEBRA = {
    "expansion": "(x+1)^{3000}",
    "nines": "9^{9^{9^{9}}}",
    "nested factorials": "((9!)!)!",
    "scientific": "1e999999999",
    "power of ten": "10^{999999999}",
    "tiny": "10^{-999999999}",
    "binomial": r"\binom{1000000000}{500000000}",
    "sum": r"\sum_{n=1}^{1000000000} \frac{1}{n^2}",
    "product": r"\prod_{n=1}^{10000000} n",
    "multinomial": "(a+b+c+d+e+f)^{60}",
    "iterated powers": "((((((((x+1)^9)^9)^9)^9)^9)^9)^9)^9",
    "modulus": r"7^{7^{7^7}} \mod 10",
    "integral": r"\int_0^1 x^{x^{x}} dx",
    "sine": r"\sin(10^{10^{9}})",
    "determinant": r"\begin{vmatrix}" + r"\\".join("&".join(f"x+{i * j}" for i in range(9)) for j in range(9))
    + r"\end{vmatrix}",
}  # fmt: skip
TEXTS = {
    "braces": "{" * 500 + "5" + "}" * 500,
    "parentheses": "(" * 900 + "x" + ")" * 900,
    "fractions": r"\frac{" * 150 + "1" + "}{2}" * 150,
    "roots": r"\sqrt{" * 120 + "2" + "}" * 120,
    "digits": "9" * 100_000,
    "long list": ",".join(["x"] * 900),
    "groups of thousands": "1,111" * 380,
    "boxes": r"\boxed{" * 14_000,
    "tags": "<answer>" * 10_000,
    "open texts": r"\text{" * 300,
    "blanks": r"\text{" + " " * 100_000,
    "backslashes": "\\" * 100_001,
    "surrogates": "\ud83d\ud83d",
    "zero bytes": "\x00" * 100,
    "bars": "|" * 1900,
    "bare boxes": r"\boxed 1, " * 10_000,
    "boxes side by side": r"\boxed{1} and " * 10_000,
    "questions": "\nQuestion: 5 = 6" * 10_000,
    "marks": "#### 5\n" * 10_000,
    "bold": r"\mathbf{" * 200 + "x" + "}" * 200,
    "names": r"\mathbf a\cdot " * 130,
    "calls": "f(" * 900,
    "subscripts": "x_{" * 600,
    "factorials": "+".join(["2999!"] * 80),
    "powers": "2^" * 900,
    "arrays": r"\begin{pmatrix}1\end{pmatrix}" * 60,
}


LATEST = 150.0
"""Seconds: comparisons that end by the clock, and processes that start again, on a machine that is busy otherwise."""


@pytest.fixture(scope="module")
def workers() -> Iterator[MathWorkers]:
    with MathWorkers(workers=1, cpu_seconds=1, wall_seconds=20) as pool:
        yield pool


def children() -> set[int]:
    """Process ids of this process's children."""
    listings = (path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    return {int(pid) for listing in listings for pid in listing.split()}


def ends_wrong_and_on_time(answer: str, workers: MathWorkers) -> None:
    for completion in (f"\\boxed{{{answer}}}", answer, f"<answer>{answer}"):
        started = time.monotonic()
        assert not grade_expression(completion, "x^2 + 1", workers).correct
        assert not grade_number(completion, "5").correct
        assert time.monotonic() - started < LATEST


@pytest.mark.parametrize("name", TOO_MUCH_ALGEBRA)
def test_endless_algebra_is_wrong_and_the_next_answer_is_graded(name: str, workers: MathWorkers) -> None:
    started = time.monotonic()
    grade = grade_expression(f"\\boxed{{{TOO_MUCH_ALGEBRA[name]}}}", "x^2 + 1", workers)
    assert not grade.correct
    assert time.monotonic() - started < LATEST
    assert grade_expression(r"\boxed{x \cdot x + 1}", "x^2 + 1", workers).correct


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE_ALGEBRA)
def test_more_endless_algebra(name: str, workers: MathWorkers) -> None:
    ends_wrong_and_on_time(MORE_ALGEBRA[name], workers)


@pytest.mark.parametrize("name", TEXTS)
def test_endless_texts_never_reach_algebra(name: str) -> None:
    def symbolic(a: str, b: str) -> bool:
        assert len(a) < 1000 and a.count("{") < 100
        return False

    started = time.process_time()
    for completion in (f"\\boxed{{{TEXTS[name]}}}", TEXTS[name], f"<answer>{TEXTS[name]}"):
        assert not grade_number(completion, "7").correct
    assert not equivalent(TEXTS[name], "x^2 + 1", symbolic)
    assert not equivalent("5", TEXTS[name], symbolic)
    assert time.process_time() - started < 20


def test_what_took_too_long_is_reported(workers: MathWorkers) -> None:
    correct, error = same_answer(TOO_MUCH_ALGEBRA["factorial"], "x^2 + 1", workers)
    assert not correct
    assert error is not None
    with pytest.raises(ComparisonFailed):
        workers.same(TOO_MUCH_ALGEBRA["factorial"], "x^2 + 1")


def test_code_inside_a_box_is_never_run(tmp_path: Path, workers: MathWorkers) -> None:
    from sympy.parsing.sympy_parser import parse_expr

    attacks = [
        '(lambda: open("{path}", "w"))()',
        "__import__('os').system('touch {path}')",
        "open('{path}', 'w')",
        "[c for c in ().__class__.__base__.__subclasses__()][0] + open('{path}', 'w')",
    ]
    # The first two are live: a grader that hands text to sympy's evaluating parser runs them.
    for i, attack in enumerate(attacks[:2]):
        control = tmp_path / f"control{i}"
        with contextlib.suppress(AttributeError):
            parse_expr(attack.format(path=control)).close()
        assert control.exists()
    for i, attack in enumerate(attacks):
        target = tmp_path / f"target{i}"
        text = attack.format(path=target)
        assert not grade_expression(f"\\boxed{{{text}}}", "x^2 + 1", workers).correct
        assert not grade_expression(f"<answer>{text}</answer>", f"{text} + 1", workers).correct
        assert not grade_number(f"\\boxed{{{text}}}", "5").correct
        assert not workers.same(text, "x^2 + 1")
        assert not target.exists()


@pytest.mark.parametrize(
    "action",
    [
        "open(path, 'w')",
        "open(path, 'a')",
        "os.open(path, os.O_CREAT)",
        "os.system('true')",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "os.kill(os.getppid(), 0)",
        "os.remove(path)",
        "__import__('subprocess').run(['true'])",
        "__import__('socket').socket()",
        "__import__('ctypes').CDLL(None)",
    ],
)
def test_a_worker_is_cut_off_from_the_outside_world(action: str, tmp_path: Path) -> None:
    program = (
        "import os, sys, subprocess, socket, ctypes\n"
        "from flexeval.grading import algebra\n"
        f"path = {str(tmp_path / 'file')!r}\n"
        "sys.addaudithook(algebra._refuse)\n"
        "open(algebra.__file__).close()\n"
        f"try:\n    {action}\nexcept PermissionError as error:\n    print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.linux
def test_no_process_before_it_is_needed_none_after_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = children()
    with MathWorkers(workers=2) as pool:
        assert same_answer(r"\frac{1}{2}", "0.5", pool) == (True, None)
        assert children() == before
        assert same_answer("x + 1", "1 + x", pool) == (True, None)
        (started,) = children() - before
        os.kill(started, signal.SIGKILL)
        assert same_answer("x + 2", "2 + x", pool) == (True, None)
    assert children() == before


def test_verdicts_do_not_depend_on_the_number_of_workers(workers: MathWorkers) -> None:
    pairs = [(f"x + {n}", f"{m} + x") for n in range(4) for m in range(4)]
    with MathWorkers(workers=2) as two, ThreadPoolExecutor(4) as threads:
        at_once = list(threads.map(lambda pair: two.same(*pair), pairs))
    assert at_once == [workers.same(*pair) for pair in pairs] == [n == m for n in range(4) for m in range(4)]


@pytest.mark.linux
def test_workers_do_not_outlive_a_killed_parent() -> None:
    program = (
        "import sys\n"
        "from flexeval.grading.algebra_workers import shared_workers\n"
        "shared_workers().same('x + 1', '1 + x')\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    (worker,) = (int(pid) for pid in Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split())
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{worker}/cmdline").exists() and Path(f"/proc/{worker}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_the_library_stumbles_over_has_no_verdict_and_ends_no_process() -> None:
    def question() -> bool:
        raise TypeError("cannot determine truth value")

    assert _unless_it_stumbles(question) is None
    assert _unless_it_stumbles(lambda: False) is False
