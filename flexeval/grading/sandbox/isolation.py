"""Which walls stand between a program and the machine. Recorded with every result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

LAYERS = ("landlock", "seccomp", "namespaces", "user")
"""What may be missing on a machine. Limits on resources, an empty environment, no new privileges, no
capabilities and the deadline are always in force."""


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """The isolation that is in force, as tried out on this machine."""

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
        """Whether the files and the processes of the machine are both out of the programs' reach."""
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
