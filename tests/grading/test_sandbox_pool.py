"""The sandbox as its users meet it: isolation in force, workers, refusals, endings."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import children, workers

from flexeval.errors import InputError
from flexeval.grading.sandbox import (
    LAYERS,
    Isolation,
    Limits,
    ProgramCheck,
    Sandbox,
    describe_isolation,
    pool,
)

pytestmark = pytest.mark.linux

RIGHT = ProgramCheck(program="def f(x):\n    return x + 1\n", tests="assert f(1) == 2", entry_point="f")
WRONG = ProgramCheck(program="def f(x):\n    return x\n", tests="assert f(1) == 2", entry_point="f")
ENDLESS = ProgramCheck(program="def f(x):\n    while True:\n        pass\n", tests="f(1)", entry_point="f")
SLEEPER = ProgramCheck(program="import time\ndef f():\n    time.sleep(999)\n", tests="f()", entry_point="f")
LIMITS = Limits(cpu_s=1, wall_s=120)
"""What ends an endless program is its processor time: on a busy machine a second of that takes long."""


@pytest.fixture(autouse=True)
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[set[int]]:
    """Workers that were there before. Every test removes the folders that it made, and ends its workers."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    others = workers()
    yield others
    assert list(folder.iterdir()) == []
    assert workers() == others


def test_verdicts_do_not_depend_on_the_number_of_workers() -> None:
    checks = [RIGHT, WRONG, ENDLESS, RIGHT, WRONG, RIGHT]
    outcomes = []
    for count in (1, 3):
        with Sandbox(workers=count, limits=LIMITS) as sandbox:
            outcomes.append([(verdict.outcome, verdict.reason) for verdict in sandbox.check_all(checks)])
    assert outcomes[0] == outcomes[1]
    assert [outcome for outcome, _ in outcomes[0]] == ["passed", "failed", "timed out", "passed", "failed", "passed"]


def test_workers_start_when_needed_and_end_with_the_sandbox(others: set[int]) -> None:
    with Sandbox(workers=2, limits=LIMITS) as sandbox:
        sandbox.check(RIGHT)
        assert len(workers() - others) == 1
        occupied = threading.Thread(target=check_until_killed, args=(sandbox,))
        occupied.start()
        status = wait_for_candidate(others)
        sandbox.check(RIGHT)
        assert len(workers() - others) == 2
        end(status, occupied)
    assert workers() == others


@pytest.mark.parametrize("left_out", [(), ("namespaces", "user"), ("landlock", "seccomp"), ("user",)])
def test_each_combination_that_confines_works_alone(left_out: tuple[str, ...]) -> None:
    layers = [layer for layer in LAYERS if layer not in left_out]
    isolation = describe_isolation(layers)
    if not isolation.confined:
        pytest.skip(f"this machine lacks a layer: {isolation.summary()}")
    assert {layer for layer, why in isolation.missing.items() if why == "not asked for"} == set(left_out)
    with Sandbox(workers=1, layers=layers, limits=LIMITS) as sandbox:
        assert sandbox.check(RIGHT).passed
        assert sandbox.check(WRONG).outcome == "failed"
        secret = Path(tempfile.gettempdir()).parent / "secret"
        secret.write_text("hidden")
        read = f"def f():\n    return open({str(secret)!r}).read()\n"
        assert sandbox.check(ProgramCheck(program=read, tests="f()", entry_point="f")).outcome == "crashed"


def test_it_refuses_to_run_without_isolation_unless_told_so() -> None:
    with pytest.raises(InputError, match="could harm this machine") as refusal:
        Sandbox(workers=1, layers=())
    assert "\n" not in str(refusal.value)
    with Sandbox(workers=1, layers=(), allow_unsafe=True, limits=LIMITS) as sandbox:
        assert not sandbox.isolation.confined
        assert sandbox.check(RIGHT).passed


def test_what_confines_is_stated_in_full() -> None:
    assert Isolation(namespaces=True).confined
    assert Isolation(landlock=1, seccomp=True).confined
    assert not Isolation(landlock=7).confined
    assert not Isolation(seccomp=True, user=60000).confined
    assert Isolation(landlock=7, missing={"user": "why not"}).summary().endswith("without user (why not)")


def test_unknown_layers_and_counts_are_refused() -> None:
    with pytest.raises(InputError, match="Did you mean 'landlock'"):
        Sandbox(layers=("landlok",))
    with pytest.raises(InputError, match="at least 1"):
        Sandbox(workers=0)


def test_another_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool.sys, "platform", "darwin")
    with pytest.raises(InputError, match="Linux only"):
        Sandbox()


