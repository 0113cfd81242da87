"""config.json and the names of weights -> those of transformers' own classes, one translation for each layout.

Knows configurations and names only: no tensors, no torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flexeval.errors import InputError, shortened
from flexeval.models.config import (
    WINDOW_FIELDS,
    Config,
    choice_of,
    field,
    layers_of,
    require_no_window,
    require_values,
    rope,
    switch,
)


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """What to build for one checkpoint."""

    layers: str
    """Prefix of transformers' classes, such as "Llama", "Qwen3Moe": any whose `ForCausalLM` has a base model."""
    options: dict[str, Any]
    """Fields of transformers' configuration class."""
    max_length: int
    """Longest canvas that the model was made for."""
    logit_scale: float = 1.0
    """What the head's output is multiplied by."""


def llada(config: Config) -> Blueprint:
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
    if switch(config, "bias_for_layer_norm", default=False):
        raise InputError("cannot run this LLaDA variant: bias_for_layer_norm is True, and only False is supported")

    width = field(config, "d_model")
    heads = field(config, "n_heads")
    one_for_all = switch(config, "multi_query_attention", default=False)
    key_heads = field(config, "n_kv_heads", default=1 if one_for_all else heads)
    _check_heads(width, heads, key_heads)
    options = {
        # The embedding is as wide as `embedding_size`, and so are LLaDA's logits.
        "vocab_size": field(config, "embedding_size", default=field(config, "vocab_size")),
        "hidden_size": width,
        "intermediate_size": field(config, "mlp_hidden_size", default=field(config, "mlp_ratio", default=4) * width),
        "num_hidden_layers": layers_of(config, "n_layers"),
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "max_position_embeddings": field(config, "max_sequence_length"),
        "rms_norm_eps": field(config, "rms_norm_eps", default=1e-5, whole=False),
        "rope_parameters": rope(config),
        "tie_word_embeddings": switch(config, "weight_tying", default=True),
    }
    require_no_window(config)
    config.get("tie_word_embeddings")  # LLaDA's code goes by weight_tying, whatever this says
    return Blueprint(
        layers="Llama",
        options=options,
        max_length=options["max_position_embeddings"],
        logit_scale=width**-0.5 if switch(config, "scale_logits", default=False) else 1.0,
    )


