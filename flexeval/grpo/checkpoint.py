"""Trained weights -> a model folder in the layout that the model was loaded from.

Every weight goes back to the name it had there, and configuration and tokenizer are copied, so that
`flexeval.load_model` and the checkpoint's own code both read the folder. Also keeps the training state, from which a
run continues. A folder is whole or absent.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from flexeval.errors import DamageError, InputError
from flexeval.grpo.adapters import fold_adapters, has_adapters, save_adapters
from flexeval.grpo.layout import PARTIAL, finished_steps, step_folder
from flexeval.models.attention import RULE_FIELD
from flexeval.models.files import Checkpoint, weight_files
from flexeval.models.lineage import LINEAGE, Lineage
from flexeval.models.places import ADAPTER_CONFIG, DATA_FILES, read_json
from flexeval.models.weights import list_tensors
from flexeval.runs.checksums import object_bytes, read_checked_object
from flexeval.runs.files import replace_folder, to_json

_MAX_FILE = "5GB"
_INDEX = "model.safetensors.index.json"
_LITTLE = 1 << 26
"""Bytes; a disk with less is full."""
_CHECKSUMS = "checksums.json"
"""Of the files of a state, written last."""


def check_trainable(checkpoint: Checkpoint) -> None:
    """Raise InputError unless the model runs on flexeval's own layers, through which gradients go, with its weights as
    they are stored, and commits every token at a step of its own canvas.
    """
    family, instead = checkpoint.family, "use a model of the LLaDA, Dream or A2D families"
    if family is None:
        raise InputError(
            f"{checkpoint.name!r} runs on the code that it brings along, which cannot be trained here; {instead}"
        )
    if checkpoint.attention().first_token_apart:
        raise InputError(
            f"{checkpoint.name!r} takes the first token of a block from the block before it, at no step of its own, "
            f"which cannot be trained here; {instead}"
        )
    if "num_experts" in checkpoint.config:
        raise InputError(f"{checkpoint.name!r} is a mixture of experts, which cannot be trained here; {instead}")


def write_model(folder: Path, weights: dict[str, Tensor], source: Checkpoint, lineage: Lineage) -> None:
    """Write a model folder.

    Args:
        folder: must not exist; its parent must.
        weights: of the trained network, under transformers' names, with or without adapters; written in their type,
            but float32 where adapters were trained beside weights of half precision. Adapters are also written by
            themselves, into the folder `adapter` inside, as peft saves them.
        source: where the model was loaded from.
        lineage: how it was trained.

    Raises:
        OSError: the folder cannot be written.
    """
    from huggingface_hub import save_torch_state_dict

    family = source.family
    if family is None:
        raise ValueError(f"{source.name!r} has no family; check_trainable refuses it")
    # The names in the source's files; a head that is tied to the embedding is stored as it was there, or not at all.
    names = {name: stored.key for name, stored in list_tensors(weight_files(source.folder), family.rename).items()}
    folded = fold_adapters(weights)
    # One type for all of them, the widest: a loader goes by one for the whole folder.
    dtype = functools.reduce(torch.promote_types, {folded[name].dtype for name in names})
    published = {key: folded[name].to(dtype).contiguous() for name, key in names.items()}

    with _made_whole(folder) as partial:
        for pattern in DATA_FILES:
            for file in source.folder.glob(pattern):
                if file.suffix != ".safetensors" and file.name not in (_INDEX, ADAPTER_CONFIG):
                    shutil.copyfile(file, partial / file.name)
        # A short name says the attention rule where configurations do not; a folder has to say it itself.
        attention = source.attention()
        rule = {RULE_FIELD: attention.spec} if len(family.attention) > 1 or not attention.is_full else {}
        _edit(partial / "config.json", torch_dtype=str(dtype).removeprefix("torch."), **rule)
        if not source.chat:
            # A base model is asked without a chat template; a folder cannot say so other than by having none.
            (partial / "chat_template.jinja").unlink(missing_ok=True)
            if (partial / "tokenizer_config.json").exists():
                _edit(partial / "tokenizer_config.json", chat_template=None)
        (partial / LINEAGE).write_text(to_json(lineage.as_dict(), indent=2) + "\n", encoding="utf-8")
        save_torch_state_dict(published, partial, max_shard_size=_MAX_FILE)
        # Trained on top of another adapter, one by itself would stand on a base that no name stands for.
        if has_adapters(weights) and source.adapter is None:
            save_adapters(partial / "adapter", weights, names, base=lineage.base)
            shutil.copyfile(partial / LINEAGE, partial / "adapter" / LINEAGE)


def _edit(path: Path, **fields: Any) -> None:
    """Set fields of a JSON file; None removes one."""
    content = {**read_json(path), **fields}
    kept = {key: value for key, value in content.items() if value is not None or key not in fields}
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def _made_whole(folder: Path) -> Iterator[Path]:
    """A folder to write into, which gets its name when all is written."""
    partial = folder.with_name(folder.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    with _gone_if_it_fails(partial):
        partial.mkdir()
        yield partial
        replace_folder(partial, folder)


@contextmanager
def _gone_if_it_fails(partial: Path) -> Iterator[None]:
    """Leave nothing half-written behind: on a full disk it would stand in the way of everything else.

    Raises:
        OSError: it cannot be written, also where a library calls that something else.
    """
    try:
        yield
    except BaseException as error:
        code = _code_of(error, partial)
        shutil.rmtree(partial, ignore_errors=True)
        if code is None:
            raise
        raise OSError(code, os.strerror(code), str(partial)) from error


def _code_of(error: BaseException, folder: Path) -> int | None:
    """The system's number of an error of safetensors or torch as they write a file; None for any other."""
    if isinstance(error, SafetensorError) and (said := re.search(r"\(os error (\d+)\)", str(error))):
        return int(said[1])
    if isinstance(error, RuntimeError) and re.search("inline_container|PytorchStreamWriter", str(error)):
        # torch does not say why.
        return errno.ENOSPC if shutil.disk_usage(folder).free < _LITTLE else errno.EIO
    return None


