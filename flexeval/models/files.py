"""A checkpoint: its folder, its JSON files, its family and attention rule, and the checksum of its files.

`places.py` finds the folder. Imports no torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from flexeval.errors import InputError
from flexeval.models.attention import Attention, choose_attention, parse_attention
from flexeval.models.families import Family, family_of
from flexeval.models.lineage import LINEAGE
from flexeval.models.names import MODELS
from flexeval.models.places import (
    ADAPTER_CONFIG,
    DATA_FILES,
    PICKLES,
    adapter_folder,
    base_of,
    bundled_folder,
    cached_folder,
    folder_on_disk,
    is_adapter_alone,
    known_model,
    place_of,
    read_json,
)
from flexeval.models.places import canonical_name as canonical_name
from flexeval.models.places import check_name as check_name
from flexeval.models.recommended import NOTHING_SAID, Recommended, read_recommended

_MORE_TEMPLATES = "additional_chat_templates"
"""Where transformers looks for chat templates beside the first."""
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""How the hub's cache names contents: git's hash of them, or SHA-256."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a model was loaded from."""

    files: str | None
    """Checksum of the files that decide what is computed; None where the model in memory is no longer theirs."""
    revision: str | None
    """Commit of a hub checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint folder and its configuration."""

    name: str
    """How the model was asked for."""
    folder: Path
    config: dict[str, Any]
    """config.json."""
    generation: dict[str, Any]
    """generation_config.json; empty when there is none."""
    chat: bool
    """Whether to use the tokenizer's chat template, if it has one."""
    known_attention: Attention | None = None
    """The attention rule of a registered model."""
    recommended: Recommended = NOTHING_SAID
    """The canvas to decode it with."""
    adapter: Path | None = None
    """The folder of an adapter to merge into the weights."""

    @cached_property
    def family(self) -> Family | None:
        """The family that its files belong to; None where flexeval has no layers for it."""
        # Only these need a look at the weights.
        return family_of(self.config, _weight_names(self.folder) if self.config.get("model_type") == "Dream" else ())

    def attention(self, asked: Attention | None = None) -> Attention:
        """The rule that it was trained with, of which the user may have said something.

        Raises:
            InputError: the family cannot have it, or nothing says which of several it is.
        """
        if self.family is None:
            raise ValueError(f"{self.name!r} has no family")
        return choose_attention(self.name, self.family.attention, self.config, asked or self.known_attention)


def find_checkpoint(spec: str, *, adapter: str | None = None, with_code: bool = False) -> Checkpoint:
    """The checkpoint that a bundled name, a short name, a folder or a hub id stands for.

    A registered name wins over a folder of the same name; write `./name` for the folder. A folder with an adapter alone
    stands for the adapter and the base that it names.

    Args:
        spec: what the user wrote.
        adapter: an adapter for it, a folder or a hub id; see `adapter_folder`.
        with_code: also fetch the Python files of a hub checkpoint.

    Raises:
        InputError: an unknown name, a missing folder, a hub that cannot be reached, an unreadable config.json; whole
            weights beside an adapter, of which nothing says whether it is in them.
    """
    name = spec.strip()
    known = known_model(name)
    folder = place_of(name, with_code=with_code)
    added = None if adapter is None else adapter_folder(adapter)
    if is_adapter_alone(folder):
        if added is not None:
            raise InputError(f"{name!r} is an adapter itself; give its base as the model, and one adapter")
        base = base_of(folder)
        try:
            found = find_checkpoint(base, adapter=str(folder), with_code=with_code)
        except InputError as error:
            raise InputError(
                f"cannot find the base of the adapter {name!r}: {error}; or give the base as the model, and {name!r} "
                "as its --adapter (in Python, adapter=)"
            ) from error
        return dataclasses.replace(found, name=name)
    if (folder / ADAPTER_CONFIG).exists() and (added is None or added.resolve() != folder.resolve()):
        raise InputError(
            f"{name!r} holds whole weights and an adapter, and does not say whether the adapter is merged into them; "
            f"if it is, move {ADAPTER_CONFIG} elsewhere; if not, merge it: --adapter {name} (in Python, adapter=)"
        )
    generation = read_json(folder / "generation_config.json") if (folder / "generation_config.json").exists() else {}
    says = read_recommended(generation)
    return Checkpoint(
        name=name if adapter is None else f"{name} with the adapter {adapter}",
        folder=folder,
        config=read_json(folder / "config.json"),
        generation=generation,
        chat=known is None or known.chat,
        known_attention=parse_attention(known.attention) if known is not None and known.attention else None,
        recommended=known.recommended if says == NOTHING_SAID and known is not None else says,
        adapter=added,
    )


