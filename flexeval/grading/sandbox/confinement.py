"""Everything that a process gives up before it runs a generated program, in the order that works.

A candidate confines itself between fork and exec: untrusted code never runs in a process that still has to be
confined.
"""

from __future__ import annotations

import fcntl
import os
import resource
import secrets
import signal
from dataclasses import dataclass
from typing import NoReturn

from . import landlock, seccomp
from .candidate import REPLIES_FD, REQUESTS_FD
from .interpreter import ENVIRONMENT, FLAGS, Interpreter
from .libc import PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, bound_capabilities, clear_capabilities, prctl
from .records import MIB, Isolation, Limits
from .scratch import Scratch

OWN_CODE = os.path.dirname(os.path.abspath(__file__))
_STATUS_FD, _RULESET_FD = 5, 6

# A package that consists of this folder alone: the candidate need not import the rest of flexeval.
_BOOTSTRAP = """
import sys
package = type(sys)("sandbox")
package.__path__ = [{folder!r}]
sys.modules["sandbox"] = package
from sandbox.candidate import main
main()
"""


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
            status_fd: gets the reason when it cannot be done; closed when the interpreter starts.
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
        command = [self.interpreter.executable, *FLAGS, "-c", _BOOTSTRAP.format(folder=OWN_CODE)]
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
        # First out of each other's way: a target number may be the source of another.
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
