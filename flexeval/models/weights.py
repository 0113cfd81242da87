"""safetensors files -> a module's parameters and buffers: all of them, no others, in the right shape.

Reads one tensor at a time straight to its device, so that loading needs little memory beyond the model itself.
Knows nothing of configurations and tokenizers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from flexeval.errors import InputError, one_line, shortened
from flexeval.models.conversion import Joined


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """Where one weight lies."""

    file: Path
    key: str
    """Its name in the file."""
    shape: tuple[int, ...]


_COMPUTED = re.compile(r".*rotary_emb\.(inv_freq|cos_cached|sin_cached)")
"""Buffers in older files, which the configuration decides."""
_FLOATING = ("F16", "BF16", "F32", "F64")
"""Types of weights, as safetensors calls them."""
_QUANTISED = re.compile(
    r".*(\.(qweight|qzeros|scales|g_idx|input_scale|(nested_)?(absmax|quant_map)|quant_state|SCB|weight_format)"
    r"|[._](qdata|weight_(scale|scale_inv|zero_point|packed)))(\..*)?|.*:(qdata|scale|zero_point)"
)
"""Names of what stands beside quantised weights: GPTQ, AWQ, fp8, compressed-tensors, bitsandbytes, torchao."""
_WRAPPED = re.compile(r"(.*\.)?(module|_orig_mod|_fsdp_wrapped_module|base_model\.model|base_layer|lora_[AB])\..*")
"""Names of a model inside another: DistributedDataParallel, torch.compile, FSDP, peft."""


def list_tensors(files: Sequence[Path], rename: Callable[[str], str]) -> dict[str, StoredTensor]:
    """The weights of a checkpoint by the name that the module gives them; reads headers only.

    Raises:
        InputError: a file that is truncated or no safetensors file, two weights of the same name, or quantised ones.
    """
    found: dict[str, StoredTensor] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as handle:
                for key in handle.keys():  # noqa: SIM118 - a safetensors handle is no dict
                    if _COMPUTED.fullmatch(key):
                        continue
                    name, part = rename(key), handle.get_slice(key)
                    _require_floating(file, key, part.get_dtype())
                    if name in found:
                        raise InputError(f"{file.name} and {found[name].file.name} both hold the weight {key!r}")
                    found[name] = StoredTensor(file=file, key=key, shape=tuple(part.get_shape()))
        except (SafetensorError, OSError) as error:
            raise InputError(f"cannot read {str(file)!r}: {one_line(error)}") from error
    return found


def _require_floating(file: Path, key: str, dtype: str) -> None:
    if dtype not in _FLOATING or _QUANTISED.fullmatch(key):
        raise InputError(
            f"{str(file)!r} holds quantised weights (found {shortened(key, 80)!r} of type {dtype}), and flexeval "
            "computes with weights that are not; use the checkpoint before quantisation"
        )


def check_tensors(
    module: nn.Module, stored: dict[str, StoredTensor], joined: Sequence[Joined] = (), *, optional: frozenset[str]
) -> None:
    """Refuse a checkpoint that lacks a weight of `module`, holds one too many, or one of another shape.

    Args:
        module: may be on the meta device.
        stored: what the files hold.
        joined: which of it is converted.
        optional: weights that may be absent, because they are tied to another.

    Raises:
        InputError: naming the first offending weights.
    """
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    parts = {name for each in joined for name in each.names}
    shapes = {name: stored[name].shape for name in stored}
    found = {name: (stored[name].key, shapes[name]) for name in stored if name not in parts}
    missing = [name for each in joined for name in each.missing]
    if not missing:
        for each in joined:
            found |= {name: (f"{name} (converted)", shape) for name, shape in each.shapes(shapes).items()}
        missing = [name for name in expected if name not in found and name not in optional]
    unexpected = sorted(key for name, (key, _) in found.items() if name not in expected)
    wrong = sorted(
        f"{found[name][0]} {list(found[name][1])} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in found and found[name][1] != shape
    )
    for what, names in (
        ("lacks weights", sorted(missing)),
        ("holds unknown weights", unexpected),
        ("has wrong shapes", wrong),
    ):
        if names:
            _refuse_wrapped(unexpected)
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            instead = (
                f"; its files hold {', '.join(unexpected[:3])} instead" if names[0] in missing and unexpected else ""
            )
            raise InputError(
                f"the checkpoint does not match its config.json: it {what}: {', '.join(names[:3])}{more}{instead}"
            )


def _refuse_wrapped(names: Sequence[str]) -> None:
    """Say what to do about weights that are named as inside another model."""
    for name in names:
        if not (found := _WRAPPED.fullmatch(name)):
            continue
        if found[2] in ("module", "_orig_mod", "_fsdp_wrapped_module"):
            who, instead = (
                f"of a model inside a wrapper ({found[2]}.)",
                "save the model inside it, as by save_pretrained",
            )
        else:
            who = f"of a model inside peft ({found[2]}.)"
            instead = "save base and adapter apart and give the adapter as --adapter, or save merged weights"
        raise InputError(f"the files hold weights such as {name!r}, {who}; {instead}")


def fill(
    module: nn.Module,
    stored: dict[str, StoredTensor],
    joined: Sequence[Joined] = (),
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> None:
    """Replace every parameter of `module` that is stored, on `device` and in `dtype`, one at a time.

    Buffers keep the type that the module gives them.

    Raises:
        InputError: a weight that is not finite.
    """
    parts = {name for each in joined for name in each.names}
    with ExitStack() as stack:
        files = {tensor.file for tensor in stored.values()}
        opened = {
            file: stack.enter_context(safe_open(file, framework="pt", device=str(device))) for file in sorted(files)
        }

        def read(name: str) -> torch.Tensor:
            value: torch.Tensor = opened[stored[name].file].get_tensor(stored[name].key)
            value = value.to(dtype if name not in buffers else buffers[name].dtype)
            _require_finite(value, stored[name])
            return value

        buffers = dict(module.named_buffers())
        for name in sorted(stored.keys() - parts, key=lambda name: stored[name].file):
            _put(module, name, read(name), is_buffer=name in buffers)
        for each in joined:
            for name, value in each.convert({name: read(name) for name in each.names}).items():
                _put(module, name, value, is_buffer=False)


def _put(module: nn.Module, name: str, value: torch.Tensor, *, is_buffer: bool) -> None:
    path, _, leaf = name.rpartition(".")
    owner = module.get_submodule(path)
    if is_buffer:
        owner.register_buffer(leaf, value)
    else:
        owner.register_parameter(leaf, nn.Parameter(value))


def _require_finite(value: torch.Tensor, tensor: StoredTensor) -> None:
    # One pass without a mask as large as the weight; both bounds are NaN where a number is.
    if value.numel() and not all(bool(bound.isfinite()) for bound in value.aminmax()):
        dtype = str(value.dtype).removeprefix("torch.")
        wider = "" if value.dtype in (torch.float32, torch.float64) else ", or load it in float32 if that is too narrow"
        raise InputError(
            f"weight {tensor.key!r} in {str(tensor.file)!r} holds NaN or infinite numbers as {dtype}; restore the "
            f"file{wider}"
        )


def stored_dtype(tensor: StoredTensor) -> torch.dtype:
    """The type in which a weight is stored."""
    with safe_open(tensor.file, framework="pt") as handle:
        return handle.get_slice(tensor.key)[:1].dtype  # type: ignore[no-any-return]


def loaded_bytes(files: Sequence[Path], dtype: torch.dtype | None) -> int:
    """What the weights of a checkpoint take in a type; None for that of the files.

    Raises:
        InputError: a file that is truncated or no safetensors file.
    """
    if dtype is None:
        return sum(file.stat().st_size for file in files)
    numbers = 0
    for file in files:
        try:
            with safe_open(file, framework="pt") as handle:
                numbers += sum(math.prod(handle.get_slice(key).get_shape()) for key in handle.keys())  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise InputError(f"cannot read {str(file)!r}: {one_line(error)}") from error
    return numbers * dtype.itemsize
