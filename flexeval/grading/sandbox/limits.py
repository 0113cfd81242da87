"""How much of the machine one program may use."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on one check, the same for every program of a run. Part of what a verdict means."""

    cpu_s: int = 10
    """Processor seconds of the program. What ends an endless loop, whatever else the machine is doing, so that
    verdicts do not depend on the load; MBPP's slowest reference solution needs six on a slow core."""
    wall_s: float = 60.0
    """Seconds from start to verdict. What ends a program that sleeps, and a test that its answers keep busy."""
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
