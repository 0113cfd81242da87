"""How a sampler uses the threads of a CPU."""

from __future__ import annotations

import ctypes
import functools

import torch

from flexeval.models.predictor import MaskPredictor

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt (malloc.h)."""


def side_by_side(model: MaskPredictor) -> int:
    """How many forwards to run side by side: on a CPU, as many as torch would use threads within one operation.

    Threads within the operations of a small model mostly wait for each other, the more so on cores that other
    processes use too. OMP_NUM_THREADS bounds both. On a CPU, torch's own number of threads becomes 1, and the process
    keeps the memory that it frees.
    """
    return _settle_down() if model.device.type == "cpu" else 1


@functools.cache
def _settle_down() -> int:
    """Torch's number of threads, which becomes 1."""
    _keep_memory()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    return threads


def _keep_memory() -> None:
    """Have glibc reuse freed memory; by default it returns blocks of a forward's size to the system each time.

    Getting them back page by page costs a small model's forward a tenth of its time, or more. Does nothing with other C
    libraries.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        mallopt(_M_TRIM_THRESHOLD, 1 << 30)
