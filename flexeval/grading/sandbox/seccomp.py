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

X86_64, AARCH64 = 0, 1
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


# ----- the table -----

NUMBERS: dict[str, tuple[int, int | None]] = {
    # files
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "open": (2, None),
    "openat": (257, 56),
    "close": (3, 57),
    "close_range": (436, 436),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "statfs": (137, 43),
    "fstatfs": (138, 44),
    "lseek": (8, 62),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    "chdir": (80, 49),
    "fchdir": (81, 50),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "truncate": (76, 45),
    "ftruncate": (77, 46),
    "fallocate": (285, 47),
    "fadvise64": (221, 223),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "sendfile": (40, 71),
    "copy_file_range": (326, 285),
    "flock": (73, 32),
    "umask": (95, 166),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "pipe": (22, None),
    "pipe2": (293, 59),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    # memory
    "mmap": (9, 222),
    "munmap": (11, 215),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    "membarrier": (324, 283),
    # signals of one's own
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137),
    "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "alarm": (37, None),
    "pause": (34, None),
    "setitimer": (38, 103),
    "getitimer": (36, 102),
    "tgkill": (234, 131),
    # clocks
    "time": (201, None),
    "times": (100, 153),
    "gettimeofday": (96, 169),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "getrusage": (98, 165),
    # who and where am I
    "getpid": (39, 172),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getresuid": (118, 148),
    "getresgid": (120, 150),
    "getgroups": (115, 158),
    "getpgrp": (111, None),
    "getpgid": (121, 155),
    "getsid": (124, 156),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "getrlimit": (97, 163),
    "prlimit64": (302, 261),
    "getpriority": (140, 141),
    "getcpu": (309, 168),
    "getrandom": (318, 278),
    "prctl": (157, 167),
    # threads and the end
    "clone": (56, 220),
    "clone3": (435, 435),
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "get_robust_list": (274, 100),
    "set_tid_address": (218, 96),
    "rseq": (334, 293),
    "arch_prctl": (158, None),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126),
    "execve": (59, 221),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
"""Numbers of the system calls that a program may make, per architecture; None marks those that 64-bit Arm lacks.

A Python that computes, allocates, sleeps, starts threads and uses files in one folder needs these and no others. What
is absent is refused: other processes, sockets, signals to others, tracing, mounting, io_uring, keys, changing owners or
modes.
"""
