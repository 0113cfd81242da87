"""What a run costs before it is made: mask-predictor evaluations, floating-point operations, GPU-hours.

The model of cost: one evaluation is 2 x parameters x canvas tokens operations (a multiplication and an addition per
weight and token; attention's own share is left out, small at these lengths), computed at a share of the machine's peak.
It is an upper bound: samples stop at the end of their text, equal canvases are evaluated once, and adaptive orders
commit more than the one token a step that is counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from flexeval.errors import InputError
from flexeval.fields import require_types
from flexeval.models import MODELS
from flexeval.models.files import find_checkpoint, weight_files
from flexeval.models.places import cached_folder
from flexeval.records import MOST_POSITIONS, RunConfig
from flexeval.tasks import Task
from flexeval.tasks.data import is_on_hub
from flexeval.tasks.task import problems_of

TERA = 1e12
LEAST, MOST_NUMBERS = 1e-9, 1e18
"""What an estimate takes for speeds, shares and sizes of models: with others it may be beyond all numbers."""
BYTES_PER_SAMPLE, BYTES_PER_POSITION = 300, 32
"""On the disk: a line of samples.jsonl without its text, and a token row (five numbers that do not compress, and
smaller ones that do) with its part of the text."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the operations are computed on."""

    peak_tflops: float = 989.0
    """Of one GPU, in the type of the weights: an H100's or H200's bfloat16 without sparsity."""
    utilization: float = 0.3
    """Share of the peak that sampling reaches, a fraction."""
    prompt_tokens: int = 200
    """Tokens of a prompt, the mean over a task's problems."""

    def __post_init__(self) -> None:
        require_types(self)
        if not LEAST <= self.peak_tflops <= MOST_NUMBERS:
            raise InputError(f"peak_tflops must lie between {LEAST:g} and {MOST_NUMBERS:g}, not {self.peak_tflops}")
        if not LEAST <= self.utilization <= 1:
            raise InputError(f"utilization is a share of the peak between {LEAST:g} and 1, not {self.utilization}")
        if not 0 <= self.prompt_tokens <= MOST_POSITIONS:
            raise InputError(f"prompt_tokens must be at least 0, not {self.prompt_tokens}")

    def hours(self, operations: float | None) -> float | None:
        """How long it takes for so many."""
        return None if operations is None else operations / (self.peak_tflops * TERA * self.utilization) / 3600


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """At most what samples of a run take."""

    samples: int
    evaluations: int
    """Of the mask predictor, over all samples."""
    operations: float | None
    """None where the size of the model is not known."""
    gpu_hours: float | None
    """Likewise."""
    disk_bytes: int
    """In the run folder."""


def estimate(config: RunConfig, *, samples: int, parameters: float | None, machine: Machine) -> Estimate:
    """The cost of samples of a run.

    Args:
        config: the run.
        samples: how many.
        parameters: of its model; None when unknown.
        machine: where it would be made.
    """
    # Imports torch.
    from flexeval.runs.timing import evaluations_per_sample

    length = config.sampling.gen_length
    evaluations = samples * evaluations_per_sample(config)
    operations = operations_of(evaluations, parameters, machine.prompt_tokens + length)
    return Estimate(
        samples=samples,
        evaluations=evaluations,
        operations=operations,
        gpu_hours=machine.hours(operations),
        disk_bytes=samples * (BYTES_PER_SAMPLE + length * BYTES_PER_POSITION),
    )


def operations_of(evaluations: int, parameters: float | None, length: float) -> float | None:
    """Of so many evaluations of canvases of this length; None where the size of the model is not known."""
    return None if parameters is None else 2 * parameters * length * evaluations


def count_problems(config: RunConfig, task: Task) -> int:
    """How many problems a run has. A limit is taken at its word where they would have to come from the hub."""
    if config.limit is not None and is_on_hub(task):
        return config.limit
    return len(problems_of(task)[: config.limit])


def count_parameters(model: str, stated: Mapping[str, float]) -> float | None:
    """The size of a model: as stated, else counted where its weights are on this machine, else None.

    Raises:
        InputError: a checkpoint folder that cannot be read.
    """
    if model in stated:
        return stated[model]
    known = MODELS.get(model) if model in MODELS else None
    if known is not None and known.repo is not None:
        folder = cached_folder(known.repo)
    elif known is not None or Path(model).is_dir():
        folder = find_checkpoint(model).folder
    else:
        folder = cached_folder(model)
    return None if folder is None else float(sum(_elements(path) for path in weight_files(folder)))


def _elements(path: Path) -> int:
    """Numbers in a safetensors file."""
    with safe_open(path, framework="numpy") as tensors:
        return sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