def test_a_candidate_holds_no_powers(others: set[int]) -> None:
    """Read from outside, while it sleeps: no capabilities, no new privileges, the filter in force."""
    with Sandbox(workers=1, limits=LIMITS) as sandbox:
        thread = threading.Thread(target=check_until_killed, args=(sandbox,))
        thread.start()
        status = wait_for_candidate(others)
        end(status, thread)
    assert status["CapEff"] == status["CapPrm"] == status["CapInh"] == status["CapAmb"] == "0000000000000000"
    assert status["NoNewPrivs"] == "1"
    if sandbox.isolation.seccomp:
        assert status["Seccomp"] == "2"
    if sandbox.isolation.user is not None:
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(sandbox.isolation.user)}
        assert status["Groups"] == ""
        assert status["CapBnd"] == "0000000000000000"
    if sandbox.isolation.namespaces:
        assert status["NSpid"].split()[-1] == "1"


def wait_for_candidate(others: set[int]) -> dict[str, str]:
    """The kernel's view of the process that runs a program."""
    while True:
        for worker in workers() - others:
            for judge in children(worker):
                for candidate in children(judge):
                    command = Path(f"/proc/{candidate}/cmdline").read_bytes()
                    if b"sandbox.candidate" in command:
                        lines = Path(f"/proc/{candidate}/status").read_text().splitlines()
                        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
        time.sleep(0.01)


def check_until_killed(sandbox: Sandbox) -> None:
    """A check that lasts as long as the test wants; killed before its program is loaded, it is an error."""
    with contextlib.suppress(RuntimeError):
        sandbox.check(SLEEPER)


def end(candidate: dict[str, str], check: threading.Thread) -> None:
    """Kill a candidate, and wait for the check that it belongs to."""
    os.kill(int(candidate["Pid"]), signal.SIGKILL)
    check.join()


def test_a_worker_that_is_killed_twice_is_one_program_that_crashed(others: set[int]) -> None:
    with Sandbox(workers=1, limits=LIMITS) as sandbox:
        verdicts = []
        thread = threading.Thread(target=lambda: verdicts.append(sandbox.check(SLEEPER)))
        thread.start()
        for _ in range(2):
            wait_for_candidate(others)
            (worker,) = workers() - others
            family = [worker, *children(worker), *(pid for judge in children(worker) for pid in children(judge))]
            os.kill(worker, signal.SIGKILL)
            assert_gone(family)
        thread.join()
        assert verdicts[0].outcome == "crashed"
        assert "ended unexpectedly" in str(verdicts[0].reason)
        assert sandbox.check(RIGHT).passed


def test_a_worker_that_does_not_answer_is_one_program_out_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(workers=1, limits=LIMITS) as sandbox:
        with monkeypatch.context() as patch:
            patch.setattr(pool, "_GRACE_S", 0.1 - LIMITS.wall_s)
            verdict = sandbox.check(SLEEPER)
        assert verdict.outcome == "timed out"
        assert "did not answer" in str(verdict.reason)
        assert sandbox.check(RIGHT).passed


MANY_FOLDERS = """
import os
def f(x):
    for n in range(10 ** 9):
        os.makedirs(f"{n}/{n}")
"""


def test_whatever_a_program_leaves_costs_bounded_time_and_no_other_verdict() -> None:
    """Where only Landlock and the filter confine, nothing bounds the number of its folders."""
    layers = ("landlock", "seccomp")
    if not describe_isolation(layers).confined:
        pytest.skip("this machine has neither Landlock nor the filter")
    many = ProgramCheck(program=MANY_FOLDERS, tests="f(1)", entry_point="f")
    with Sandbox(workers=1, layers=layers, limits=LIMITS) as sandbox:
        verdicts = sandbox.check_all([RIGHT, many, RIGHT, WRONG])
    assert [verdict.outcome for verdict in verdicts] == ["passed", "timed out", "passed", "failed"]
    assert verdicts[1].seconds < 60
    # The helper may still be at it, and on a busy machine it waits for everybody else.
    deadline = time.monotonic() + 900
    while os.listdir(tempfile.gettempdir()) and time.monotonic() < deadline:
        time.sleep(0.05)


def test_a_sandbox_that_is_interrupted_while_it_starts_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, others: set[int]
) -> None:
    """At any of the steps, whatever is under way then."""
    for step in ("os.mkdir", "os.chmod", "Channel", "Isolation"):
        holder, _, name = step.rpartition(".")
        owner = getattr(pool, holder) if holder else pool
        real = getattr(owner, name)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

            def interrupted(*args: Any, patch: Any = patch, real: Any = real, **kwargs: Any) -> None:
                real(*args, **kwargs)
                patch.undo()
                raise KeyboardInterrupt

            patch.setattr(owner, name, interrupted)
            Sandbox(workers=1, limits=LIMITS)


def assert_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, f"still there: {[pid for pid in pids if Path(f'/proc/{pid}').exists()]}"
        time.sleep(0.01)


