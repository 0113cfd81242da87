"""What the user wrote -> a checkpoint folder on this machine, and its JSON files.

Knows short names, folders and the hub; does not know what the files mean. Imports no torch.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from flexeval.errors import InputError, did_you_mean, one_line
from flexeval.models.attention import Attention, choose_attention, parse_attention
from flexeval.models.families import Family, family_of
from flexeval.models.lineage import LINEAGE
from flexeval.models.names import MODELS, KnownModel
from flexeval.reading import parse_object, read_bytes

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
DATA_FILES = ("*.json", "*.safetensors", "*.jinja", "merges.txt", "vocab.txt", "*.model")
"""What is fetched from the hub: never a pickle, and Python files only if the user trusts the checkpoint's code."""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


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


def find_checkpoint(spec: str, *, with_code: bool = False) -> Checkpoint:
    """The checkpoint that a bundled name, a short name, a folder or a hub id stands for.

    A registered name wins over a folder of the same name; write `./name` for the folder.

    Args:
        spec: what the user wrote.
        with_code: also fetch the Python files of a hub checkpoint.

    Raises:
        InputError: an unknown name, a missing folder, a hub that cannot be reached, an unreadable config.json.
    """
    name = spec.strip()
    known = _known(name)
    folder = _folder(name, with_code=with_code)
    return Checkpoint(
        name=name,
        folder=folder,
        config=read_json(folder / "config.json"),
        generation=read_json(folder / "generation_config.json") if (folder / "generation_config.json").exists() else {},
        chat=known is None or known.chat,
        known_attention=parse_attention(known.attention) if known is not None and known.attention else None,
    )


def stated_attention(spec: str) -> Attention | None:
    """The attention rule that a short name or a folder on this machine states; None where nothing does, or no model is.

    Loads no weights.
    """
    name = spec.strip()
    known, folder = _known(name), _folder_on_disk(name)
    if known is None and folder is None:
        return None
    if known is not None and known.attention is not None:
        return parse_attention(known.attention)
    try:
        return find_checkpoint(name).attention() if known is None else None
    except (InputError, ValueError):
        return None  # loading it says what is wrong


def canonical_name(spec: str) -> str:
    """One name for each model: a short name, a hub id that has none, or the absolute path of a folder.

    A name that is neither registered nor a folder stays as it is; loading it says what is wrong.
    """
    name = spec.strip()
    if name in MODELS:
        return MODELS.canonical(name)
    if (folder := _folder_on_disk(name)) is not None:
        return str(folder.resolve())
    return next((short for short, model in MODELS.usable() if model.repo == name), name)