def standard(
    layers: str, *, extra: tuple[str, ...] = (), partial: bool = False, ignores_windows: bool = False, **own: Any
) -> Callable[[Config], Blueprint]:
    """The translation for checkpoints whose fields already have transformers' names.

    Args:
        layers: prefix of transformers' classes.
        extra: fields that are passed on where they are given, besides those that all have.
        partial: they can rotate a part of each head.
        ignores_windows: the published code attends to the whole canvas whatever the fields of sliding windows say, as
            that of Dream and A2D does. Without it, such a window is refused.
        own: options that stand for fields of other names.
    """
    kept = ("hidden_act", "rms_norm_eps", *extra)

    def translate(config: Config) -> Blueprint:
        if ignores_windows:
            _ = [config.get(name) for name in WINDOW_FIELDS]
        else:
            require_no_window(config)
        if layers.startswith("Qwen3"):
            require_values(layers, config, use_qk_norm=(True, None), qk_norm=(True, None), qk_layernorm=(True, None))
        width = field(config, "hidden_size")
        heads = field(config, "num_attention_heads")
        key_heads = field(config, "num_key_value_heads", default=heads)
        if "head_dim" not in extra or config.get("head_dim") is None:
            _check_heads(width, heads, key_heads)
            require_values(layers, config, head_dim=(width // heads, None))
        options = {
            "vocab_size": field(config, "vocab_size"),
            "hidden_size": width,
            "intermediate_size": own.get("intermediate_size") or field(config, "intermediate_size"),
            "num_hidden_layers": layers_of(config, "num_hidden_layers"),
            "num_attention_heads": heads,
            "num_key_value_heads": key_heads,
            "max_position_embeddings": field(config, "max_position_embeddings"),
            "rope_parameters": rope(config, partial=partial),
            "tie_word_embeddings": switch(config, "tie_word_embeddings", default=False),
            **{name: config[name] for name in kept if config.get(name) is not None},
            **own,
        }
        return Blueprint(layers=layers, options=options, max_length=options["max_position_embeddings"])

    return translate


def _check_heads(width: int, heads: int, key_heads: int) -> None:
    if width % heads or heads % key_heads:
        raise InputError(
            f"cannot build the model: {width} hidden units, {heads} attention heads and {key_heads} key-value heads "
            "do not divide each other"
        )


def illada(config: Config) -> Blueprint:
    """Llama's layers, with RMS norms only."""
    if config.get("layer_norm_eps") is not None:
        raise InputError("cannot run this iLLaDA variant: it has layer_norm_eps, and only RMS norms are supported")
    return standard("Llama", extra=("head_dim", "attention_bias", "mlp_bias"))(config)


def wedlm(config: Config) -> Blueprint:
    """Qwen3's layers, or Qwen2's: with norms of queries and keys and no biases, or the other way round."""
    norms = switch(config, "qk_norm", default=False)
    biases = switch(config, "attention_bias", default=not norms)
    if norms == biases:
        raise InputError(
            f"cannot run this WeDLM variant: qk_norm and attention_bias are both {norms}, and one of them must be True"
        )
    return standard("Qwen3" if norms else "Qwen2", extra=("head_dim", "attention_bias") if norms else ())(config)


def _moe(config: Config, *, layers: str, partial: bool = False, **options: Any) -> Blueprint:
    """A standard translation with options of a mixture of experts."""
    return standard(layers, extra=("head_dim", "attention_bias"), partial=partial, **options)(config)


def sdar_moe(config: Config) -> Blueprint:
    """Qwen3's layers with experts, under transformers' names."""
    dense = config.get("mlp_only_layers") or []
    if not isinstance(dense, list):
        raise InputError(f"cannot build the model: config.json's mlp_only_layers is {dense!r}, but must be a list")
    return _moe(
        config,
        layers="Qwen3Moe",
        num_experts=field(config, "num_experts"),
        num_experts_per_tok=choice_of(config, "num_experts_per_tok", "num_experts"),
        moe_intermediate_size=field(config, "moe_intermediate_size"),
        norm_topk_prob=switch(config, "norm_topk_prob", default=True),
        decoder_sparse_step=field(config, "decoder_sparse_step", default=1),
        mlp_only_layers=dense,
    )


def llada_moe(config: Config) -> Blueprint:
    """LLaDA-MoE's own field names -> those of Qwen3's layers with experts, whose weights it does not normalise."""
    require_values(
        "LLaDA-MoE",
        config,
        clip_qkv=(None,),
        moe_router_score_function=("softmax", None),
        moe_router_enable_expert_bias=(False, None),
        norm_topk_prob=(False, None),
        qk_layernorm=(True,),
        router_num_group=(None,),
        router_topk_group=(None,),
        routed_scaling_factor=(1, None),
        shared_expert_intermediate_size=(None,),
        partial_rotary_factor=(1, None),
    )
    layers = layers_of(config, "num_hidden_layers")
    sparse = config.get("moe_layer_freq")
    sparse = [1] * layers if sparse is None else sparse
    if not isinstance(sparse, list) or len(sparse) != layers or any(each not in (0, 1) for each in sparse):
        raise InputError(
            f"cannot build the model: config.json's moe_layer_freq is {shortened(repr(sparse), 60)}, but must be a "
            f"list of {layers} numbers 0 or 1"
        )
    experts = field(config, "expert_intermediate_size")
    dense = field(config, "dense_intermediate_size", default=experts)
    return _moe(
        config,
        layers="Qwen3Moe",
        intermediate_size=dense,
        num_experts=field(config, "num_experts"),
        num_experts_per_tok=choice_of(config, "num_experts_per_tok", "num_experts"),
        moe_intermediate_size=experts,
        norm_topk_prob=False,
        decoder_sparse_step=1,
        mlp_only_layers=[layer for layer, each in enumerate(sparse) if not each],
    )


def llada2(config: Config) -> Blueprint:
    """LLaDA2's own field names -> those of GLM-4's layers with experts."""
    require_values(
        "LLaDA2",
        config,
        score_function=("sigmoid", None),
        use_bias=(False, None),
        use_qkv_bias=(False, None),
        use_rmsnorm=(True, None),
        norm_head=(False, None),
        using_split_qkv_in_self_attention=(False, None),
    )
    experts, groups = field(config, "num_experts"), field(config, "n_group", default=1)
    chosen = choice_of(config, "topk_group", "n_group", default=groups)
    if experts % groups or experts // groups < 2:
        raise InputError(
            f"cannot build the model: {experts} experts in {groups} groups; every group must have equally many, at "
            "least 2"
        )
    blueprint = _moe(
        config,
        layers="Glm4Moe",
        partial=True,
        n_routed_experts=experts,
        n_shared_experts=field(config, "num_shared_experts", default=1),
        num_experts_per_tok=choice_of(config, "num_experts_per_tok", "num_experts"),
        moe_intermediate_size=field(config, "moe_intermediate_size"),
        n_group=groups,
        topk_group=chosen,
        routed_scaling_factor=float(field(config, "routed_scaling_factor", default=1.0, whole=False)),
        first_k_dense_replace=_first_dense(config),
        norm_topk_prob=switch(config, "norm_topk_prob", default=True),
        use_qk_norm=switch(config, "use_qk_norm", default=True),
        num_mtp_layers=0,
    )
    options = blueprint.options
    head = options.get("head_dim") or options["hidden_size"] // options["num_attention_heads"]
    rotated = int(head * options["rope_parameters"]["partial_rotary_factor"])
    require_values("LLaDA2", config, rotary_dim=(rotated, None))
    config.get("moe_router_enable_expert_bias")  # the weights hold it or do not
    return blueprint


def _first_dense(config: Config) -> int:
    return 0 if config.get("first_k_dense_replace") == 0 else int(field(config, "first_k_dense_replace", default=0.0))


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


def rename_llada(name: str) -> str:
    """LLaDA's name of a weight -> Llama's."""
    block = re.fullmatch(r"model\.transformer\.blocks\.(\d+)\.(\w+)\.weight", name)
    if block and block[2] in _LLADA_BLOCK:
        return f"model.layers.{block[1]}.{_LLADA_BLOCK[block[2]]}.weight"
    return _LLADA_OUTER.get(name, name)


_LLADA2_PARTS = {
    "attention.query_key_value": "self_attn.query_key_value",
    "attention.dense": "self_attn.o_proj",
    "attention.query_layernorm": "self_attn.q_norm",
    "attention.key_layernorm": "self_attn.k_norm",
    "mlp.gate.expert_bias": "mlp.gate.e_score_correction_bias",
}


def rename_llada2(name: str) -> str:
    """LLaDA2's name of a weight -> that of GLM-4's layers with experts."""
    name = name.replace("model.word_embeddings.", "model.embed_tokens.", 1)
    part = re.fullmatch(r"(model\.layers\.\d+\.)(.+?)(\.weight)?", name)
    if part and part[2] in _LLADA2_PARTS:
        return f"{part[1]}{_LLADA2_PARTS[part[2]]}{part[3] or ''}"
    return name


def split_queries_keys_values() -> Sequence[Any]:
    """For rows [queries | keys | values] in one weight."""
    try:
        from transformers.core_model_loading import Split, WeightConverter
    except ImportError as error:
        raise InputError("loading LLaDA2 needs a newer transformers; install 'transformers>=5.20,<6'") from error
    targets = [f"self_attn.{part}_proj.weight" for part in "qkv"]
    return [WeightConverter("self_attn.query_key_value.weight", targets, operations=[Split(dim=0)])]


def same(name: str) -> str:
    """For weights that have transformers' names already."""
    return name
