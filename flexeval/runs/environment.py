"""What samples were drawn with: package versions, Python, the revision of a flexeval checkout, and the machine.

Reads package metadata instead of importing packages, so that run folders can be handled without torch. Only if torch
is loaded already, it is asked about the machine.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import flexeval

PACKAGES = ("torch", "transformers", "numpy")
MOVES_NUMBERS = ("gpu", "cuda", "driver", "products", "attention", "torch", "transformers", "dtype")
"""What results depend on everywhere; on a CPU also on "cpu", in half precision also on "batch_size"."""
_DRIVER = Path("/proc/driver/nvidia/version")

Environment = dict[str, str | int | None]


class Memory(NamedTuple):
    """Of a GPU, in bytes."""

    taken: int
    """The most that a process has had so far."""
    total: int


def gpu_memory() -> Memory | None:
    """The memory of the GPU of which this process has taken most; None where it uses none. Does not load torch."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    devices = range(torch.cuda.device_count())
    return max(
        Memory(torch.cuda.max_memory_reserved(i), torch.cuda.get_device_properties(i).total_memory) for i in devices
    )


def environment(
    *,
    device: str,
    dtype: str,
    attention: str | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    isolation: str | None = None,
) -> Environment:
    """The record; None stands for what the machine lacks or does not tell.

    Args:
        device: where the model runs, as torch writes it ("cuda:0").
        dtype: of its weights, without the "torch." ("bfloat16").
        attention: the implementation of its attention, as transformers calls it ("sdpa").
        batch_size: samples in flight at most.
        workers: forwards side by side.
        isolation: of generated programs, in words.
    """
    return {
        "flexeval": flexeval.__version__,
        "git_revision": git_revision(Path(flexeval.__file__).parent),
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        "device": device,
        "dtype": dtype,
        **_machine(device),
        "attention": attention,
        "batch_size": batch_size,
        "workers": workers,
        "isolation": isolation,
    }


def distinct(environments: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The distinct ones, in the order in which they first appear."""
    found: list[Mapping[str, Any]] = []
    for one in environments:
        if one not in found:
            found.append(one)
    return found


def machine_differences(environments: Sequence[Mapping[str, Any]]) -> str | None:
    """One line on the differences that can change numbers; None where there are none, as far as is known."""
    differing = []
    for name in (*MOVES_NUMBERS, "cpu", "batch_size"):
        values = [one[name] for one in environments if one.get(name) is not None and _matters(name, one)]
        if len(set(values)) > 1:
            differing.append(f"{name.replace('_', ' ')} {' | '.join(map(str, dict.fromkeys(values)))}")
    if not differing:
        return None
    return "Samples were not all drawn on the same machine, which can move numbers: " + ", ".join(differing)


def _matters(name: str, environment: Mapping[str, Any]) -> bool:
    if name == "cpu":
        return bool(environment.get("device") == "cpu")
    return name != "batch_size" or environment.get("dtype") not in ("float32", "float64")


def _machine(device: str) -> Environment:
    """The processor, and the GPU if the model runs on one, as far as torch is loaded and tells."""
    torch: Any = sys.modules.get("torch")
    capability = f" {torch.backends.cpu.get_cpu_capability()}" if torch else ""
    on_gpu = bool(torch) and device.startswith("cuda") and torch.cuda.is_available()
    return {
        "cpu": f"{platform.machine()}{capability}",
        "threads": torch.get_num_threads() if torch else None,
        "gpu": torch.cuda.get_device_name(device) if on_gpu else None,
        "cuda": torch.version.cuda if on_gpu else None,
        "driver": _driver() if on_gpu else None,
        "products": _products() if on_gpu else None,
    }


def _products() -> str:
    from flexeval.models.head import products_on_gpu  # only now: it imports torch

    return products_on_gpu()


def _driver() -> str | None:
    """The version of NVIDIA's kernel module; None where the system does not tell."""
    try:
        told = re.search(r"NVRM version:.*?\s(\d+\.[\d.]+)", _DRIVER.read_text())
    except OSError:
        return None
    return told[1] if told else None


def git_revision(package: Path) -> str | None:
    """The commit of the checkout that a package folder lies in, with "-dirty" for uncommitted changes.

    None for an installed package (also one inside another project's checkout), and where git is not installed.
    """
    checkout = package.parent
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        # Without the optional locks, a question about the checkout never gets in the way of other git commands.
        answer = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
        )
    except FileNotFoundError:
        return None
    return answer.stdout.strip() or None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
