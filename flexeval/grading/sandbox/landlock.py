"""Landlock: the files that a process may open, and nothing else in the file system.

A rule grants rights on a file, or on a folder and all that lies below it. What no rule grants is refused,
whoever the process is. From version 4 of the interface TCP is refused as well, from version 6 signals and
abstract sockets to the outside.
"""

from __future__ import annotations

import ctypes
import errno
import os
from struct import pack

from .libc import syscall

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE = 1 << 4, 1 << 5
MAKE_DIR, MAKE_REG = 1 << 7, 1 << 8
TRUNCATE = 1 << 14
_FILES_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Every right on files that the version of the interface knows; it is denied unless granted."""
_TCP = 0b11
_SCOPES = 0b11

READ = READ_FILE | READ_DIR
SCRATCH = READ | WRITE_FILE | TRUNCATE | MAKE_DIR | MAKE_REG | REMOVE_DIR | REMOVE_FILE
_FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
"""What a rule on a file, not a folder, may grant."""


class _RulesetAttributes(ctypes.Structure):
    """struct landlock_ruleset_attr."""

    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


def abi_version() -> int:
    """Version of the interface; 0 where the kernel has no Landlock or has it turned off."""
    try:
        return syscall(_CREATE_RULESET, None, 0, _VERSION)
    except OSError:
        return 0


class Ruleset:
    """Rights on files. Made once; each candidate binds itself by it.

    Raises OSError where the kernel has no Landlock.
    """

    def __init__(self) -> None:
        abi = abi_version()
        if abi == 0:
            raise OSError(errno.EOPNOTSUPP, "the kernel has no Landlock, or has it turned off")
        self._files = _FILES_BY_ABI[max(version for version in _FILES_BY_ABI if version <= abi)]
        attributes = _RulesetAttributes(self._files, _TCP if abi >= 4 else 0, _SCOPES if abi >= 6 else 0)
        size = 24 if abi >= 6 else 16 if abi >= 4 else 8
        self.fd = syscall(_CREATE_RULESET, attributes, size, 0)

    def allow(self, path: str, rights: int) -> None:
        """Grant rights on a file, or on a folder and everything below it."""
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not os.path.isdir(path):
                rights &= _FILE_RIGHTS
            # struct landlock_path_beneath_attr, which is packed
            rule = ctypes.create_string_buffer(pack("=Qi", rights & self._files, fd))
            syscall(_ADD_RULE, self.fd, _PATH_BENEATH, rule, 0)
        finally:
            os.close(fd)


def enforce(ruleset_fd: int) -> None:
    """Bind this process by a ruleset, for good. Needs no_new_privs."""
    syscall(_RESTRICT_SELF, ruleset_fd, 0)
