"""Start a candidate, and learn how it ended. Runs in the judge's process."""

from __future__ import annotations

import os
import signal
import time

from .channel import Channel, ChannelError
from .confinement import Confinement
from .namespaces import hide_other_processes
from .records import MIB

_LAST_WORDS_S = 1.0
"""A process closes its pipes a moment before it is gone."""

_CPUCLOCK_PROF = 0
"""Of the three clocks of a process the one in ticks (Linux, posix-timers.h)."""


class StartError(RuntimeError):
    """The candidate's process could not be set up: a fault of the sandbox, not of the program."""


class Candidate:
    """A confined process that waits for its program."""

    def __init__(self, confinement: Confinement) -> None:
        """Fork, confine, exec. Raises StartError."""
        self._cpu_s = confinement.limits.cpu_s
        if confinement.isolation.namespaces:
            hide_other_processes()
        requests_read, requests_write = os.pipe()
        replies_read, replies_write = os.pipe()
        status_read, status_write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            confinement.become_candidate(requests_read, replies_write, status_write)
        for fd in (requests_read, replies_write, status_write):
            os.close(fd)
        self.channel = Channel(replies_read, requests_write, max_bytes=confinement.limits.message_mib * MIB)
        # Ends when the exec closes the child's copy of the pipe.
        with os.fdopen(status_read) as status:
            problem = status.read()
        try:
            self.channel.recv()
        except ChannelError:
            raise StartError(problem or self.wait()[1]) from None

    def wait(self) -> tuple[bool, str]:
        """See how a candidate ended that has hung up; end it if it has not.

        Returns:
            Whether it had used up its processor time, and what happened in words.
        """
        deadline = time.monotonic() + _LAST_WORDS_S
        while not self._ended(os.WNOHANG) and time.monotonic() < deadline:
            time.sleep(0.001)
        if overdue := not self._ended(os.WNOHANG):
            # One that is dying already keeps the status that it dies with.
            os.kill(self.pid, signal.SIGKILL)
            self._ended()
        spent_s = _limited_time(self.pid)
        _, status = os.waitpid(self.pid, 0)
        if os.WIFEXITED(status):
            return False, f"the program ended its process with status {os.WEXITSTATUS(status)}"
        number = os.WTERMSIG(status)
        if number == signal.SIGKILL and spent_s >= self._cpu_s:
            return True, f"used {self._cpu_s} s of processor time"
        if number == signal.SIGKILL and overdue:
            return False, "the program closed its pipe"
        return False, f"the program's process died of signal {number} ({signal.strsignal(number)})"

    def kill(self) -> None:
        """End the process."""
        os.kill(self.pid, signal.SIGKILL)
        os.wait4(self.pid, 0)

    def _ended(self, options: int = 0) -> bool:
        """Whether the process has ended, which leaves its status and its clocks to be read."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | options) is not None


def _limited_time(pid: int) -> float:
    """Processor seconds of a process, its threads included, on the clock that RLIMIT_CPU is held against.

    That clock counts ticks: whoever runs at a tick is charged all of it. On a busy machine it can run a third faster
    than the exact time, which is what `rusage` and the clock of `clock_getcpuclockid` tell, so these cannot say who was
    ended by the limit.
    """
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_PROF)
