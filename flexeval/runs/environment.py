"""What a run was made with: package versions, Python, the revision of a flexeval checkout, device and dtype.

Reads package metadata instead of importing packages, so that a run folder can be handled without torch.
"""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import flexeval

PACKAGES = ("torch", "transformers", "numpy")


def environment(*, device: str, dtype: str) -> dict[str, str | None]:
    """The record for config.json; None stands for a package or a checkout that is not there.

    Args:
        device: where the model runs, as torch writes it ("cuda:0").
        dtype: of its weights, without the "torch." ("bfloat16").
    """
    return {
        "flexeval": flexeval.__version__,
        "git_revision": git_revision(Path(flexeval.__file__).parent),
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        "device": device,
        "dtype": dtype,
    }


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
