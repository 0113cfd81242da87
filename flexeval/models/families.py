"""config.json -> which of transformers' own layers compute the model, and what its weights are called there.

One `Family` for each published layout. All are Llama-like networks with bidirectional attention, and none needs code
from its checkpoints. Knows configurations and names only: no tensors, no torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flexeval.errors import InputError, PluginError, shortened
from flexeval.registry import Registry

Config = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """What to build for one checkpoint."""

    layers: str
    """Prefix of transformers' classes: "Llama", "Qwen2" or "Qwen3"."""
    options: dict[str, Any]
    """Fields of transformers' configuration class."""
    max_length: int
    """Longest canvas that the model was made for."""
    logit_scale: float = 1.0
    """What the head's output is multiplied by."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """One published layout of checkpoints."""

    translate: Callable[[Config], Blueprint]
    """config.json -> blueprint. Raises InputError for a model that transformers' layers cannot represent."""
    rename: Callable[[str], str]
    """Name of a weight in the checkpoint -> its name in transformers' classes. Unknown names pass through."""
    shifted: bool
    """The output at i predicts position i + 1 (a habit kept from autoregressive training)."""
    mask_tokens: tuple[str, ...]
    """How the mask may be called in the vocabulary, when neither config nor tokenizer says which token it is."""
    end_of_turn: str
    """How the end of a chat turn is called in the vocabulary."""
    slot_positions: bool = False
    """The published code counts positions from the left edge of the canvas, padding included."""
    fills_with_pad: bool = False
    """The canvas after the text is filled with the padding token, which differs from the end-of-sequence token."""


LARGEST = 2**31 - 1
"""Of any size in a configuration."""
MOST_LAYERS = 1024
"""More than any model has; building far more takes for ever before it turns out that their weights are missing."""


def family_of(config: Config) -> Family | None:
    """The family that a config.json belongs to; None for a model that flexeval has no layers for."""
    # LLaDA-MoE checkpoints carry LLaDA's model_type, and none of its layout.
    if "num_experts" in config:
        return None
    kind = str(config.get("model_type"))
    return FAMILIES.get(kind) if kind in FAMILIES else None


def blueprint_of(family: Family, config: Config) -> Blueprint:
    """What to build for a checkpoint.

    Raises:
        InputError: transformers' layers cannot represent the model.
        PluginError: `translate` answers something else than a blueprint.
    """
    blueprint: object = family.translate(config)
    if not isinstance(blueprint, Blueprint):
        raise PluginError(
            f"translate() of model family {config.get('model_type')!r} must return a Blueprint, not a "
            f"{type(blueprint).__name__}"
        )
    return blueprint


def field(config: Config, name: str, *, default: float | None = None, whole: bool = True) -> Any:
    """A number above 0 from config.json. Raises InputError when it is something else, or missing without default."""
    value = config.get(name)
    if value is None and default is not None:
        return default
    number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value <= LARGEST:  # type: ignore[operator]
        said = "is missing" if name not in config else f"is {shortened(repr(value), 60)}"
        noun = "a whole number" if whole else "a number"
        raise InputError(
            f"cannot build the model: config.json's {name} {said}, but must be {noun} above 0 and at most {LARGEST}"
        )
    return value


