"""Start a candidate, confined, and learn how it ended.

The judge forks. The child gives up everything that a generated program must not have, in an order that works, and then
becomes the candidate's interpreter: untrusted code never runs in an unconfined process.
"""

from __future__ import annotations

import fcntl
import os
import resource
import secrets
import signal
import time
from dataclasses import dataclass
from typing import NoReturn

from . import landlock, seccomp
from .candidate import REPLIES_FD, REQUESTS_FD
from .channel import Channel, ChannelError
from .interpreter import ENVIRONMENT, FLAGS, Interpreter, bootstrap
from .libc import PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, bound_capabilities, clear_capabilities, prctl
from .namespaces import hide_other_processes
from .records import MIB, Isolation, Limits
from .scratch import Scratch

OWN_CODE = os.path.dirname(os.path.abspath(__file__))
_STATUS_FD, _RULESET_FD = 5, 6

_LAST_WORDS_S = 1.0
"""A process closes its pipes a moment before it is gone."""

_CPUCLOCK_PROF = 0
"""The clock of a process that counts ticks (Linux, posix-timers.h)."""


# ----- the judge's side -----


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
        """Find out how a candidate that hung up has ended; end it if it is still there.

        Returns:
            Whether it ran out of processor time, and what happened, in words.
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

    That clock counts ticks, and a process that runs at a tick pays for all of it. On a busy machine it can run a third
    faster than the exact time that `rusage` and `clock_getcpuclockid` report, so those cannot tell whether the limit
    ended a process.
    """
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_PROF)


# ----- the child's side -----


@dataclass(frozen=True, kw_only=True)
class Confinement:
    """What one worker prepared for its candidates."""

    isolation: Isolation
    interpreter: Interpreter
    limits: Limits
    root: str
    """The root folder of the candidates, as the worker sees it; empty for the machine's own."""
    scratch: Scratch
    """As the worker sees it."""
    count_threads: bool
    """Whether the kernel would count the candidate's threads alone."""
    ruleset: landlock.Ruleset | None

    def become_candidate(self, requests_fd: int, replies_fd: int, status_fd: int) -> NoReturn:
        """Turn this process, a fresh fork, into a candidate.

        Args:
            requests_fd: what the candidate reads from.
            replies_fd: what it writes to.
            status_fd: gets the reason if this fails; closed when the interpreter starts.
        """
        try:
            os.setsid()
            self._keep_descriptors(requests_fd, replies_fd, status_fd)
            self._confine()
            self._execute()
        except BaseException as error:  # nothing of the process that forked may run on here
            os.write(_STATUS_FD, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(1)

    def _confine(self) -> None:
        # The view of the files: from here on paths are those that the candidate sees.
        if self.root:
            os.chroot(self.root)
        os.chdir(self.scratch.folder[len(self.root) :])
        _bind(self.limits, count_threads=self.count_threads)
        # Powers. The signal comes after the change of user, which would clear it.
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        bound_capabilities()
        if self.isolation.user is not None:
            become_user(self.isolation.user)
        clear_capabilities()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if self.ruleset is not None:
            landlock.enforce(_RULESET_FD)

    def _execute(self) -> None:
        command = [self.interpreter.executable, *FLAGS, "-c", bootstrap("sandbox.candidate")]
        if self.isolation.seccomp:
            nonce = secrets.randbits(64)
            seccomp.install(nonce)
            seccomp.execute(command, ENVIRONMENT, nonce)
        os.execve(command[0], command, ENVIRONMENT)

    def _keep_descriptors(self, requests_fd: int, replies_fd: int, status_fd: int) -> None:
        """Nothing on 0 to 2, our pipes after them, and no other descriptor open."""
        assert (REQUESTS_FD, REPLIES_FD, _STATUS_FD, _RULESET_FD) == (3, 4, 5, 6)
        null = os.open(os.devnull, os.O_RDWR)
        wanted = [null, null, null, requests_fd, replies_fd, status_fd]
        if self.ruleset is not None:
            wanted.append(self.ruleset.fd)
        # First move all of them out of the way: a target number may be the source of another.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, len(wanted)) for fd in wanted]
        for target, fd in enumerate(high):
            os.dup2(fd, target, inheritable=target <= REPLIES_FD)
        # All others close at the exec as well; this is for those that somebody else has opened.
        os.closerange(len(wanted), min(os.sysconf("SC_OPEN_MAX"), 1 << 16))


def _bind(limits: Limits, *, count_threads: bool) -> None:
    """Set the limits of this process, for good."""
    bounds = {
        resource.RLIMIT_AS: limits.memory_mib * MIB,
        # Soft and hard alike: the soft limit's signal can be caught, and the first process of a namespace ignores it.
        resource.RLIMIT_CPU: limits.cpu_s,
        resource.RLIMIT_FSIZE: limits.file_mib * MIB,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if count_threads:
        bounds[resource.RLIMIT_NPROC] = limits.threads
    for which, bound in bounds.items():
        hard = resource.getrlimit(which)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(which, (bound, bound))


def become_user(user: int) -> None:
    """Go on as this user and group, without others. Takes the rights of root."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
