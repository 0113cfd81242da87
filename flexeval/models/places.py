"""What the user wrote -> a place: a checkpoint or adapter folder on this machine, or on the hub.

Knows short names, folders and hub ids, and one canonical name for each; of the files in them only what tells an adapter
from a model. Imports no torch.
"""

from __future__ import annotations

import os
import re
from importlib import resources
from pathlib import Path
from typing import Any

from flexeval.errors import InputError, did_you_mean, one_line
from flexeval.models.names import MODELS, KnownModel
from flexeval.reading import parse_object, read_bytes

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
DATA_FILES = ("*.json", "*.safetensors", "*.jinja", "merges.txt", "vocab.txt", "*.model", "*.tiktoken")
"""What is fetched from the hub: never a pickle, and Python files only if the user trusts the checkpoint's code."""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
"""What peft calls the files of an adapter."""
AFTER_STEPS = re.compile(r"step-(\d{6,})")
"""What a training calls a folder that holds all that it left there after so many steps."""


# ----- models -----


def canonical_name(spec: str) -> str:
    """One name for each model: a short name, a hub id that has none, or the absolute path of a folder.

    A name that is neither registered nor a folder stays as it is; loading it says what is wrong.
    """
    name = spec.strip()
    if name in MODELS:
        return MODELS.canonical(name)
    if (folder := folder_on_disk(name)) is not None:
        return str(folder.resolve())
    return next((short for short, model in MODELS.usable() if model.repo == name), name)


def known_model(name: str) -> KnownModel | None:
    """The registered model of this name or with this hub id."""
    if name in MODELS:
        return MODELS.get(name)
    return next((model for _, model in MODELS.usable() if model.repo == name), None)


def check_name(spec: str, adapter: str | None = None) -> None:
    """Raise InputError for a model or adapter that cannot be found. Looks at this machine only, and opens no file."""
    _place(spec.strip())
    if adapter is not None and not HUB_ID.fullmatch(adapter.strip()):
        adapter_folder(adapter)


def place_of(name: str, *, with_code: bool) -> Path:
    """The folder of a model, fetched where it is on the hub only. Raises InputError where there is none."""
    place = _place(name)
    return place if isinstance(place, Path) else _download(place, with_code=with_code)


def _place(name: str) -> Path | str:
    """The folder of a model, or its id on the hub."""
    if name in MODELS:
        return MODELS.get(name).repo or bundled_folder(name)
    if (folder := folder_on_disk(name)) is not None:
        return folder
    if name and os.path.exists(os.path.expanduser(name)):
        raise InputError(f"{name!r} is a file; give the folder that holds config.json and the weights")
    if HUB_ID.fullmatch(name):
        return name
    if "/" in name or "\\" in name:
        raise InputError(f"there is no folder {name!r}; give a checkpoint folder, a hub id 'org/name' or a short name")
    raise did_you_mean("model", name, MODELS, listed=", ".join(MODELS) + ", a folder, a hub id 'org/name'")


def folder_on_disk(name: str) -> Path | None:
    """The folder at a path; None where there is none, or where the name cannot be a path."""
    path = os.path.expanduser(name)
    return Path(path) if os.path.isdir(path) else None


def is_here(name: str) -> bool:
    """Whether a model or an adapter is bundled or a folder on this machine."""
    name = name.strip()
    return MODELS.get(name).repo is None if name in MODELS else folder_on_disk(name) is not None


def bundled_folder(name: str) -> Path:
    """The folder of a bundled model."""
    return Path(str(resources.files("flexeval.models"))) / MODELS.canonical(name)


def cached_folder(repo: str) -> Path | None:
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


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises InputError when it is missing, unreadable or something else."""
    if not path.exists():
        raise InputError(f"{str(path.parent)!r} is not a checkpoint: it has no {path.name}")
    return parse_object(read_bytes(path, what=f"the checkpoint's {path.name}"), where=f"cannot read {str(path)!r}: it")


# ----- adapters -----


def is_adapter_alone(folder: Path) -> bool:
    """Whether a folder holds an adapter, and no model."""
    return (folder / ADAPTER_CONFIG).exists() and not (folder / "config.json").exists()


def adapter_folder(spec: str) -> Path:
    """The folder of an adapter: one that peft saved, a hub id, a checkpoint of `flexeval grpo` with adapters, or its
    training folder, whose newest checkpoint is taken.

    Raises:
        InputError: there is no adapter, or a pickled one.
    """
    name = spec.strip()
    folder = folder_on_disk(name)
    if folder is None:
        if not HUB_ID.fullmatch(name):
            raise InputError(
                f"there is no adapter {name!r}; give a folder with {ADAPTER_CONFIG}, or a hub id 'org/name'"
            )
        folder = _download(name, with_code=False)
    found = _adapter_in(folder)
    if found is None:
        raise InputError(f"{name!r} holds no adapter: it has no {ADAPTER_CONFIG}; give the folder that peft saved")
    if not (found / ADAPTER_WEIGHTS).is_file():
        pickled = any(next(found.glob(pattern), None) for pattern in PICKLES)
        why = "pickled weights, which can run code when loaded; convert them to" if pickled else "no"
        raise InputError(f"the adapter {name!r} has {why} {ADAPTER_WEIGHTS}")
    return found


def _adapter_in(folder: Path) -> Path | None:
    """Where the adapter lies in a folder, a checkpoint of a training, or the training's newest checkpoint."""
    steps = {path: AFTER_STEPS.fullmatch(path.parent.name) for path in folder.glob("checkpoints/*/adapter")}
    trained = sorted((int(named[1]), path) for path, named in steps.items() if named)
    places = [folder, folder / "adapter", *(path for _, path in reversed(trained))]
    return next((place for place in places if (place / ADAPTER_CONFIG).is_file()), None)


def base_of(folder: Path) -> str:
    """The model that an adapter names as its base; a path that is not there may be one beside the adapter.

    Raises:
        InputError: it names none.
    """
    base = read_json(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
    if not isinstance(base, str) or not base.strip():
        raise InputError(
            f"the adapter {str(folder)!r} does not name its base; give the base as the model, and the adapter as its "
            "--adapter (in Python, adapter=)"
        )
    beside = folder / base
    is_beside = base not in MODELS and folder_on_disk(base) is None and beside.is_dir()
    return str(beside) if is_beside else base.strip()


def canonical_adapter(model: str, adapter: str | None) -> tuple[str, str | None]:
    """One name for each model, as `canonical_name`, and one for its adapter: the absolute path of its folder, or a hub
    id. A model that is an adapter alone becomes its base and the adapter.

    What is not on this machine stays as it is; loading it says what is wrong.

    Raises:
        InputError: an adapter alone that does not name its base.
    """
    name = model.strip()
    folder = None if name in MODELS else folder_on_disk(name)
    if adapter is None and folder is not None and is_adapter_alone(folder):
        return canonical_name(base_of(folder)), str(folder.resolve())
    return canonical_name(name), adapter and _canonical_adapter(adapter.strip())


def _canonical_adapter(name: str) -> str:
    folder = folder_on_disk(name)
    found = None if folder is None else _adapter_in(folder)
    return name if found is None else str(found.resolve())