def stated_attention(spec: str) -> Attention | None:
    """The attention rule that a short name or a folder on this machine states; None where nothing does, or no model is.

    Loads no weights.
    """
    name = spec.strip()
    known, folder = known_model(name), folder_on_disk(name)
    if known is None and folder is None:
        return None
    if known is not None and known.attention is not None:
        return parse_attention(known.attention)
    try:
        return find_checkpoint(name).attention() if known is None else None
    except (InputError, ValueError):
        return None  # loading it says what is wrong


def read_source(folder: Path, adapter: Path | None = None) -> Source:
    """Where a checkpoint folder comes from, and the checksum of its files and of those of an adapter, if there is one.

    Reads the files, without parsing them. They are those beside config.json, further chat templates, and the weights
    wherever the index says that they lie.

    In the hub's cache a file is a link to contents that are named by their hash, which then need not be read.

    Raises:
        OSError: a file cannot be read.
        InputError: an index without a weight_map.
    """
    patterns = (*DATA_FILES, "*.py", f"{_MORE_TEMPLATES}/*.jinja")
    names = {path.relative_to(folder).as_posix() for pattern in patterns for path in folder.glob(pattern)}
    blobs = folder.resolve().parent.parent / "blobs"
    digest = hashlib.sha256()
    for name in sorted(names.union(_indexed(folder))):
        path = folder / name
        if name == LINEAGE or not path.is_file():
            continue
        contents = path.resolve()
        if path.is_symlink() and contents.parent == blobs and _HASH.fullmatch(contents.name):
            checksum = contents.name
        else:
            with contents.open("rb") as stream:
                checksum = hashlib.file_digest(stream, "sha256").hexdigest()
        digest.update(f"{name} {checksum}\n".encode())
    if adapter is not None:
        digest.update(f"adapter {read_source(adapter).files}\n".encode())
    return Source(files=digest.hexdigest(), revision=folder.name if folder.parent.name == "snapshots" else None)


def local_source(spec: str, adapter: str | None = None) -> Source | None:
    """As `read_source`, of what the user wrote; None where it is not on this machine."""
    name = spec.strip()
    if name in MODELS:
        repo = MODELS.get(name).repo
        folder = bundled_folder(name) if repo is None else cached_folder(repo)
    else:
        folder = folder_on_disk(name) or cached_folder(name)
    added = None if adapter is None else folder_on_disk(adapter) or cached_folder(adapter)
    if folder is None or (adapter is not None and added is None):
        return None
    return read_source(folder, added)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint folder, in the order of its index.

    Raises:
        InputError: there are none (pickled weights are never loaded), the index names one that is missing, or there
            is an index and one file beside it that it does not name.
    """
    whole = folder / "model.safetensors"
    files = [folder / name for name in _indexed(folder)]
    if not files:
        files = [whole]
        others = sorted(file.name for file in folder.glob("*.safetensors"))
        if others and not whole.exists():
            raise InputError(
                f"{str(folder)!r} holds {others[0]}, and neither {whole.name} nor {whole.name}.index.json, which says "
                "what belongs to the model; restore the index, or give the file that name if it is the whole model"
            )
        if not whole.exists() and any(next(folder.glob(pattern), None) for pattern in PICKLES):
            raise InputError(
                f"{str(folder)!r} holds pickled weights only, which can run code when loaded; "
                "convert them to safetensors first"
            )
    elif whole.exists() and whole not in files:
        raise InputError(
            f"{str(folder)!r} holds {whole.name} and an index of other files ({files[0].name}, ...), and does not say "
            f"which of the two is the model; remove {whole.name}, or {whole.name}.index.json"
        )
    for file in files:
        if not file.is_file():
            raise InputError(f"{str(folder)!r} is incomplete: {file.name} is missing")
    return files


def _indexed(folder: Path) -> list[str]:
    """The files that the index of a checkpoint folder names; none without an index. Raises InputError as it says."""
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return []
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map or not all(isinstance(v, str) for v in weight_map.values()):
        raise InputError(f"cannot read {str(index)!r}: it has no weight_map from weights to files")
    return list(dict.fromkeys(weight_map.values()))


def _weight_names(folder: Path) -> Collection[str]:
    """The names of the weights in a folder's safetensors files; none where these cannot be read."""
    from safetensors import SafetensorError, safe_open

    names: set[str] = set()
    try:
        for file in weight_files(folder):
            with safe_open(file, framework="numpy") as handle:
                names.update(handle.keys())
    except (InputError, SafetensorError, OSError):
        return ()  # loading the weights says what is wrong with them
    return names
