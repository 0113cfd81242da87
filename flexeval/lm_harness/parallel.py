"""The processes that share an evaluation: `accelerate launch` or torchrun, one model each.

lm-eval deals the documents out by rank and gathers the results; this is all it needs for that. A single process
needs neither accelerate nor torch.distributed.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from accelerate import PartialState

PATIENCE = timedelta(weeks=52)
"""How long a process waits for the others, whose answers may take far longer. Torch's own 10 minutes (30 on a CPU)
would end the evaluation."""


class Processes:
    """The processes that were launched together, seen from one of them."""

    def __init__(self) -> None:
        self.state: PartialState | None = None
        launched = int(os.environ.get("WORLD_SIZE", "1"))
        if launched > 1:
            from accelerate import PartialState
            from accelerate.utils import parse_flag_from_env

            # By itself accelerate takes several processes on one CPU for independent ones.
            cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.cuda.is_available()
            self.state = PartialState(cpu=cpu, timeout=PATIENCE)
            if self.state.num_processes != launched:
                raise RuntimeError(f"{launched} processes were launched, but accelerate knows {self.size}")

    @property
    def rank(self) -> int:
        """0 for the one that reports."""
        return 0 if self.state is None else int(self.state.process_index)

    @property
    def size(self) -> int:
        """How many there are."""
        return 1 if self.state is None else int(self.state.num_processes)

    @property
    def device(self) -> str:
        """Where this one's model goes unless the user says otherwise."""
        if self.state is None:
            return "auto"
        # accelerate numbers CPUs too.
        return "cpu" if self.state.device.type == "cpu" else str(self.state.device)

    def gather_object(self, obj: Any, dst: int) -> list[Any] | None:
        """Everybody's objects at process `dst`, None at the others."""
        if self.state is None:
            return [obj]
        everybody: list[Any] | None = [None] * self.size if self.rank == dst else None
        torch.distributed.gather_object(obj, everybody, dst=dst)
        return everybody

    def wait(self) -> None:
        """Return once everybody has come here."""
        if self.state is not None:
            self.state.wait_for_everyone()
