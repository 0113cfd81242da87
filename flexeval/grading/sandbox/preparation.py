"""Find out which layers of isolation this machine grants, and prepare what all candidates of a worker share.

Each layer is first tried in a child process, since half of the steps cannot be undone.
"""

from __future__ import annotations

import errno
import os
import platform
import secrets
from collections.abc import Callable, Collection

from . import landlock, namespaces, seccomp
from .interpreter import PACKAGE_FOLDERS, Interpreter
from .launch import OWN_CODE, Confinement, become_user
from .libc import PR_SET_NO_NEW_PRIVS, prctl
from .records import Isolation, Limits
from .scratch import Scratch

_FIRST_USER = 60_000
"""User ids from here on: inside the 65,536 that containers map, above those that people and packages get."""


def prepare(folder: str, interpreter: Interpreter, limits: Limits, layers: Collection[str], index: int) -> Confinement:
    """Try the layers and put up those that work.

    Args:
        folder: an empty folder of this worker's own.
        interpreter: what runs the candidates.
        limits: on each candidate.
        layers: those of `records.LAYERS` to try.
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
    scratch = Scratch(f"{folder}/scratch")

    user: int | None = _FIRST_USER + index
    if not works("user", lambda: _try_user(_FIRST_USER + index, root, scratch.parent, interpreter)):
        user = None
    ruleset = _rights(interpreter, root, scratch.parent) if works("landlock", _try_landlock) else None
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
        status = 1
        try:
            step()
            status = 0
        except OSError as error:
            os.write(write_fd, (error.strerror or str(error)).encode())
        finally:
            # Whatever was raised, the worker's code must not go on in this copy.
            os._exit(status)
    os.close(write_fd)
    with os.fdopen(read_fd) as reader:
        reason = reader.read()
    _, status = os.waitpid(child, 0)
    return None if status == 0 else reason or f"ended with status {status}"


def _try_user(user: int, root: str, scratch: str, interpreter: Interpreter) -> None:
    """Become the user that will run the programs, and check that it can read what it must."""
    if os.geteuid() != 0:
        raise OSError(errno.EPERM, "only root can change the user")
    if root:
        os.chroot(root)
    become_user(user)
    os.chdir(scratch[len(root) :])
    for file in (interpreter.executable, f"{interpreter.stdlib[0]}/os.py", f"{OWN_CODE}/candidate.py"):
        os.close(os.open(file, os.O_RDONLY))


def _try_landlock() -> None:
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    landlock.enforce(landlock.Ruleset().fd)


def _try_seccomp() -> None:
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    seccomp.install(secrets.randbits(64))


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
