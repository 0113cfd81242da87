"""Runs in the setting that "The Flexibility Trap" was measured in, and a setting away from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flexeval.models.lineage import Lineage
from flexeval.records import RunConfig, SamplingConfig, SamplingEffort
from flexeval.runs.store import Run

SIZES = {"gsm8k": 1319, "math500": 500, "humaneval": 164, "mbpp": 500}
PAPERS = {"model": "GSAI-ML/LLaDA-8B-Instruct", "task": "gsm8k:template=d1"}


def paper_run(
    order: str = "ar",
    *,
    samples: int = 1,
    problems: int | None = None,
    record: dict[str, Any] | None = None,
    lineage: Lineage | None = None,
    **settings: Any,
) -> Run:
    """A run in memory of a whole benchmark; `settings` are fields of `RunConfig` and `SamplingConfig`."""
    settings = {**PAPERS, **settings}
    of_run = {name: settings.pop(name) for name in ("model", "task")}
    config = RunConfig(order=order, sampling=SamplingConfig(**settings), num_samples=samples, **of_run)
    ids = [f"p{i}" for i in range(problems or SIZES[config.task.partition(":")[0]])]
    correct = np.random.default_rng(0).random(len(ids) * samples) < 0.5
    return Run(
        folder=Path("like-the-paper"),
        config=config,
        record={**(record or {}), **({"lineage": lineage.as_dict()} if lineage else {})},
        problems=pd.DataFrame({"problem_id": ids, "question": "?", "target": "1"}),
        samples=pd.DataFrame(
            {
                "problem_id": np.repeat(ids, samples),
                "sample_index": np.tile(np.arange(samples), len(ids)),
                "text": "x",
                "correct": correct,
                "nfe": 256,
                "length": 100,
            }
        ),
        effort=SamplingEffort(),
    )
