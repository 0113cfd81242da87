"""LoRA adapters as peft saves them: read, checked, and merged into a network's weights.

peft does the arithmetic. Names are those of the network that was trained: the checkpoint's own code, or transformers'
layers; a family translates both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from flexeval.errors import InputError, one_line, shortened
from flexeval.models.config import Fields, field, refuse_unread, switch
from flexeval.models.places import ADAPTER_CONFIG, ADAPTER_WEIGHTS, read_json

_PREFIX = "base_model.model."
"""What peft puts before the names of the network's parts."""
_PART = re.compile(r"(.+)\.(lora_(?:A|B|embedding_A|embedding_B|magnitude_vector)(?:\.weight|\.bias)?)")
_SETTLED = (
    # Which modules: the names of the weights tell.
    "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save", "bias",
    "lora_bias",
    # Of its training.
    "task_type", "auto_mapping", "inference_mode", "lora_dropout", "peft_version", "revision", "loftq_config",
    "eva_config", "corda_config", "lora_ga_config", "runtime_config", "base_model_name_or_path", "qalora_group_size",
    "megatron_core", "parent_library",
)  # fmt: skip
"""Fields of adapter_config.json that are decided by something else."""
_INITIAL = (True, False, "gaussian", "orthogonal", "eva")
"""First weights that leave the base as it is. Others (pissa, olora, ...) change the base when training begins."""


def merge_adapter(module: nn.Module, folder: Path, *, rename: Callable[[str], str]) -> None:
    """Add an adapter to a network's weights, in place and in their type.

    A head that is tied to the embedding gets weights of its own where the adapter is on one of the two.

    Args:
        module: the base, filled.
        folder: with adapter_config.json and adapter_model.safetensors.
        rename: name of a weight in the family's checkpoints -> its name in the network.

    Raises:
        InputError: another kind of adapter, or one that does not fit the network; unreadable or missing files.
    """
    settings, weights = _settings(folder), _read(folder)
    parts, whole = _by_module(weights, rename)
    _require_modules(module, parts, whole, folder)
    _untie(module, {*parts, *(name.rpartition(".")[0] for name in whole)})
    with torch.no_grad():
        for name, value in whole.items():
            module.get_parameter(name).copy_(_of_shape(value, module.get_parameter(name), name, folder))
        if parts:
            _merge_products(module, parts, _placed(settings, parts, weights, rename, folder), folder)
    for weight in module.parameters():
        weight.requires_grad_(True)


def _merge_products(
    module: nn.Module, parts: Mapping[str, Mapping[str, Tensor]], settings: Mapping[str, Any], folder: Path
) -> None:
    """Have peft put the adapter's parts into the network, merge them, and take its layers out again."""
    import peft
    from peft.tuners.tuners_utils import BaseTunerLayer

    state = {f"{name}.{part}": value.float() for name, own in parts.items() for part, value in own.items()}
    try:
        peft.inject_adapter_in_model(peft.LoraConfig(**settings), module)
        for name, weight in module.named_parameters():
            if "lora_" in name:
                weight.data = weight.data.float()
        report = peft.set_peft_model_state_dict(module, state)
        if wrong := [*report.unexpected_keys, *(name for name in report.missing_keys if "lora_" in name)]:
            raise ValueError(f"peft cannot place {wrong[0]!r}")
        for name, layer in list(module.named_modules()):
            if isinstance(layer, BaseTunerLayer):
                layer.merge()
                module.set_submodule(name, layer.get_base_layer())
    except (RuntimeError, ValueError) as error:
        raise InputError(f"the adapter {str(folder)!r} does not fit its base: {one_line(error)}") from error
    del module.peft_config


def _read(folder: Path) -> dict[str, Tensor]:
    """The adapter's weights by the names of the trained network."""
    try:
        weights = load_file(folder / ADAPTER_WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise InputError(f"cannot read {str(folder / ADAPTER_WEIGHTS)!r}: {one_line(error)}") from error
    for name, value in weights.items():
        if not value.is_floating_point() or value.dtype.itemsize < 2:
            raise InputError(
                f"the adapter {str(folder)!r} is quantised: {name!r} has the type "
                f"{str(value.dtype).removeprefix('torch.')}; save it as floating-point numbers"
            )
        if not bool(value.isfinite().all()):
            raise InputError(f"{name!r} of the adapter {str(folder)!r} holds NaN or infinite numbers; restore the file")
    return {
        name.removeprefix(_PREFIX).replace(".default", ""): value
        for name, value in weights.items()
        # The base's own copy of what the adapter replaces.
        if ".original_module." not in name
    }


def _by_module(
    weights: Mapping[str, Tensor], rename: Callable[[str], str]
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Tensor]]:
    """Module -> its parts of an adapter; and parameter -> the value that replaces it."""
    parts: dict[str, dict[str, Tensor]] = {}
    whole: dict[str, Tensor] = {}
    for name, value in weights.items():
        if match := _PART.fullmatch(name):
            parts.setdefault(_renamed(match[1], rename), {})[match[2]] = value
        else:
            whole[rename(name.replace(".base_layer.", ".").replace(".modules_to_save.", "."))] = value
    return parts, whole


def _renamed(module: str, rename: Callable[[str], str]) -> str:
    return rename(f"{module}.weight").removesuffix(".weight")


