"""The system call filter, decided by a small interpreter of its instructions, for both architectures."""

from __future__ import annotations

import errno
import platform
import re
from pathlib import Path
from struct import iter_unpack

import pytest

from flexeval.grading.sandbox import seccomp
from flexeval.grading.sandbox.seccomp import AARCH64, NUMBERS, X86_64

pytestmark = pytest.mark.linux

ALLOWED, KILLED = 0x7FFF0000, 0x80000000
REFUSED, ABSENT = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
COLUMNS = {"x86_64": X86_64, "aarch64": AARCH64}
PID, NONCE = 4321, 0xDEADBEEF_12345678


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(platform, "machine", lambda: request.param)
    return str(request.param)


def verdict(machine: str, name_or_number: str | int, *arguments: int, audit: int | None = None) -> int:
    """What the filter says about one call."""
    number = NUMBERS[name_or_number][COLUMNS[machine]] if isinstance(name_or_number, str) else name_or_number
    assert number is not None
    words = {0: number, 4: AUDIT[machine] if audit is None else audit}
    for index, argument in enumerate((*arguments, 0, 0, 0, 0, 0, 0)[:6]):
        words[16 + 8 * index] = argument & 0xFFFFFFFF
        words[20 + 8 * index] = argument >> 32 & 0xFFFFFFFF
    instructions = list(iter_unpack("<HBBI", b"".join(seccomp._program(pid=PID, exec_nonce=NONCE))))
    at, word = 0, 0
    while True:
        code, then, otherwise, value = instructions[at]
        at += 1
        if code == 0x20:
            word = words[value]
        elif code == 0x06:
            return int(value)
        else:
            jumps = {0x15: word == value, 0x35: word >= value, 0x45: bool(word & value)}
            at += then if jumps[code] else otherwise


CONDITIONAL = {"clone", "clone3", "execve", "fcntl", "ioctl", "prctl", "prlimit64", "tgkill"}


def test_exactly_the_listed_calls_are_allowed(machine: str) -> None:
    listed = {row[COLUMNS[machine]] for name, row in NUMBERS.items() if name not in CONDITIONAL}
    conditional = {NUMBERS[name][COLUMNS[machine]] for name in CONDITIONAL}
    for number in range(600):
        if number not in conditional:
            assert verdict(machine, number) == (ALLOWED if number in listed else REFUSED), number


def test_a_call_in_the_manner_of_another_architecture_kills(machine: str) -> None:
    assert verdict(machine, "read", audit=0x40000003) == KILLED
    if machine == "x86_64":
        assert verdict(machine, 0x40000000) == KILLED


def test_only_threads_can_be_cloned(machine: str) -> None:
    glibc_thread, fork = 0x3D0F00, 17
    assert verdict(machine, "clone", glibc_thread) == ALLOWED
    assert verdict(machine, "clone", fork) == REFUSED
    assert verdict(machine, "clone3", 1, 88) == ABSENT


def test_only_the_exec_that_knows_the_number_goes_through(machine: str) -> None:
    assert verdict(machine, "execve", 1, 2, 3, 0, 0, NONCE) == ALLOWED
    for wrong in (0, NONCE ^ 1, NONCE ^ 1 << 40, NONCE & 0xFFFFFFFF, NONCE >> 32 << 32):
        assert verdict(machine, "execve", 1, 2, 3, 0, 0, wrong) == REFUSED


def test_arguments_decide_about_the_rest(machine: str) -> None:
    set_owner, set_signal, duplicate = 8, 10, 0
    assert verdict(machine, "fcntl", 3, duplicate) == ALLOWED
    assert verdict(machine, "fcntl", 3, 1030) == ALLOWED
    assert verdict(machine, "fcntl", 3, set_owner) == REFUSED
    assert verdict(machine, "fcntl", 3, set_signal) == REFUSED
    assert verdict(machine, "tgkill", PID, PID, 6) == ALLOWED
    assert verdict(machine, "tgkill", PID + 1, PID + 1, 9) == REFUSED
    assert verdict(machine, "prlimit64", 0, 7) == ALLOWED
    assert verdict(machine, "prlimit64", PID, 7) == REFUSED
    thread_name, seccomp_mode = 15, 22
    assert verdict(machine, "prctl", thread_name) == ALLOWED
    assert verdict(machine, "prctl", seccomp_mode) == REFUSED
    is_terminal, push_input = 0x5401, 0x5412
    assert verdict(machine, "ioctl", 0, is_terminal) == ALLOWED
    assert verdict(machine, "ioctl", 0, push_input) == REFUSED


def test_another_machine_is_refused_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(OSError, match="riscv64"):
        seccomp.install(1)


HEADERS = {
    X86_64: Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    AARCH64: Path("/usr/include/asm-generic/unistd.h"),
}
GENERIC_NAMES = {"newfstatat": "fstatat"}


@pytest.mark.parametrize("column", [X86_64, AARCH64], ids=["x86_64", "aarch64"])
def test_the_numbers_are_those_of_the_kernel_headers(column: int) -> None:
    if not HEADERS[column].is_file():
        pytest.skip(f"needs the kernel's headers: {HEADERS[column]} (Debian: linux-libc-dev)")
    text = HEADERS[column].read_text()
    numbers = {name: int(n) for name, n in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    for name, row in NUMBERS.items():
        assert row[column] == numbers.get(name, numbers.get(GENERIC_NAMES.get(name, ""))), name
