"""`load_model`: what the user wrote -> a mask predictor on a device."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from flexeval.errors import InputError, InputTypeError, Note, did_you_mean
from flexeval.models.adapter import load_adapter
from flexeval.models.attention import parse_attention
from flexeval.models.families import why_unknown
from flexeval.models.files import Checkpoint, find_checkpoint, weight_files
from flexeval.models.head import products_on_gpu
from flexeval.models.names import DTYPES
from flexeval.models.native import load_native
from flexeval.models.predictor import MaskPredictor
from flexeval.models.weights import loaded_bytes


def load_model(
    spec: str | Path,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    trust_remote_code: bool = False,
    attention: str | None = None,
    adapter: str | Path | None = None,
) -> MaskPredictor:
    """Load a mask predictor.

    Checkpoints of the families that `flexeval ls families` lists run on transformers' own layers, never on code from
    the checkpoint.

    Args:
        spec: the bundled model ("tiny"), a short name (`flexeval ls models`), a folder, or a hub id "org/name".
        device: "auto" takes CUDA where there is a GPU, else the CPU; or "cpu", "cuda", "cuda:1", ..., of which
            "cuda" is the present GPU of the process. Not MPS: it has no float64, in which tokens are drawn. One device
            holds the whole model; there is no device_map.
        dtype: "auto" keeps the checkpoint's type on a GPU and takes float32 on the CPU; or "float32",
            "bfloat16", "float16".
        trust_remote_code: run the checkpoint's own code, if it belongs to none of these families.
        attention: the attention rule of its training, such as "full" or "block-causal:32". None takes that of the short
            name or of the configuration; where files of two kinds look alike, as dLLM's A2D checkpoints do, it must be
            given.
        adapter: a LoRA adapter that peft saved, to merge into the weights: a folder or a hub id. A folder that holds an
            adapter alone may also be the `spec`; its base is the one that it names.

    Raises:
        InputError: unknown model, device or type; weights that are larger than the GPU; a checkpoint that cannot be
            fetched, read or represented; one without a mask token; one that needs its own code while
            `trust_remote_code` is False; an attention rule that it cannot have, or none where it does not say it.
    """
    if not isinstance(spec, str | Path):
        raise InputTypeError(f"a model is a name, a folder or a hub id, not a {type(spec).__name__}")
    if not isinstance(adapter, str | Path | None):
        raise InputTypeError(f"an adapter is a folder or a hub id, not a {type(adapter).__name__}")
    if not isinstance(trust_remote_code, bool):
        raise InputTypeError(f"trust_remote_code must be True or False, not a {type(trust_remote_code).__name__}")
    chosen_device = _device(str(device))
    chosen_dtype = _dtype(str(dtype).removeprefix("torch."), chosen_device)
    checkpoint = find_checkpoint(
        str(spec), adapter=None if adapter is None else str(adapter), with_code=trust_remote_code
    )
    _require_room(checkpoint, chosen_device, chosen_dtype)
    asked = parse_attention(attention) if attention is not None else None
    if checkpoint.family is not None:
        rule = checkpoint.attention(asked)
        model: MaskPredictor = load_native(
            checkpoint, checkpoint.family, attention=rule, device=chosen_device, dtype=chosen_dtype
        )
    elif trust_remote_code:
        if asked is not None and not asked.is_full:
            raise InputError(
                f"the code of {checkpoint.name!r} runs with full attention only; leave out attention {asked.spec!r}"
            )
        model = load_adapter(checkpoint, device=chosen_device, dtype=chosen_dtype)
    else:
        raise InputError(f"{checkpoint.name!r} {why_unknown(checkpoint.config)}")
    if chosen_device.type == "cuda" and products_on_gpu() == "tf32":
        # Also in half precision: transformers makes the angles of positions by such a product.
        warnings.warn(
            Note(
                "torch is set to compute products of float32 in TF32, which rounds float32 weights, and positions of "
                "any model, to 10 bits; unset TORCH_ALLOW_TF32_CUBLAS_OVERRIDE, or in Python write "
                "torch.set_float32_matmul_precision('highest')"
            ),
            stacklevel=2,
        )
    return model


def check_device(name: str) -> None:
    """Raise InputError for a device that this machine lacks; "auto" is always there."""
    _device(name)


def _require_room(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype | None) -> None:
    """Raise InputError where a GPU has less memory than the weights take in their type."""
    if device.type != "cuda":
        return
    needed = loaded_bytes(weight_files(checkpoint.folder), dtype)
    _, total = torch.cuda.mem_get_info(device)
    if needed > total:
        wide = "" if dtype is None else f" as {str(dtype).removeprefix('torch.')}"
        narrower = "a narrower type, " if dtype == torch.float32 else ""
        raise InputError(
            f"the weights of {checkpoint.name!r} take {needed / 1e9:.0f} GB{wide}, and {device} has "
            f"{total / 1e9:.0f} GB; flexeval keeps a model on one device, so use {narrower}a GPU with more memory, or "
            "device 'cpu'"
        )


def _device(name: str) -> torch.device:
    if name.partition(":")[0] == "mps":
        raise InputError("MPS has no float64, in which tokens are drawn; use device 'cpu'")
    available = ["cpu"]
    if torch.cuda.is_available():
        available[:0] = ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if name == "auto":
        name = available[0]
    elif name not in available:
        raise did_you_mean("or unavailable device", name, ["auto", *available], listed=", ".join(["auto", *available]))
    # Without a number, safetensors takes the first GPU, and torch the current one, of which each process has its own.
    return torch.device("cuda", torch.cuda.current_device()) if name == "cuda" else torch.device(name)


def _dtype(name: str, device: torch.device) -> torch.dtype | None:
    """The type to load in; None for the checkpoint's own."""
    if name == "auto":
        return torch.float32 if device.type == "cpu" else None
    if name not in DTYPES:
        raise did_you_mean("dtype", name, ["auto", *DTYPES])
    chosen: torch.dtype = getattr(torch, name)
    return chosen
