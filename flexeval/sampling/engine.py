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
    """Who makes use of the engine now, by the ids of the threads that asked. Torch has a number of threads for each."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    blocks: dict[int, int] = field(default_factory=dict)
    """How many blocks of `running` each is in."""
    before: dict[int, int] = field(default_factory=dict)
    """How many threads torch had in each before its first block, until it has them back."""
    divided: int = 0
    """What a thread that is new meanwhile gets from torch."""
    for_good: bool = False

    def threads(self) -> int:
        """How many threads torch has in this thread when nobody divides them."""
        now = torch.get_num_threads()
        inherited = max(self.before.values(), default=now) if self.blocks and now == self.divided else now
        return self.before.get(threading.get_ident(), inherited)

    def begin(self, workers: int) -> int:
        """Divide the threads; the id for `end`."""
        with self.lock:
            asking = threading.get_ident()
            if asking not in self.blocks:
                self.before[asking] = self.threads()
                self.divided = max(1, self.before[asking] // workers)
                torch.set_num_threads(self.divided)
            self.blocks[asking] = self.blocks.get(asking, 0) + 1
            return asking

    def end(self, asking: int) -> None:
        """Give them back, once no block is left. A block that ends in another thread leaves that to the next one."""
        with self.lock:
            self.blocks[asking] -= 1
            if not self.blocks[asking]:
                del self.blocks[asking]
                if asking == threading.get_ident():
                    torch.set_num_threads(self.before.pop(asking))


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
        threads = _USERS.threads()
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
    _keep_memory()
    users = _USERS
    asking = users.begin(workers)
    try:
        yield
    finally:
        users.end(asking)


def run_for_good(model: MaskPredictor) -> int:
    """As `running` until the process ends, for programs that are ours; how many forwards to run side by side."""
    workers = side_by_side(model)
    if _on_cpu(model) and not _USERS.for_good:
        _USERS.for_good = True
        _keep_memory()
        _USERS.begin(workers)
    return workers


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