def _llada(config: Config) -> Blueprint:
    """LLaDA's own field names (ModelConfig in its configuration_llada.py) -> Llama's."""
    required: dict[str, tuple[Any, Any]] = {
        # field: (the value that Llama's layers have, the default of LLaDA's configuration)
        "block_type": ("llama", "sequential"),
        "block_group_size": (1, 1),
        "activation_type": ("silu", "swiglu"),
        "layer_norm_type": ("rms", "default"),
        "layer_norm_with_affine": (True, True),
        "attention_layer_norm": (False, False),
        "input_emb_norm": (False, False),
        "rope": (True, False),
        "alibi": (False, False),
        "include_bias": (False, False),
        "include_qkv_bias": (False, False),
    }
    for name, (needed, default) in required.items():
        value = config.get(name, default)
        if value != needed:
            raise InputError(f"cannot run this LLaDA variant: {name} is {value!r}, and only {needed!r} is supported")
    if config.get("bias_for_layer_norm"):
        raise InputError("cannot run this LLaDA variant: bias_for_layer_norm is True, and only False is supported")

    width = field(config, "d_model")
    heads = field(config, "n_heads")
    key_heads = field(config, "n_kv_heads", default=1 if config.get("multi_query_attention") else heads)
    _check_heads(width, heads, key_heads)
    options = {
        # The embedding is as wide as `embedding_size`, and so are LLaDA's logits.
        "vocab_size": field(config, "embedding_size", default=field(config, "vocab_size")),
        "hidden_size": width,
        "intermediate_size": field(config, "mlp_hidden_size", default=field(config, "mlp_ratio", default=4) * width),
        "num_hidden_layers": _layers(config, "n_layers"),
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "max_position_embeddings": field(config, "max_sequence_length"),
        "rms_norm_eps": field(config, "rms_norm_eps", default=1e-5, whole=False),
        "rope_parameters": {"rope_type": "default", "rope_theta": _rope_theta(config)},
        "tie_word_embeddings": _switch(config, "weight_tying", default=True),
    }
    return Blueprint(
        layers="Llama",
        options=options,
        max_length=options["max_position_embeddings"],
        logit_scale=width**-0.5 if config.get("scale_logits") else 1.0,
    )


def _standard(layers: str, *, extra: tuple[str, ...] = ()) -> Callable[[Config], Blueprint]:
    """The translation for checkpoints whose fields already have transformers' names.

    Sliding windows are left out on purpose: Dream and A2D attend over the whole canvas whatever these fields say.
    """
    kept = ("hidden_act", "rms_norm_eps", *extra)

    def translate(config: Config) -> Blueprint:
        width = field(config, "hidden_size")
        heads = field(config, "num_attention_heads")
        key_heads = field(config, "num_key_value_heads", default=heads)
        if "head_dim" not in extra or config.get("head_dim") is None:
            _check_heads(width, heads, key_heads)
        options = {
            "vocab_size": field(config, "vocab_size"),
            "hidden_size": width,
            "intermediate_size": field(config, "intermediate_size"),
            "num_hidden_layers": _layers(config, "num_hidden_layers"),
            "num_attention_heads": heads,
            "num_key_value_heads": key_heads,
            "max_position_embeddings": field(config, "max_position_embeddings"),
            "rope_parameters": _rope(config),
            "tie_word_embeddings": _switch(config, "tie_word_embeddings", default=False),
            **{name: config[name] for name in kept if config.get(name) is not None},
        }
        return Blueprint(layers=layers, options=options, max_length=options["max_position_embeddings"])

    return translate


def _rope(config: Config) -> dict[str, Any]:
    """Rotary parameters in today's form, from today's field or from the two older ones."""
    given = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(given, Mapping):
        raise InputError(f"cannot build the model: config.json's rope_parameters are {given!r}, but must be an object")
    rope = dict(given)
    kind = rope.pop("type", "default")
    return {"rope_type": kind, "rope_theta": _rope_theta(config), **rope}


def _rope_theta(config: Config) -> float:
    return float(field(config, "rope_theta", default=10000.0, whole=False))


def _switch(config: Config, name: str, *, default: bool) -> bool:
    value = config.get(name)
    if value is not None and not isinstance(value, bool):
        raise InputError(
            f"cannot build the model: config.json's {name} is {shortened(repr(value), 60)}, but must be true or false"
        )
    return default if value is None else value


def _layers(config: Config, name: str) -> int:
    number: int = field(config, name)
    if number > MOST_LAYERS:
        raise InputError(f"cannot build the model: config.json's {name} is {number}, but must be at most {MOST_LAYERS}")
    return number


def _check_heads(width: int, heads: int, key_heads: int) -> None:
    if width % heads or heads % key_heads:
        raise InputError(
            f"cannot build the model: {width} hidden units, {heads} attention heads and {key_heads} key-value heads "
            "do not divide each other"
        )


