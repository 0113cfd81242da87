"""The system call filter: what is not listed is refused, and a few calls are allowed for some arguments only.

The filter is a classic BPF program that the kernel runs before each system call of the process, and of
whatever that process becomes. It is in force before the candidate's interpreter starts, so it must let that
one exec through and no other. The kernel ignores the sixth argument of execve but the filter sees it: the
exec that carries a random number there is ours, and the number is gone with the memory that the exec replaces.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Iterator
from struct import pack

from .libc import PR_SET_SECCOMP, prctl, syscall
from .syscalls import AARCH64, NUMBERS, X86_64

_ARCHITECTURES = {"x86_64": (X86_64, 0xC000003E), "aarch64": (AARCH64, 0xC00000B7)}
"""Column of the table, and the kernel's name for the architecture in the filter's input."""

_MODE_FILTER = 2
_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_REFUSE = 0x00050000 | errno.EPERM
_ABSENT = 0x00050000 | errno.ENOSYS

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NR_OFFSET, _ARCH_OFFSET, _ARGS_OFFSET = 0, 4, 16
_X32_BIT = 0x40000000
"""The 32-bit-pointer system calls of x86-64 come with this bit set; they would slip past the numbers."""

_CLONE_THREAD = 0x00010000
_FCNTL_COMMANDS = (0, 1, 2, 3, 4, 5, 6, 7, 1030, 1032)
"""Duplicate, flags, locks. Not those that make the kernel send signals to a chosen process."""
_IOCTL_COMMANDS = (0x5401, 0x5450, 0x5451, 0x541B)
"""Is it a terminal, close-on-exec on and off, bytes waiting."""
_PRCTL_OPTIONS = (15, 16)
"""The thread's name."""

Instruction = bytes


def install(exec_nonce: int) -> None:
    """Put the filter in force for this process. Needs no_new_privs.

    Args:
        exec_nonce: what `execute` must be given; 64 random bits.

    Raises:
        OSError: no table for this machine, or the kernel has no seccomp.
    """
    if platform.machine() not in _ARCHITECTURES or ctypes.sizeof(ctypes.c_void_p) != 8:
        raise OSError(errno.ENOSYS, f"no table of system calls for {platform.machine()}")
    instructions = b"".join(_program(pid=os.getpid(), exec_nonce=exec_nonce))
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    program = _Program(len(instructions) // 8, ctypes.addressof(buffer))
    prctl(PR_SET_SECCOMP, _MODE_FILTER, program)


def execute(command: list[str], environment: dict[str, str], exec_nonce: int) -> None:
    """The one exec that the filter lets through. Returns only by raising OSError."""
    number = NUMBERS["execve"][_ARCHITECTURES[platform.machine()][0]]
    path = ctypes.create_string_buffer(os.fsencode(command[0]))
    argv = _strings(command)
    envp = _strings([f"{name}={value}" for name, value in environment.items()])
    syscall(_present(number), path, argv, envp, 0, 0, exec_nonce)


def _program(*, pid: int, exec_nonce: int) -> Iterator[Instruction]:
    """The filter for a process of this id."""
    column, architecture = _ARCHITECTURES[platform.machine()]
    numbers = {name: row[column] for name, row in NUMBERS.items()}

    yield _instruction(_LOAD, _ARCH_OFFSET)
    yield _instruction(_JUMP_EQUAL, architecture, then=1)
    yield _instruction(_RETURN, _KILL)
    yield _instruction(_LOAD, _NR_OFFSET)
    if column == X86_64:
        yield _instruction(_JUMP_AT_LEAST, _X32_BIT, otherwise=1)
        yield _instruction(_RETURN, _KILL)

    # Calls that depend on their arguments. Each block ends by returning.
    blocks = {
        "clone": [_low_word(0), _instruction(_JUMP_ANY_BIT, _CLONE_THREAD, otherwise=1)],
        "fcntl": _one_of(1, _FCNTL_COMMANDS),
        "ioctl": _one_of(1, _IOCTL_COMMANDS),
        "prctl": _one_of(0, _PRCTL_OPTIONS),
        "prlimit64": _one_of(0, (0,)),
        "tgkill": _one_of(0, (pid,)),
        "execve": [
            _low_word(5),
            _instruction(_JUMP_EQUAL, exec_nonce & 0xFFFFFFFF, otherwise=3),
            _high_word(5),
            _instruction(_JUMP_EQUAL, exec_nonce >> 32, otherwise=1),
        ],
    }
    for name, conditions in blocks.items():
        block = [*conditions, _instruction(_RETURN, _ALLOW), _instruction(_RETURN, _REFUSE)]
        yield _instruction(_JUMP_EQUAL, _present(numbers[name]), otherwise=len(block))
        yield from block
    # The C library falls back to clone, whose flags can be seen, only when clone3 does not exist.
    yield _instruction(_JUMP_EQUAL, _present(numbers["clone3"]), otherwise=1)
    yield _instruction(_RETURN, _ABSENT)

    # Calls that are always allowed; everything else is refused.
    allowed = [n for name, n in numbers.items() if n is not None and name not in blocks and name != "clone3"]
    for index, number in enumerate(allowed):
        yield _instruction(_JUMP_EQUAL, number, then=len(allowed) - index)
    yield _instruction(_RETURN, _REFUSE)
    yield _instruction(_RETURN, _ALLOW)


def _one_of(argument: int, values: tuple[int, ...]) -> list[Instruction]:
    """Go on to the next instruction (allow) for one of the values, else skip it (refuse)."""
    tests = [
        _instruction(_JUMP_EQUAL, value, then=len(values) - 1 - index, otherwise=0 if index < len(values) - 1 else 1)
        for index, value in enumerate(values)
    ]
    return [_low_word(argument), *tests]


def _low_word(argument: int) -> Instruction:
    return _instruction(_LOAD, _ARGS_OFFSET + 8 * argument)


def _high_word(argument: int) -> Instruction:
    return _instruction(_LOAD, _ARGS_OFFSET + 8 * argument + 4)


def _instruction(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> Instruction:
    """One BPF instruction; a jump skips `then` or `otherwise` instructions."""
    return pack("<HBBI", code, then, otherwise, value)


def _present(number: int | None) -> int:
    assert number is not None
    return number


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _strings(texts: list[str]) -> ctypes.Array[ctypes.c_char_p]:
    """A NULL-terminated array of C strings."""
    return (ctypes.c_char_p * (len(texts) + 1))(*map(os.fsencode, texts), None)
