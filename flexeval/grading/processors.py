"""How many processors this process may use."""

from __future__ import annotations

import os

_most: int | None = None


def processors() -> int:
    """At least 1; all processors of the machine if the system (macOS) cannot bind a process to some of them."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return found if _most is None else min(found, _most)


def use_at_most(count: int) -> None:
    """From now on, this process uses so many processors at most: others of ours use the rest of the machine."""
    global _most
    _most = count
