"""Checkpoint folders with random weights in published layouts, for tests that need a model or a tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

BOS, EOS, EOT, MASK = "<|startoftext|>", "<|endoftext|>", "<|eot_id|>", "<|mdm_mask|>"
HEADER_START, HEADER_END = "<|start_header_id|>", "<|end_header_id|>"
SPECIAL = {token: 256 + i for i, token in enumerate((BOS, EOS, EOT, HEADER_START, HEADER_END, MASK))}
VOCAB_SIZE, EMBEDDING_SIZE = 262, 272

CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first %}{{ bos_token }}{% endif %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{{ message['content'] | trim }}{{ '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)

LLADA_CONFIG = {
    "model_type": "llada",
    "architectures": ["LLaDAModelLM"],
    "d_model": 32,
    "n_layers": 2,
    "n_heads": 4,
    "n_kv_heads": 4,
    "mlp_hidden_size": 48,
    "vocab_size": VOCAB_SIZE,
    "embedding_size": EMBEDDING_SIZE,
    "max_sequence_length": 1024,
    "rope": True,
    "rope_theta": 500000.0,
    "rms_norm_eps": 1e-5,
    "block_type": "llama",
    "activation_type": "silu",
    "layer_norm_type": "rms",
    "weight_tying": False,
    "mask_token_id": SPECIAL[MASK],
    "eos_token_id": SPECIAL[EOS],
    "pad_token_id": SPECIAL[EOS],
}

QWEN_CONFIG = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "vocab_size": EMBEDDING_SIZE,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "mask_token_id": SPECIAL[MASK],
    "eos_token_id": SPECIAL[EOS],
    "pad_token_id": SPECIAL[EOS],
}


def write_tokenizer(folder: Path, *, chat_template: str | None = CHAT_TEMPLATE, **settings: Any) -> None:
    """A byte-level tokenizer with LLaDA's special tokens, which adds a BOS of its own unless told not to."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, SPECIAL[BOS])])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BOS, "eos_token": EOS, "pad_token": EOS}
    if chat_template is not None:
        config["chat_template"] = chat_template
    (folder / "tokenizer_config.json").write_text(json.dumps(config | settings))


def write_llada(folder: Path, *, seed: int = 0, **changes: Any) -> Path:
    """A checkpoint in LLaDA's layout, with tokenizer; `changes` overwrite fields of config.json."""
    config = LLADA_CONFIG | changes
    width, rows = config["d_model"], config["embedding_size"]
    keys = width // config["n_heads"] * config["n_kv_heads"]
    inner = config["mlp_hidden_size"]
    shapes = {"wte": (rows, width), "ln_f": (width,), "ff_out": (rows, width)}
    if config["weight_tying"]:
        del shapes["ff_out"]
    for layer in range(config["n_layers"]):
        parts = {
            **{"attn_norm": (width,), "q_proj": (width, width), "k_proj": (keys, width), "v_proj": (keys, width)},
            **{"attn_out": (width, width), "ff_norm": (width,)},
            **{"ff_proj": (inner, width), "up_proj": (inner, width), "ff_out": (width, inner)},
        }
        shapes |= {f"blocks.{layer}.{part}": shape for part, shape in parts.items()}
    write_folder(folder, config, {f"model.transformer.{name}.weight": shape for name, shape in shapes.items()}, seed)
    write_tokenizer(folder)
    return folder


def write_qwen(folder: Path, model_type: str, *, seed: int = 0, with_norms: bool = False, **changes: Any) -> Path:
    """A checkpoint under transformers' Llama, Qwen2 or Qwen3 names, with tokenizer; `with_norms` has Qwen3's layers."""
    # dLLM's files do not say how they attend; flexeval asks.
    said = {"attention_rule": "full"} if model_type.startswith("a2d") else {}
    config = {"model_type": model_type} | QWEN_CONFIG | said | changes
    width, heads = config["hidden_size"], config["num_attention_heads"]
    if with_norms or model_type in ("sdar", "CoDA"):
        config.setdefault("head_dim", width // heads)
    size = config.get("head_dim", width // heads)
    queries, keys, inner = heads * size, config["num_key_value_heads"] * size, config["intermediate_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (config["vocab_size"], width),
        "model.norm.weight": (width,),
    }
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (config["vocab_size"], width)
    for layer in range(config["num_hidden_layers"]):
        parts: dict[str, tuple[int, ...]] = {
            **{"input_layernorm.weight": (width,), "post_attention_layernorm.weight": (width,)},
            **{"self_attn.q_proj.weight": (queries, width), "self_attn.k_proj.weight": (keys, width)},
            **{"self_attn.v_proj.weight": (keys, width), "self_attn.o_proj.weight": (width, queries)},
            **{"mlp.gate_proj.weight": (inner, width), "mlp.up_proj.weight": (inner, width)},
            **{"mlp.down_proj.weight": (width, inner)},
        }
        if model_type in ("Dream", "a2d-qwen2", "Fast_dLLM_Qwen") and not with_norms:
            biased = {"q_proj": queries, "k_proj": keys, "v_proj": keys}
            parts |= {f"self_attn.{name}.bias": (length,) for name, length in biased.items()}
        if model_type in ("a2d-qwen3", "sdar", "CoDA") or with_norms:
            parts |= {"self_attn.q_norm.weight": (size,), "self_attn.k_norm.weight": (size,)}
        shapes |= {f"model.layers.{layer}.{part}": shape for part, shape in parts.items()}
    write_folder(folder, config, shapes, seed)
    write_tokenizer(folder)
    return folder


def write_lora(folder: Path, base: Path | str, *, seed: int = 0, rank: int = 2) -> Path:
    """A LoRA adapter with random weights for a checkpoint of `write_llada` or `write_qwen`, as peft saves one."""
    generator = np.random.default_rng(seed)
    weights = {}
    for layer in range(2):
        module = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        weights[f"{module}.lora_A.weight"] = generator.standard_normal((rank, 32)).astype(np.float32)
        weights[f"{module}.lora_B.weight"] = generator.standard_normal((32, rank)).astype(np.float32)
    settings = {"peft_type": "LORA", "base_model_name_or_path": str(base), "r": rank, "lora_alpha": 2 * rank}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(settings | {"target_modules": ["q_proj"]}))
    return folder


def write_folder(folder: Path, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], seed: int) -> None:
    """config.json and random float32 weights of these shapes."""
    generator = np.random.default_rng(seed)
    weights = {
        name: (
            1 + 0.1 * generator.standard_normal(shape)
            if len(shape) == 1
            else generator.standard_normal(shape) / np.sqrt(shape[-1])
        ).astype(np.float32)
        for name, shape in shapes.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(dict(config)))
