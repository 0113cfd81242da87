"""How a sampler uses the threads of a CPU."""

from __future__ import annotations

import functools

import torch

from flexeval.models.predictor import MaskPredictor


def side_by_side(model: MaskPredictor) -> int:
    """How many forwards to run side by side: on a CPU, as many as torch would use threads within one operation.

    Threads within the operations of a small model mostly wait for each other, the more so on cores that other
    processes use too. OMP_NUM_THREADS bounds both. On a CPU, torch's own number of threads becomes 1.
    """
    return _give_up_threads() if model.device.type == "cpu" else 1


@functools.cache
def _give_up_threads() -> int:
    """Torch's number of threads, which becomes 1."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    return threads