def test_processes_that_escape_their_group_die_with_the_check(others: set[int]) -> None:
    """Without the filter and the namespaces, the worker alone sees to it."""
    program = """
import os
def f():
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.setsid()
            while True:
                pass
"""
    check = ProgramCheck(program=program, tests="f()", entry_point="f")
    layers = [layer for layer in LAYERS if layer == "landlock"]
    with Sandbox(workers=1, layers=layers, allow_unsafe=True, limits=LIMITS) as sandbox:
        assert sandbox.check(check).passed
        (worker,) = workers() - others
        assert children(worker) == []


def test_a_closed_sandbox_lets_its_last_check_end_and_takes_no_more(others: set[int]) -> None:
    sandbox = Sandbox(workers=1, limits=LIMITS)
    verdicts = []
    thread = threading.Thread(target=lambda: verdicts.append(sandbox.check(ENDLESS)))
    thread.start()
    wait_for_candidate(others)
    sandbox.close()
    thread.join()
    assert [verdict.outcome for verdict in verdicts] == ["timed out"]
    with pytest.raises(RuntimeError, match="closed"):
        sandbox.check(RIGHT)


NAPPING = "import time\nwhile True:\n    sum(range(30_000))\n    time.sleep(1e-3)\n"


def test_an_endless_program_is_out_of_time_however_busy_the_machine_is() -> None:
    """Processes that sleep through the ticks leave it fewer seconds than the kernel charges it for."""
    busy = [subprocess.Popen([sys.executable, "-c", NAPPING]) for _ in range(3 * (os.cpu_count() or 1))]
    try:
        with Sandbox(workers=2, limits=LIMITS) as sandbox:
            verdicts = sandbox.check_all([ENDLESS] * 2)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert [(verdict.outcome, verdict.reason) for verdict in verdicts] == [
        ("timed out", "used 1 s of processor time")
    ] * 2


def test_a_fork_of_the_owner_cannot_use_or_close_it() -> None:
    with Sandbox(workers=1, limits=LIMITS) as sandbox:
        child = os.fork()
        if child == 0:
            try:
                sandbox.check(RIGHT)
            except RuntimeError:
                sandbox.close()
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert sandbox.check(RIGHT).passed


SHARED = """
import os
from pathlib import Path
from flexeval.grading.sandbox import ProgramCheck, shared_sandbox
assert shared_sandbox() is shared_sandbox()
check = ProgramCheck(program="f = lambda: 1", tests="assert f() == 1", entry_point="f")
print(shared_sandbox().check(check).outcome)
print(Path(f"/proc/self/task/{os.getpid()}/children").read_text())
"""


def test_the_shared_sandbox_is_one_and_ends_with_its_process(tmp_path: Path) -> None:
    folder = tmp_path / "of the other process"
    folder.mkdir()
    environment = {**os.environ, "TMPDIR": str(folder), "FLEXEVAL_ALLOW_UNSAFE_PROGRAMS": "1"}
    command = [sys.executable, "-W", "error", "-c", SHARED]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.stderr == ""
    outcome, worker = result.stdout.split()
    assert outcome == "passed"
    assert not Path(f"/proc/{worker}").exists()
    assert list(folder.iterdir()) == []


SYSTEM_PYTHON = shutil.which("python3", path="/usr/bin")
AS_ORDINARY_USER = """
import sys
sys.path.insert(0, sys.argv[1])
from flexeval.grading.sandbox import Limits, ProgramCheck, Sandbox
with Sandbox(workers=1, limits=Limits(cpu_s=1, wall_s=60)) as sandbox:
    for program in ("def f(x):\\n    return x + 1\\n", "import os\\ndef f(x):\\n    return os.fork()\\n"):
        print(sandbox.check(ProgramCheck(program=program, tests="assert f(1) == 2", entry_point="f")).outcome)
"""


def test_an_ordinary_user_has_it_too(tmp_path: Path) -> None:
    project = Path(pool.__file__).parents[3]
    if os.geteuid() != 0 or SYSTEM_PYTHON is None:
        pytest.skip("needs root, to become somebody else, and a Python in /usr/bin")
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    probe = [
        SYSTEM_PYTHON,
        "-B",
        "-c",
        f"import sys; sys.path.insert(0, {str(project)!r}); import flexeval.grading.sandbox",
    ]
    environment = {"TMPDIR": "/tmp"}
    if subprocess.run(probe, env=environment, cwd="/", capture_output=True, **nobody).returncode:
        pytest.skip(f"user 65534 cannot import {project} with {SYSTEM_PYTHON}")
    command = [SYSTEM_PYTHON, "-B", "-W", "error", "-c", AS_ORDINARY_USER, str(project)]
    result = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, **nobody)
    assert result.stderr == ""
    assert result.stdout.split() == ["passed", "crashed"]
