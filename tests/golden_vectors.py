"""The reference vectors: those of tests/golden, or others of the same layout where FLEXEVAL_SHARED_DIR has them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from flexeval.models import load_model

HERE = Path(__file__).parent / "golden"
FAMILIES = sorted(path.name for path in HERE.iterdir() if path.is_dir())
FIRST = ("llada", "dream")
"""The families of the first set, which is laid out in another folder."""


def folder_of(family: str) -> Path:
    shared = os.environ.get("FLEXEVAL_SHARED_DIR")
    if shared is not None:
        other = Path(shared) / ("golden" if family in FIRST else "golden2") / family
        if other.is_dir():
            return other
    return HERE / family


def decodes_of(family: str) -> dict[str, Any]:
    """{"notes", "decode": a list of cases}."""
    return json.loads((folder_of(family) / "decode.json").read_text())


def load(family: str, tmp: Path, *, attention: str | None = None):
    """The model. What its files leave to a tokenizer, which the vectors do not have, is taken from their notes."""
    source = folder_of(family)
    config = json.loads((source / "config.json").read_text())
    notes = decodes_of(family).get("notes", {})
    said = {name: notes[name] for name in ("mask_token_id", "eos_token_id", "pad_token_id") if name in notes}
    missing = {name: value for name, value in said.items() if config.get(name) is None}
    if missing:
        folder = tmp / family
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config | missing))
        link = folder / "model.safetensors"
        link.unlink(missing_ok=True)
        link.symlink_to(source / "model.safetensors")
        source = folder
    return load_model(str(source), device="cpu", dtype="float32", attention=attention)
