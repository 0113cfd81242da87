"""How a process uses a CPU: forwards side by side, each in its own thread, and memory that is kept.

Threads within the operations of a small model mostly wait for each other, even more so on cores that other processes
use. So torch's threads are divided among forwards. OMP_NUM_THREADS bounds both. Other devices are left alone.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from flexeval.models.predictor import MaskPredictor


@dataclass(kw_only=True)
class _Users:
    """How many make use of the engine now, and how many threads torch had before the first."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    count: int = 0
    threads: int = 1
    own: threading.local = field(default_factory=threading.local)
    """`count`: those of one thread of the caller. Torch has a number of threads for each."""
    for_good: bool = False


_USERS = _Users()


def side_by_side(model: MaskPredictor, most: int | None = None) -> int:
    """How many forwards of a model to run side by side: on a CPU, one for each of torch's threads.

    Args:
        model: says which device.
        most: forwards that there can be.
    """
    if not _on_cpu(model):
        return 1
    with _USERS.lock:
        threads = _USERS.threads if _USERS.count else torch.get_num_threads()
    return min(threads, most or threads)


@contextmanager
def running(model: MaskPredictor, workers: int) -> Iterator[None]:
    """Within this block, torch's threads on a CPU are divided among so many workers, and freed memory is kept.

    Afterwards torch has its threads back. Blocks may overlap; then the first of each thread of the caller says how many
    each worker has.
    """
    if not _on_cpu(model):
        yield
        return
    users = _USERS
    _begin(users, workers)
    try:
        yield
    finally:
        with users.lock:
            users.count -= 1
            users.own.count = getattr(users.own, "count", 1) - 1
        if not users.own.count:
            torch.set_num_threads(users.threads)


def run_for_good(model: MaskPredictor) -> int:
    """As `running` until the process ends, for programs that are ours; how many forwards to run side by side."""
    workers = side_by_side(model)
    if _on_cpu(model) and not _USERS.for_good:
        _USERS.for_good = True
        _begin(_USERS, workers)
    return workers


def _begin(users: _Users, workers: int) -> None:
    _keep_memory()
    with users.lock:
        if not users.count:
            users.threads = torch.get_num_threads()
        users.count += 1
        within = getattr(users.own, "count", 0)
        users.own.count = within + 1
    if not within:
        torch.set_num_threads(max(1, users.threads // workers))


def _on_cpu(model: MaskPredictor) -> bool:
    return torch.device(model.device).type == "cpu"


@functools.cache
def _keep_memory() -> None:
    """Make glibc reuse freed memory; by default it returns blocks of a forward's size to the system each time.

    Getting them back page by page costs a small model's forward a tenth of its time or more. Does nothing with other C
    libraries.
    """
    trim_threshold, mmap_threshold = -1, -3  # parameters of mallopt (malloc.h)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(mmap_threshold, 32 << 20)
        mallopt(trim_threshold, 1 << 30)
