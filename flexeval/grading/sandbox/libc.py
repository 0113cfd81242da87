"""The Linux system calls that Python's `os` lacks. Each raises OSError where the kernel says no."""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

PR_SET_PDEATHSIG = 1
PR_SET_SECCOMP = 22
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_REC = 16384
MS_SLAVE = 1 << 19
MS_RELATIME = 1 << 21

_CAPABILITY_VERSION_3 = 0x20080522

Argument = int | ctypes.Array[ctypes.c_char] | ctypes.Array[ctypes.c_char_p] | ctypes.Structure | None


def syscall(number: int, *arguments: Argument) -> int:
    """A system call by its number. An int travels as an unsigned long, a buffer as its address."""
    return _checked(_libc.syscall(ctypes.c_long(number), *map(_word, arguments)), f"system call {number}")


def prctl(option: int, *arguments: Argument) -> int:
    """Ask something of this process (prctl). The arguments left out are zero, as newer options demand."""
    words = [_word(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    return _checked(_libc.prctl(ctypes.c_int(option), *words), f"prctl {option}")


def unshare(namespaces: int) -> None:
    """Leave these namespaces (CLONE_NEW*) for new ones."""
    _checked(_libc.unshare(ctypes.c_int(namespaces)), "unshare")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """Mount `source` on the folder or file `target`."""
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    code = _libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3])
    _checked(code, f"mount on {target}")


def bound_capabilities() -> None:
    """Empty the bounding set, so that no exec can give a capability back. Does nothing without the right to do so."""
    capability = 0
    while True:
        try:
            held = prctl(PR_CAPBSET_READ, capability)
        except OSError:  # past the last one that this kernel knows
            return
        if held:
            try:
                prctl(PR_CAPBSET_DROP, capability)
            except PermissionError:
                return
        capability += 1


def clear_capabilities() -> None:
    """Give up every capability that this process has."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _checked(_libc.capset(header, nothing), "capset")


def _word(argument: Argument) -> object:
    if argument is None:
        return ctypes.c_void_p(None)
    if isinstance(argument, int):
        return ctypes.c_ulong(argument)
    return ctypes.c_void_p(ctypes.addressof(argument))


def _checked(result: int, what: str) -> int:
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return int(result)