_LLADA_OUTER = {
    "model.transformer.wte.weight": "model.embed_tokens.weight",
    "model.transformer.ln_f.weight": "model.norm.weight",
    "model.transformer.ff_out.weight": "lm_head.weight",
}
_LLADA_BLOCK = {
    "attn_norm": "input_layernorm",
    "q_proj": "self_attn.q_proj",
    "k_proj": "self_attn.k_proj",
    "v_proj": "self_attn.v_proj",
    "attn_out": "self_attn.o_proj",
    "ff_norm": "post_attention_layernorm",
    "ff_proj": "mlp.gate_proj",
    "up_proj": "mlp.up_proj",
    "ff_out": "mlp.down_proj",
}


def _rename_llada(name: str) -> str:
    block = re.fullmatch(r"model\.transformer\.blocks\.(\d+)\.(\w+)\.weight", name)
    if block and block[2] in _LLADA_BLOCK:
        return f"model.layers.{block[1]}.{_LLADA_BLOCK[block[2]]}.weight"
    return _LLADA_OUTER.get(name, name)


def _same(name: str) -> str:
    return name


_A2D_MASKS = ("<|mask|>", "<|MASK|>")


def check_family(family: object) -> None:
    """Raise PluginError, which says what to write, unless something is a family that can be used."""
    if not isinstance(family, Family):
        raise PluginError(f"{family!r} is no Family; write flexeval.models.families.Family(translate=..., ...)")
    for name in ("translate", "rename"):
        if not callable(getattr(family, name)):
            raise PluginError(f"its {name} must be a function, not {getattr(family, name)!r}")
    for name in ("shifted", "slot_positions", "fills_with_pad"):
        if not isinstance(getattr(family, name), bool):
            raise PluginError(f"its {name} must be True or False, not {getattr(family, name)!r}")
    if not isinstance(family.mask_tokens, tuple) or not all(isinstance(token, str) for token in family.mask_tokens):
        raise PluginError(f'its mask_tokens must be a tuple of texts, as in ("<|mask|>",), not {family.mask_tokens!r}')
    if not isinstance(family.end_of_turn, str):
        raise PluginError(f"its end_of_turn must be a text, not {family.end_of_turn!r}")


FAMILIES: Registry[Family] = Registry("model family", entry_point_group="flexeval.families", check=check_family)
"""By config.json's model_type."""
FAMILIES.register(
    "llada",
    Family(
        translate=_llada,
        rename=_rename_llada,
        shifted=False,
        mask_tokens=("<|mdm_mask|>",),
        end_of_turn="<|eot_id|>",
        slot_positions=True,
    ),
    summary="LLaDA, LLaDA 1.5",
)
FAMILIES.register(
    "Dream",
    Family(
        translate=_standard("Qwen2"),
        rename=_same,
        shifted=True,
        mask_tokens=("<|mask|>",),
        end_of_turn="<|im_end|>",
    ),
    summary="Dream, Dream-Coder, DiffuCoder",
)
# dLLM trains and samples its A2D models unshifted (right_shift_logits is False there), on canvases that are
# filled with the padding token.
FAMILIES.register(
    "a2d-llama",
    Family(
        translate=_standard("Llama", extra=("head_dim", "attention_bias", "mlp_bias")),
        rename=_same,
        shifted=False,
        mask_tokens=_A2D_MASKS,
        end_of_turn="<|eot_id|>",
        fills_with_pad=True,
    ),
    summary="Llama turned into a mask predictor by dLLM",
)
FAMILIES.register(
    "a2d-qwen2",
    Family(
        translate=_standard("Qwen2"),
        rename=_same,
        shifted=False,
        mask_tokens=_A2D_MASKS,
        end_of_turn="<|im_end|>",
        fills_with_pad=True,
    ),
    summary="Qwen2 turned into a mask predictor by dLLM",
)
FAMILIES.register(
    "a2d-qwen3",
    Family(
        translate=_standard("Qwen3", extra=("head_dim", "attention_bias")),
        rename=_same,
        shifted=False,
        mask_tokens=_A2D_MASKS,
        end_of_turn="<|im_end|>",
        fills_with_pad=True,
    ),
    summary="Qwen3 turned into a mask predictor by dLLM",
)