def _require_modules(module: nn.Module, parts: Mapping[str, Any], whole: Mapping[str, Tensor], folder: Path) -> None:
    """Refuse an adapter on something that the network does not have."""
    modules = {name for name, each in module.named_modules() if isinstance(each, nn.Linear | nn.Embedding)}
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    strange = [*(name for name in parts if name not in modules), *(name for name in whole if name not in parameters)]
    if strange:
        raise InputError(
            f"the adapter {str(folder)!r} does not fit its base, which has no {shortened(strange[0], 100)!r}; give the "
            "base that it was trained on"
        )
    if not parts and not whole:
        raise InputError(f"the adapter {str(folder)!r} holds no weights")


def _of_shape(value: Tensor, parameter: Tensor, name: str, folder: Path) -> Tensor:
    if value.shape != parameter.shape:
        raise InputError(
            f"the adapter {str(folder)!r} does not fit its base: {name} has the shape {list(value.shape)} there, and "
            f"{list(parameter.shape)} here"
        )
    return value


def _untie(module: Any, changed: set[str]) -> None:
    """Give a tied head weights of its own where an adapter would otherwise change head and embedding at once."""
    head, embedding = module.get_output_embeddings(), module.get_input_embeddings()
    if head is None or head.weight is not embedding.weight:
        return
    if any(each in (head, embedding) for name, each in module.named_modules() if name in changed):
        head.weight = nn.Parameter(embedding.weight.detach().clone())
        module.config.tie_word_embeddings = False


def _settings(folder: Path) -> dict[str, Any]:
    """What adapter_config.json says of the arithmetic. Raises InputError for what merged weights cannot compute."""
    config = Fields(read_json(folder / ADAPTER_CONFIG))
    where = f"the adapter's {ADAPTER_CONFIG}"
    if config.get("peft_type") != "LORA":
        raise InputError(
            f"{str(folder)!r} is an adapter of the kind {shortened(repr(config.get('peft_type')), 40)}, and only LORA "
            "is supported; merge it into its base and give the merged model"
        )
    if config.get("init_lora_weights", True) not in _INITIAL:
        raise InputError(
            f"{where} says init_lora_weights {shortened(repr(config['init_lora_weights']), 40)}, which changed the "
            "base when training began; convert it to a plain LoRA, or merge it and give the merged model"
        )
    switches = ("use_rslora", "use_dora", "fan_in_fan_out")
    settings: dict[str, Any] = {name: switch(config, name, default=False) for name in switches}
    settings["lora_alpha"] = field(config, "lora_alpha", default=8, whole=False)
    settings["alpha_pattern"] = config.get("alpha_pattern") or {}
    if not isinstance(settings["alpha_pattern"], Mapping):
        raise InputError(f"{where} has an alpha_pattern that is no object; restore the file")
    for pattern in settings["alpha_pattern"]:
        field(settings["alpha_pattern"], pattern, whole=False)
    settings["r"], settings["rank_pattern"] = config.get("r"), config.get("rank_pattern") or {}
    if not isinstance(settings["rank_pattern"], Mapping):
        raise InputError(f"{where} has a rank_pattern that is no object; restore the file")
    for pattern in (*settings["alpha_pattern"], *settings["rank_pattern"]):
        try:
            re.compile(pattern)
        except re.error as error:
            raise InputError(
                f"{where} has a pattern {pattern!r:.60} that is none ({error}); restore the file"
            ) from None
    config.read |= {*_SETTLED}
    refuse_unread(config, where=where, what="merged weights")
    return settings


def _placed(
    settings: Mapping[str, Any],
    parts: Mapping[str, Mapping[str, Tensor]],
    weights: Mapping[str, Tensor],
    rename: Callable[[str], str],
    folder: Path,
) -> dict[str, Any]:
    """The settings for exactly these modules of the network, each with its rank and scale."""
    from peft.utils.other import get_pattern_key

    stored = {_renamed(match[1], rename): match[1] for match in map(_PART.fullmatch, weights) if match}
    alphas = settings["alpha_pattern"]
    ranks = {name: _rank(own, name, folder) for name, own in parts.items()}
    stated = settings["rank_pattern"]
    for name, rank in ranks.items():
        # The scale of the product rests on it.
        said = stated.get(get_pattern_key(list(stated), stored[name]), settings["r"])
        if said is not None and said != rank:
            raise InputError(
                f"the adapter {str(folder)!r} contradicts itself: its {ADAPTER_CONFIG} says rank {said!r:.20} of "
                f"{stored[name]}, and the weights have rank {rank}; restore the file"
            )
    scales = {name: alphas.get(get_pattern_key(list(alphas), stored[name]), settings["lora_alpha"]) for name in parts}
    return {
        **settings,
        "r": max(ranks.values()),
        "target_modules": sorted(parts),
        "rank_pattern": {re.escape(name): rank for name, rank in ranks.items()},
        "alpha_pattern": {re.escape(name): scale for name, scale in scales.items()},
        "lora_bias": any("lora_B.bias" in own for own in parts.values()),
    }


def _rank(own: Mapping[str, Tensor], module: str, folder: Path) -> int:
    first = next((own[name] for name in ("lora_A.weight", "lora_embedding_A") if name in own), None)
    if first is None or first.ndim != 2:
        raise InputError(f"the adapter {str(folder)!r} is incomplete: {module} has no lora_A")
    return int(first.shape[0])
