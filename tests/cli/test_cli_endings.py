"""How a command ends: signals at any moment, and standard streams that are closed, broken or of another encoding."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from flexeval.cli import endings
from flexeval.cli.main import main

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

COMMAND = """
import os, signal, sys, time
from flexeval.__main__ import command
from flexeval.cli import ls

def ready():
    print("ready", flush=True)

def run(args):
{body}
    return 0

ls.run = run
sys.exit(command())
"""


def default_handlers() -> None:
    """In a child: what runs the tests may itself ignore some signals, as nohup does."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def start(body: str, **options: Any) -> subprocess.Popen[str]:
    """`flexeval ls` that does something else; it has said that it is ready."""
    script = COMMAND.format(body="\n".join("    " + line for line in body.splitlines()))
    options = {"preexec_fn": default_handlers, **options}
    process = subprocess.Popen(
        [sys.executable, "-c", script, "ls"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str], *signals: int, pause: float = 0.0) -> str:
    """Send signals and wait for the end; what stands on stderr."""
    for number in signals:
        process.send_signal(number)
        time.sleep(pause)
    _, err = process.communicate(timeout=60)
    return err


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_has_its_status_and_one_line(number: signal.Signals) -> None:
    process = start("ready(); time.sleep(60)")
    err = end(process, number)
    assert process.returncode == 128 + number
    (line,) = err.splitlines()
    assert f"stopped by {number.name}; the same command begins anew" in line


def test_ignored_from_the_beginning_stays_ignored() -> None:
    script = "ready()\nfor _ in range(20): time.sleep(0.05)"
    process = start(script, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert (end(process, signal.SIGHUP), process.returncode) == ("", 0)


def test_more_signals_do_not_disturb_what_is_being_stored(tmp_path: Path) -> None:
    # Neither in the block itself, nor in what it calls, nor while it handles an error of its own.
    process = start(
        f"""
try:
    ready()
    time.sleep(60)
finally:
    try:
        {{}}["missing"]
    except KeyError:
        for _ in range(30): time.sleep(0.05)
    open({str(tmp_path / "stored")!r}, "w").close()
"""
    )
    err = end(process, *SIGNALS, signal.SIGINT, pause=0.2)
    assert (process.returncode, len(err.splitlines())) == (130, 1)
    assert (tmp_path / "stored").exists()


@pytest.mark.parametrize(
    "swallow",
    [
        "try: ready(); time.sleep(60)\nexcept BaseException: pass",
        # Out of a destructor Python lets no exception.
        "class Thing:\n    def __del__(self): ready(); time.sleep(60)\nThing()",
    ],
)
def test_a_signal_that_is_swallowed_comes_again(swallow: str) -> None:
    process = start(swallow + "\ntime.sleep(60)")
    err = end(process, signal.SIGTERM)
    assert (process.returncode, len(err.splitlines())) == (143, 1)


def test_a_plain_interrupt_that_a_library_makes_of_a_signal_keeps_its_status(tmp_path: Path) -> None:
    """As Ray does. What is stored on the way out is not disturbed by repetitions."""
    stored = tmp_path / "stored"
    process = start(
        f"""
try: ready(); time.sleep(60)
except BaseException: pass
try: raise KeyboardInterrupt
finally:
    time.sleep(1.2)
    open({str(stored)!r}, "w")
"""
    )
    err = end(process, signal.SIGTERM)
    assert (process.returncode, err.count("stopped by SIGTERM"), len(err.splitlines())) == (143, 1, 1)
    assert stored.exists()


def test_no_signal_is_repeated_while_a_library_has_taken_our_handler_away() -> None:
    process = start(
        """
from flexeval.cli import endings
def close():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(1.2)
    signal.signal(signal.SIGTERM, handler)
handler = signal.getsignal(signal.SIGTERM)
try: ready(); time.sleep(60)
finally:
    with endings.unrepeated(): close()
"""
    )
    err = end(process, signal.SIGTERM)
    assert (process.returncode, err.count("stopped by SIGTERM")) == (143, 1)


def test_what_a_library_makes_of_a_signal_is_no_bug() -> None:
    process = start("try: ready(); time.sleep(60)\nexcept BaseException as error: raise ImportError('half') from error")
    err = end(process, signal.SIGINT)
    assert (process.returncode, len(err.splitlines())) == (130, 1)
    assert "ImportError: half" in err


def test_a_signal_after_the_end_changes_nothing() -> None:
    process = start("import atexit\natexit.register(lambda: (ready(), time.sleep(0.5)))")
    assert (end(process, signal.SIGINT, signal.SIGTERM), process.returncode) == ("", 0)


@pytest.mark.parametrize("module", ["flexeval.cli", "flexeval.cli.main", "argparse", "flexeval.orders"])
def test_no_traceback_while_modules_are_imported(module: str) -> None:
    script = f"""
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.modules.pop("argparse", None)
sys.meta_path.insert(0, Finder())
sys.argv = ["flexeval", "ls"]
runpy.run_module("flexeval", run_name="__main__")
"""
    if module == "flexeval.cli":
        script = script.replace("{module!r}", "").replace("== 'flexeval.cli'", "== 'gc' or name == 'flexeval.errors'")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, preexec_fn=default_handlers
    )
    assert done.returncode == 130, done.stderr
    assert len(done.stderr.splitlines()) <= 1


