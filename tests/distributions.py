"""Installed packages of others, laid out in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from flexeval.registry import Registry


def install(folder: Path, name: str, code: str, entry_points: Mapping[str, str]) -> None:
    """Lay out an installed distribution with one module, which is called as it is, with underscores.

    Args:
        folder: is to be on the path.
        name: of the distribution.
        code: of the module.
        entry_points: group -> its lines.
    """
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(code)
    about = folder / f"{module}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    groups = [f"[{group}]\n{lines}\n" for group, lines in entry_points.items()]
    (about / "entry_points.txt").write_text("\n".join(groups))


def read_again(monkeypatch: pytest.MonkeyPatch, *registries: Registry) -> None:
    """Let registries find what is installed now; afterwards they are as before."""
    for registry in registries:
        for name in ("_targets", "_aliases", "_summaries", "_plugins"):
            monkeypatch.setattr(registry, name, getattr(registry, name).copy())
        monkeypatch.setattr(registry, "_plugins_read", False)