# ----- training state -----


def save_state(accelerator: Any, parent: Path, steps: int) -> None:
    """Store weights and optimiser of all processes, each of which calls this; then drop what earlier steps stored."""
    folder = step_folder(parent, steps)
    partial = folder.with_name(folder.name + PARTIAL)
    with _gone_if_it_fails(partial) if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(partial))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            (partial / _CHECKSUMS).write_bytes(object_bytes({"files": _checksums(partial)}))
            replace_folder(partial, folder)
    if accelerator.is_main_process:
        for earlier in finished_steps(parent):
            if earlier != steps:
                shutil.rmtree(step_folder(parent, earlier))
    accelerator.wait_for_everyone()


def check_state(folder: Path) -> None:
    """Raise DamageError unless a state is as it was written, byte for byte; earlier versions stored no checksums."""
    path = folder / _CHECKSUMS
    if not path.exists():
        return
    stored, found = read_checked_object(path).get("files"), _checksums(folder)
    remedy = f"restore it, or delete {folder.parent}, and the training begins anew"
    if not isinstance(stored, dict):
        raise DamageError(f"{path} is not as it was written; {remedy}")
    for name in sorted({*stored, *found}):
        if name not in stored or stored[name] != found.get(name):
            why = "missing" if name not in found else "not as it was written (wrong checksum)"
            raise DamageError(f"{folder / name} is {why}; {remedy}")


def _checksums(folder: Path) -> dict[str, str]:
    """The checksum of each file of a state."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _CHECKSUMS)
    return {path.relative_to(folder).as_posix(): f"{_crc32(path):08x}" for path in files}


def _crc32(path: Path) -> int:
    checksum = 0
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 24):
            checksum = zlib.crc32(chunk, checksum)
    return checksum
