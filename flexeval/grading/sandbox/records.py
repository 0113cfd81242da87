"""What the sandbox is asked and answers, what one program may use, and what isolates it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Outcome = Literal["passed", "failed", "crashed", "timed out", "unsupported result"]
"""All tests passed; a test failed; the program raised, ended or lacks its function; time ran out; the program returned
an object that cannot be compared without trusting the program."""


@dataclass(frozen=True, kw_only=True)
class ProgramCheck:
    """One generated program and the tests that it has to pass."""

    program: str
    """The program under test; runs as the candidate."""
    tests: str
    """Statements that raise nothing if, and only if, the program is right; run by the judge."""
    entry_point: str
    """The function that the program must define."""
    preamble: str = ""
    """What else the tests may use (helper functions that the problem gives); run by the judge, before the tests."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer to one check."""

    outcome: Outcome
    reason: str | None = None
    """Why it did not pass, on one line of bounded length without control characters; None when it did."""
    seconds: float = 0.0
    """Wall time from request to answer. It depends on the machine as much as on the program."""

    @property
    def passed(self) -> bool:
        """Whether the program is right."""
        return self.outcome == "passed"


MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on one check, the same for every program of a run; a verdict depends on them."""

    cpu_s: int = 10
    """Processor seconds of the program, and as many of its judge. They end an endless loop however busy the machine is,
    so verdicts do not depend on the load. MBPP's slowest reference solution needs six on a slow core."""
    wall_s: float = 60.0
    """Seconds from start to verdict. They end a program that sleeps."""
    memory_mib: int = 1024
    """Address space of the program, and of its judge."""
    file_mib: int = 16
    """Largest file that the program can write."""
    scratch_mib: int = 64
    """All files of the program together. In force with namespaces only."""
    open_files: int = 64
    """File descriptors of the program."""
    threads: int = 64
    """Threads and processes of the program. In force where the program has a user id or a user namespace of its
    own; elsewhere memory bounds them."""
    message_mib: int = 8
    """Longest answer to one call, encoded."""


LAYERS = ("landlock", "seccomp", "namespaces", "user")
"""What may be missing on a machine. Limits on resources, an empty environment, no new privileges, no
capabilities and the deadline are always in force."""


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """The isolation in force, as tested on this machine."""

    landlock: int = 0
    """Version of the Landlock interface: only the interpreter can be read, only the scratch folder written;
    from 4 no TCP, from 6 no signals to the outside. 0 for none."""
    seccomp: bool = False
    """Only the system calls of a computing Python are allowed: no processes, sockets or signals to others."""
    namespaces: bool = False
    """Own root folder, network, process ids, inter-process communication."""
    user: int | None = None
    """The programs run as this user id, which owns nothing; None: as the user that grades."""
    python: str = ""
    """Version of the interpreter that runs the programs."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Layer -> why it is not in force."""

    @property
    def confined(self) -> bool:
        """Whether programs can reach neither the files nor the processes of the machine."""
        return self.namespaces or (self.landlock > 0 and self.seccomp)

    def summary(self) -> str:
        """One line for people."""
        parts = [
            f"Landlock {self.landlock}" if self.landlock else "",
            "seccomp" if self.seccomp else "",
            "namespaces" if self.namespaces else "",
            f"user {self.user}" if self.user is not None else "",
            "limits",
        ]
        line = f"Python {self.python} under " + ", ".join(part for part in parts if part)
        if self.missing:
            line += "; without " + ", ".join(f"{layer} ({why})" for layer, why in self.missing.items())
        return line

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a run's record."""
        return asdict(self)