def read_source(folder: Path) -> Source:
    """Where a checkpoint folder comes from, and the checksum of its files. Reads the files, without parsing them.

    In the hub's cache a file is a link to contents that are named by their hash, which then need not be read.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in sorted({path for pattern in (*DATA_FILES, "*.py") for path in folder.glob(pattern)}):
        if path.name == LINEAGE or not path.is_file():
            continue
        contents = path.resolve()
        if path.is_symlink() and contents.parent.name == "blobs":
            checksum = contents.name
        else:
            with contents.open("rb") as stream:
                checksum = hashlib.file_digest(stream, "sha256").hexdigest()
        digest.update(f"{path.name} {checksum}\n".encode())
    return Source(files=digest.hexdigest(), revision=folder.name if folder.parent.name == "snapshots" else None)


def local_source(spec: str) -> Source | None:
    """As `read_source`, of what the user wrote; None where it is not on this machine."""
    name = spec.strip()
    if name in MODELS:
        repo = MODELS.get(name).repo
        folder = _bundled(name) if repo is None else _cached(repo)
    else:
        folder = _folder_on_disk(name) or _cached(name)
    return read_source(folder) if folder is not None else None


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises InputError when it is missing, unreadable or something else."""
    if not path.exists():
        raise InputError(f"{str(path.parent)!r} is not a checkpoint: it has no {path.name}")
    return parse_object(read_bytes(path, what=f"the checkpoint's {path.name}"), where=f"cannot read {str(path)!r}: it")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint folder, in the order of its index.

    Raises:
        InputError: there are none (pickled weights are never loaded), or the index names one that is missing.
    """
    index = folder / "model.safetensors.index.json"
    if index.exists():
        weight_map = read_json(index).get("weight_map")
        if (
            not isinstance(weight_map, dict)
            or not weight_map
            or not all(isinstance(v, str) for v in weight_map.values())
        ):
            raise InputError(f"cannot read {str(index)!r}: it has no weight_map from weights to files")
        files = [folder / name for name in dict.fromkeys(weight_map.values())]
    else:
        files = [folder / "model.safetensors"]
        if not files[0].exists() and any(next(folder.glob(pattern), None) for pattern in PICKLES):
            raise InputError(
                f"{str(folder)!r} holds pickled weights only, which can run code when loaded; "
                "convert them to safetensors first"
            )
    for file in files:
        if not file.is_file():
            raise InputError(f"{str(folder)!r} is incomplete: {file.name} is missing")
    return files


def _weight_names(folder: Path) -> Collection[str]:
    """The names of the weights in a folder's safetensors files; none where these cannot be read."""
    from safetensors import SafetensorError, safe_open

    names: set[str] = set()
    for file in folder.glob("*.safetensors"):
        try:
            with safe_open(file, framework="numpy") as handle:
                names.update(handle.keys())
        except (SafetensorError, OSError):
            return ()  # loading the weights says what is wrong with them
    return names


def _known(name: str) -> KnownModel | None:
    """The registered model of this name or with this hub id."""
    if name in MODELS:
        return MODELS.get(name)
    return next((model for _, model in MODELS.usable() if model.repo == name), None)


def check_name(spec: str) -> None:
    """Raise InputError for a model that cannot be found. Looks at this machine only, and opens no file."""
    _place(spec.strip())


def _folder(name: str, *, with_code: bool) -> Path:
    place = _place(name)
    return place if isinstance(place, Path) else _download(place, with_code=with_code)


def _place(name: str) -> Path | str:
    """The folder of a model, or its id on the hub."""
    if name in MODELS:
        return MODELS.get(name).repo or _bundled(name)
    if (folder := _folder_on_disk(name)) is not None:
        return folder
    if name and os.path.exists(os.path.expanduser(name)):
        raise InputError(f"{name!r} is a file; give the folder that holds config.json and the weights")
    if HUB_ID.fullmatch(name):
        return name
    if "/" in name or "\\" in name:
        raise InputError(f"there is no folder {name!r}; give a checkpoint folder, a hub id 'org/name' or a short name")
    raise did_you_mean("model", name, MODELS, listed=", ".join(MODELS) + ", a folder, a hub id 'org/name'")


def _folder_on_disk(name: str) -> Path | None:
    """The folder at a path; None where there is none, or where the name cannot be a path."""
    path = os.path.expanduser(name)
    return Path(path) if os.path.isdir(path) else None


def _bundled(name: str) -> Path:
    return Path(str(resources.files("flexeval.models"))) / MODELS.canonical(name)


def _cached(repo: str) -> Path | None:
    """The newest snapshot of a hub checkpoint that an earlier call fetched."""
    import huggingface_hub

    if not HUB_ID.fullmatch(repo):
        return None
    try:
        return Path(huggingface_hub.snapshot_download(repo, local_files_only=True))
    except (OSError, ValueError):
        return None


def _download(repo: str, *, with_code: bool) -> Path:
    """Fetch what is missing of a hub checkpoint and return its folder."""
    import huggingface_hub

    patterns = [*DATA_FILES, "*.py"] if with_code else list(DATA_FILES)
    try:
        return Path(huggingface_hub.snapshot_download(repo, allow_patterns=patterns))
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot fetch {repo!r} from the hub, and there is no folder of that name: {one_line(error)}"
        ) from error
