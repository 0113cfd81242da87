"""flexeval: what does the decoding order of a masked diffusion language model do to the answers it can reach?

The names below are imported on first use, so that `import flexeval` costs nothing.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # without `typing`, which would be half of what importing this costs
if TYPE_CHECKING:
    from typing import Any

    from flexeval.models import load_model as load_model
    from flexeval.orders import get_order as get_order
    from flexeval.runs.runner import run as run
    from flexeval.runs.store import read_runs as read_runs
    from flexeval.sampling import sample as sample
    from flexeval.tasks import get_task as get_task

__version__ = "0.1.0"

_LAZY = {
    "load_model": "flexeval.models",
    "get_order": "flexeval.orders",
    "get_task": "flexeval.tasks",
    "sample": "flexeval.sampling",
    "run": "flexeval.runs.runner",
    "read_runs": "flexeval.runs.store",
    "Problem": "flexeval.records",
    "Prompt": "flexeval.records",
    "SamplingConfig": "flexeval.records",
    "RunConfig": "flexeval.records",
    "Trajectory": "flexeval.records",
    "Grade": "flexeval.records",
    "Sample": "flexeval.records",
}

__all__ = ["Grade", "Problem", "Prompt", "RunConfig", "Sample", "SamplingConfig", "Trajectory", "get_order", "get_task",
           "load_model", "read_runs", "run", "sample"]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'flexeval' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
