"""Everything that a process gives up before it runs a generated program, in the order that works.

A worker tries each layer out in a child of its own, keeps those that the machine grants, and prepares what
all candidates share. Each candidate then confines itself, between fork and exec: untrusted code never runs
in a process that still has to be confined.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import platform
import secrets
import signal
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NoReturn

from . import landlock, namespaces, seccomp
from .candidate import REPLIES_FD, REQUESTS_FD
from .interpreter import ENVIRONMENT, FLAGS, PACKAGE_FOLDERS, Interpreter
from .isolation import Isolation
from .libc import PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, bound_capabilities, clear_capabilities, prctl
from .limits import Limits

OWN_CODE = os.path.dirname(os.path.abspath(__file__))
_STATUS_FD, _RULESET_FD = 5, 6
_FIRST_USER = 60_000
"""User ids from here on: inside the 65,536 that containers map, above those that people and packages get."""
_WORK = "/work"

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
    scratch: str
    """Parent of the scratch folders, as the worker sees it."""
    count_threads: bool
    """Whether the kernel would count the candidate's threads alone."""
    ruleset: landlock.Ruleset | None

    def new_scratch(self) -> None:
        """Make the folder that the next candidate starts in, empty and its own."""
        folder = self.scratch + _WORK
        os.mkdir(folder, 0o700)
        if self.isolation.user is not None:
            os.chown(folder, self.isolation.user, self.isolation.user)

    def empty_scratch(self) -> None:
        """Remove whatever candidates left. None may be alive.

        Every folder is moved up to the top before it is emptied, since a program can nest folders deeper than
        any recursion or path goes.
        """
        names = itertools.count()
        pending = [self.scratch]
        while pending:
            folder = pending.pop()
            with os.scandir(folder) as entries:
                for entry in list(entries):
                    if entry.is_dir(follow_symlinks=False):
                        os.chmod(entry.path, 0o700)
                        pending.append(f"{self.scratch}/{next(names)}")
                        os.rename(entry.path, pending[-1])
                    else:
                        os.unlink(entry.path)
            if folder != self.scratch:
                os.rmdir(folder)

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
        os.chdir((self.scratch + _WORK)[len(self.root) :])
        self.limits.apply(count_threads=self.count_threads)
        # Powers. The signal comes after the change of user, which would clear it.
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        bound_capabilities()
        if self.isolation.user is not None:
            _become_user(self.isolation.user)
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
        null = os.open(os.devnull, os.O_RDWR)
        wanted = [null, null, null, requests_fd, replies_fd, status_fd]
        if self.ruleset is not None:
            wanted.append(self.ruleset.fd)
        # First out of each other's way: a target number may be the source of another.
        high = [_duplicate_above(fd, len(wanted)) for fd in wanted]
        for target, fd in enumerate(high):
            os.dup2(fd, target, inheritable=target <= REPLIES_FD)
        os.closerange(len(wanted), os.sysconf("SC_OPEN_MAX"))


assert (REQUESTS_FD, REPLIES_FD, _STATUS_FD, _RULESET_FD) == (3, 4, 5, 6)


def prepare(folder: str, interpreter: Interpreter, limits: Limits, layers: Collection[str], index: int) -> Confinement:
    """Try the layers out and put up those that work.

    Args:
        folder: an empty folder of this worker's own.
        interpreter: what runs the candidates.
        limits: on each candidate.
        layers: those of `isolation.LAYERS` to try.
        index: of this worker among its siblings; decides the user id.
    """
    missing: dict[str, str] = {}

    def works(layer: str, step: Callable[[], object]) -> bool:
        problem = _problem(step) if layer in layers else "not asked for"
        if problem is not None:
            missing[layer] = problem
        return problem is None

    # Namespaces come first: they decide which files the other layers are about.
    def enter() -> bool:
        return namespaces.enter(folder, interpreter, OWN_CODE, limits.scratch_mib)

    def enter_with_a_process() -> None:
        enter()
        namespaces.hide_other_processes()
        os.fork()

    os.chmod(folder, 0o711)
    root, own_user_namespace = "", False
    if works("namespaces", enter_with_a_process):
        own_user_namespace = enter()
        root = folder
    scratch = f"{folder}/scratch"
    os.makedirs(scratch, mode=0o711, exist_ok=True)

    user: int | None = _FIRST_USER + index
    if not works("user", lambda: _try_user(_FIRST_USER + index, root, scratch, interpreter)):
        user = None
    ruleset = _rights(interpreter, root, scratch) if works("landlock", _try_landlock) else None
    works("seccomp", _try_seccomp)

    isolation = Isolation(
        landlock=landlock.abi_version() if ruleset is not None else 0,
        seccomp="seccomp" not in missing,
        namespaces=bool(root),
        user=user,
        python=platform.python_version(),
        missing=missing,
    )
    return Confinement(
        isolation=isolation,
        interpreter=interpreter,
        limits=limits,
        root=root,
        scratch=scratch,
        # The kernel does not count the threads of the machine's root.
        count_threads=user is not None or (own_user_namespace and os.geteuid() != 0),
        ruleset=ruleset,
    )


def _problem(step: Callable[[], object]) -> str | None:
    """Try a step in a child process. Returns why it failed, None when it did not."""
    read_fd, write_fd = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            step()
        except OSError as error:
            os.write(write_fd, (error.strerror or str(error)).encode())
            os._exit(1)
        os._exit(0)
    os.close(write_fd)
    with os.fdopen(read_fd) as reader:
        reason = reader.read()
    _, status = os.waitpid(child, 0)
    return None if status == 0 else reason or f"ended with status {status}"


def _try_user(user: int, root: str, scratch: str, interpreter: Interpreter) -> None:
    """Become the user that the programs shall run as, and see whether it can read what it must."""
    if os.geteuid() != 0:
        raise OSError(errno.EPERM, "only root can change the user")
    if root:
        os.chroot(root)
    _become_user(user)
    os.chdir(scratch[len(root) :])
    for file in (interpreter.executable, f"{interpreter.stdlib[0]}/os.py", f"{OWN_CODE}/candidate.py"):
        os.close(os.open(file, os.O_RDONLY))


def _try_landlock() -> None:
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    landlock.enforce(landlock.Ruleset().fd)


def _try_seccomp() -> None:
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    seccomp.install(secrets.randbits(64))


def _become_user(user: int) -> None:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def _rights(interpreter: Interpreter, root: str, scratch: str) -> landlock.Ruleset:
    """Read the interpreter, write the scratch folder."""
    rules = landlock.Ruleset()
    for file in (interpreter.executable, *interpreter.libraries):
        # The loader is a library that the kernel executes.
        rules.allow(root + file, landlock.READ | landlock.EXECUTE)
    for folder in interpreter.stdlib:
        rules.allow(root + folder, landlock.READ_DIR)
        for entry in os.scandir(root + folder):
            if entry.name not in PACKAGE_FOLDERS and os.path.exists(entry.path):
                rules.allow(entry.path, landlock.READ)
    rules.allow(root + OWN_CODE, landlock.READ)
    if os.path.exists(root + namespaces.LOADER_CACHE):
        rules.allow(root + namespaces.LOADER_CACHE, landlock.READ)
    for device in namespaces.DEVICES:
        rules.allow(root + device, landlock.READ | landlock.WRITE_FILE)
    rules.allow(scratch, landlock.SCRATCH)
    return rules


def _duplicate_above(fd: int, lowest: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)
