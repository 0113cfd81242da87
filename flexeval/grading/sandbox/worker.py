"""A worker: one trusted process that runs checks one after the other and enforces their deadlines.

It speaks with the harness on its standard input and output. For each check it forks a judge, which starts
a candidate; when the judge has answered, or the time is up, it ends every process that is left and empties
the scratch folder. A folder that is not empty in time ends its use: the answer says so, and the harness takes another
worker. It has no threads, so forking is safe, and it ends when the harness hangs up.

Started as `python -c <BOOTSTRAP>`; it imports nothing of flexeval outside this folder.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .channel import Channel, ChannelError
from .codec import decode, encode, refuse_handles
from .interpreter import Interpreter
from .judge import BrokenTests, judge
from .launch import Confinement
from .libc import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, prctl
from .preparation import prepare
from .records import Limits, ProgramCheck

_MAX_MESSAGE = 1 << 30

TRIAL = ProgramCheck(program="def one():\n    return 1\n", tests="assert one() == 1", entry_point="one")
"""A check that every working sandbox passes, however short its own deadline."""
_TRIAL_S = 30.0


def main() -> None:
    """Serve one harness until it hangs up."""
    channel = _take_over_standard_streams()
    # A cluster that ends a job may signal all of its processes: ending is for the harness, or this would be a verdict.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # A process whose parent has died becomes our child, so none can get lost.
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        settings = decode(channel.recv(), refuse_handles)
    except ChannelError:  # the harness was interrupted
        return
    confinement = prepare(
        settings["folder"],
        Interpreter(**settings["interpreter"]),
        Limits(**settings["limits"]),
        settings["layers"],
        settings["index"],
    )
    # Every judge is a fork of this process: what the collector does not touch stays shared.
    gc.freeze()
    outcome, reason, _ = run(TRIAL, confinement, channel.read_fd, _TRIAL_S)
    _send(channel, {"isolation": asdict(confinement.isolation), "trial": (outcome, reason)})
    while True:
        try:
            request = decode(channel.recv(), refuse_handles)
            wall_s = confinement.limits.wall_s
            _send(channel, run(ProgramCheck(**request), confinement, channel.read_fd, wall_s))
        except ChannelError:
            return


def run(check: ProgramCheck, confinement: Confinement, harness_fd: int, wall_s: float) -> tuple[str, str | None, bool]:
    """Run one check.

    Args:
        check: what to check.
        confinement: of the candidate.
        harness_fd: becomes readable only when the harness hangs up, which ends the check.
        wall_s: seconds after which the check ends in any case.

    Returns:
        One of `records.Outcome` or "broken", why the program did not pass, and whether this worker can take another
        check. "broken" means that the program is not to blame.
    """
    deadline = time.monotonic() + wall_s
    confinement.scratch.renew(confinement.isolation.user)
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(harness_fd)
        _answer(write_fd, check, confinement)
    os.close(write_fd)
    try:
        outcome, reason = _wait(read_fd, harness_fd, deadline) or ("timed out", f"no verdict after {wall_s:g} s")
    finally:
        os.close(read_fd)
        status = _end(pid)
        clean = confinement.scratch.clear()
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        cpu_s = confinement.limits.cpu_s
        outcome, reason = "timed out", f"its answers kept the tests busy for {cpu_s} s of processor time"
    return outcome, reason, clean


def _take_over_standard_streams() -> Channel:
    """Keep the pipes to the harness where no print of a test can reach them."""
    channel = Channel(os.dup(0), os.dup(1), _MAX_MESSAGE)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return channel


def _answer(write_fd: int, check: ProgramCheck, confinement: Confinement) -> None:
    """The judge's process: make the check, write the answer, end."""
    answer: tuple[str, str | None]
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        answer = judge(check, confinement)
    except MemoryError:
        answer = "crashed", "the program's answers filled the judge's memory"
    except BrokenTests as error:
        answer = "broken", f"the tests of {check.entry_point!r} do not run: {error}"
    except Exception:  # whatever it is, it is not the program's fault and must not look like it
        answer = "broken", traceback.format_exc()
    try:
        _send(Channel(-1, write_fd, 0), answer)
    finally:
        # Without the exit handlers of the worker that this is a copy of.
        os._exit(0)


def _wait(judge_fd: int, harness_fd: int, deadline: float) -> tuple[str, str | None] | None:
    """The judge's answer; None when it did not come in time."""
    poll = select.poll()
    poll.register(judge_fd, select.POLLIN)
    poll.register(harness_fd, select.POLLIN)
    ready = {fd for fd, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)}
    if not ready:
        return None
    if judge_fd not in ready:
        raise ChannelError("the harness hung up")
    try:
        outcome, reason = decode(Channel(judge_fd, -1, _MAX_MESSAGE).recv(), refuse_handles)
    except ChannelError:
        return "crashed", "the judge did not survive the program's answers"
    return outcome, reason


def _end(judge_pid: int) -> int:
    """Kill every process that is below this one, and wait until all are gone; the status that the judge ended with."""
    os.kill(judge_pid, signal.SIGKILL)
    _, status = os.waitpid(judge_pid, 0)
    # Most often the judge has left nothing behind, and the first look is the last.
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            for child in _children():
                os.kill(child, signal.SIGKILL)
            time.sleep(0.001)


def _children() -> list[int]:
    """The processes whose parent this process is, those that it inherited among them."""
    children = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            # The name in parentheses may hold anything; the state and the parent follow the last one.
            if int(stat.rpartition(")")[2].split()[1]) == os.getpid():
                children.append(int(folder.name))
    return children


def _send(channel: Channel, message: Any) -> None:
    channel.send(encode(message, refuse_handles))
