"""What runs on this machine, as far as the tests of the sandbox want to know."""

from __future__ import annotations

import os
from pathlib import Path


def children(pid: int) -> list[int]:
    """The processes whose parent is `pid`."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                found.append(int(folder.name))
    return found


def workers() -> set[int]:
    """The sandbox workers of this process; other tests may have left some running that all share."""
    found = set()
    for pid in children(os.getpid()):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"sandbox.worker" in command:
            found.add(pid)
    return found


def scratch_files(worker: int) -> list[str]:
    """What lies in the scratch folder of a worker, which may be visible to the worker alone."""
    mounts = Path(f"/proc/{worker}/mountinfo").read_text().splitlines()
    folders = [fields[4] for fields in map(str.split, mounts) if fields[4].endswith("/scratch")]
    assert len(folders) == 1, "the worker has namespaces of its own"
    return os.listdir(f"/proc/{worker}/root{folders[0]}")