# ----- standard streams -----


def shell(line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A line for the shell, in which `flexeval` is ours; the status is that of a pipe's first command."""
    environment = {**os.environ, **variables}
    program = f'flexeval() {{ {sys.executable} -m flexeval "$@"; }}\n{line}\nexit ${{PIPESTATUS[0]}}'
    return subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize(
    ("line", "status", "out", "err"),
    [
        ("flexeval ls >&-", 0, "", ""),
        ("flexeval ls 2>&- <&-", 0, "orders\n.*", ""),
        ("flexeval frob >&-", 2, "", "flexeval: error: unknown command.*\n"),
        ("flexeval frob 2>&-", 2, "", ""),
        ("flexeval ls | true", 141, "", ""),
        ("flexeval --help | true", 141, "", ""),
        ("flexeval frob 2>&1 | true", 141, "", ""),
        (
            "flexeval ls > /dev/full",
            2,
            "",
            "flexeval: error: no space left on the device; .* command again\n",
        ),
        ("flexeval frob 2> /dev/full", 2, "", ""),
    ],
)
def test_closed_and_broken_streams(line: str, status: int, out: str, err: str) -> None:
    if "|" in line:
        # Whoever reads is gone before anything is written.
        line = "{ sleep 0.5; " + line.replace(" |", "; } |")
    done = shell(line)
    assert done.returncode == status
    assert re.fullmatch(out, done.stdout, re.DOTALL)
    assert re.fullmatch(err, done.stderr)


def test_a_table_has_the_status_of_a_reader_that_went_away() -> None:
    body = "from flexeval.cli import output\nready()\nfor _ in range(10**4): output.console().print('row')"
    process = start(body)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert (process.wait(timeout=60), process.stderr.read()) == (141, "")


def test_what_the_encoding_cannot_hold_is_printed_as_escapes() -> None:
    body = (
        "from flexeval.cli import output\nready()\nprint('− \\udcff')\noutput.write_json('-', {'a': 'é−\\U0001f600'})"
    )
    process = start(body, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert process.stdout is not None and process.stderr is not None
    with process.stdout, process.stderr:
        first, rest = process.stdout.read().split("\n", 1)
        assert (process.wait(timeout=60), process.stderr.read(), first) == (0, "", r"\u2212 \udcff")
    assert json.loads(rest) == {"a": "é−\U0001f600"}


def test_in_process_calls_touch_neither_signals_nor_streams(capsys: pytest.CaptureFixture[str]) -> None:
    handlers, stream = [signal.getsignal(number) for number in SIGNALS], sys.stdout
    assert main(["ls", "orders"]) == 0
    assert [signal.getsignal(number) for number in SIGNALS] == handlers and sys.stdout is stream
    assert endings.status_of(KeyboardInterrupt()) == 130


# ----- nothing is left behind -----


def test_the_sandbox_leaves_nothing_behind(tmp_path: Path) -> None:
    process = start(
        """
import threading
from flexeval.grading.sandbox import ProgramCheck, shared_sandbox
sandbox = shared_sandbox()
check = ProgramCheck(program="import time\\ndef f():\\n    time.sleep(3)\\n", tests="f()", entry_point="f")
threading.Thread(target=sandbox.check, args=(check,)).start()
time.sleep(0.5)
ready()
time.sleep(60)
""",
        env={**os.environ, "TMPDIR": str(tmp_path), "FLEXEVAL_ALLOW_UNSAFE_PROGRAMS": "1"},
    )
    children = _below(process.pid)
    assert children and list(tmp_path.iterdir())
    err = end(process, signal.SIGTERM)
    assert process.returncode == 143, err
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
    assert not list(tmp_path.iterdir())


def _below(pid: int) -> Sequence[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(grandchild for child in children for grandchild in _below(child))]


def test_processes_that_were_launched_together_part_before_they_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch may abort one that ends while it is joined, before another has written its results."""
    from torch import distributed

    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # torch puts its own there
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    endings.leave_together()
    assert not distributed.is_initialized()
    endings.leave_together()  # alone there is nobody to wait for
