"""A checkpoint of the recipe -> a model folder in a published layout.

    python -m flexeval.models.tiny.recipe.export DIR/checkpoint.pt FOLDER

Writes the moving average of the weights in half precision, and the tokenizer that lies beside the checkpoint. Names
and configuration are LLaDA's; those of a block-causal model are what dLLM gives its block-diffusion models, with the
length of a block. Every file is replaced as a whole.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from flexeval.models.families import FAMILIES
from flexeval.models.tiny.recipe.train import CONTEXT, HEADS, LAYERS, MLP_WIDTH, NORM_EPS, ROPE_THETA, WIDTH

_BLOCK_PARTS = ("attn_norm", "q_proj", "k_proj", "v_proj", "attn_out", "ff_norm", "ff_proj", "up_proj", "ff_out")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def export(checkpoint: Path, folder: Path, *, gen_length: int = 48, max_gen_length: int = 96) -> None:
    """Write the model folder.

    Args:
        checkpoint: `checkpoint.pt` of a training run, its tokenizer files beside it.
        folder: where the model goes; made if missing, files of the same names replaced.
        gen_length: generated positions of the canvas that it is to be decoded with.
        max_gen_length: the most that it was trained on.
    """
    tokenizer = PreTrainedTokenizerFast.from_pretrained(checkpoint.parent)
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    trained = torch.load(checkpoint, map_location="cpu")
    block = trained.get("block")
    canvas = {"gen_length": gen_length, "block_length": block or 32, "max_gen_length": max_gen_length}
    if block is None:
        published, config = to_published(trained["average"]), published_config(len(tokenizer))
    else:
        published, config = to_half(trained["average"]), block_causal_config(len(tokenizer), block)
    config |= ids | {"mask_token_id": tokenizer.mask_token_id}
    folder.mkdir(parents=True, exist_ok=True)

    _replace(folder / "model.safetensors", save(published, metadata={"format": "pt"}))
    for name, content in (("config.json", config), ("generation_config.json", ids | canvas)):
        _replace(folder / name, f"{json.dumps(content, indent=1)}\n".encode())
    for name in _TOKENIZER_FILES:
        _replace(folder / name, (checkpoint.parent / name).read_bytes())


def to_published(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of transformers' Llama -> the same in half precision under LLaDA's names."""
    published = [f"model.transformer.{name}.weight" for name in ("wte", "ln_f", "ff_out")]
    published += [f"model.transformer.blocks.{n}.{part}.weight" for n in range(LAYERS) for part in _BLOCK_PARTS]
    rename = FAMILIES.get("llada").rename
    return to_half({name: weights[rename(name)] for name in published})


def to_half(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights in half precision."""
    return {name: weight.to(torch.float16).contiguous() for name, weight in weights.items()}


def published_config(vocab_size: int) -> dict[str, Any]:
    """config.json with the fields of LLaDA's published checkpoints, special tokens left out."""
    return {
        "activation_type": "silu",
        "alibi": False,
        "alibi_bias_max": 8.0,
        "architectures": ["LLaDAModelLM"],
        "attention_dropout": 0.0,
        "attention_layer_norm": False,
        "attention_layer_norm_with_affine": True,
        "bias_for_layer_norm": False,
        "block_group_size": 1,
        "block_type": "llama",
        "d_model": WIDTH,
        "embedding_dropout": 0.0,
        "embedding_size": vocab_size,
        "flash_attention": False,
        "include_bias": False,
        "include_qkv_bias": False,
        "init_cutoff_factor": None,
        "init_device": "cpu",
        "init_fn": "normal",
        "init_std": 0.02,
        "input_emb_norm": False,
        "layer_norm_type": "rms",
        "layer_norm_with_affine": True,
        "max_sequence_length": CONTEXT,
        "mlp_hidden_size": MLP_WIDTH,
        "mlp_ratio": MLP_WIDTH // WIDTH,
        "model_type": "llada",
        "n_heads": HEADS,
        "n_kv_heads": HEADS,
        "n_layers": LAYERS,
        "precision": "fp32",
        "residual_dropout": 0.0,
        "rms_norm_eps": NORM_EPS,
        "rope": True,
        "rope_full_precision": True,
        "rope_theta": ROPE_THETA,
        "scale_logits": False,
        "torch_dtype": "float16",
        "use_cache": False,
        "vocab_size": vocab_size,
        "weight_tying": False,
    }


def block_causal_config(vocab_size: int, block: int) -> dict[str, Any]:
    """config.json of a Llama that dLLM has turned into a block-diffusion model, special tokens left out."""
    return {
        "architectures": ["A2DLlamaLMHeadModel"],
        "attention_bias": False,
        "block_size": block,
        "head_dim": WIDTH // HEADS,
        "hidden_act": "silu",
        "hidden_size": WIDTH,
        "intermediate_size": MLP_WIDTH,
        "max_position_embeddings": CONTEXT,
        "mlp_bias": False,
        "model_type": "a2d-llama",
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "num_key_value_heads": HEADS,
        "rms_norm_eps": NORM_EPS,
        "rope_theta": ROPE_THETA,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "use_cache": False,
        "vocab_size": vocab_size,
    }


def _replace(path: Path, content: bytes) -> None:
    """Write the file under another name, then put it in place."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Turn a training checkpoint into a model folder.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gen-length", type=int, default=48)
    parser.add_argument("--max-gen-length", type=int, default=96)
    arguments = parser.parse_args()
    export(
        arguments.checkpoint,
        arguments.folder,
        gen_length=arguments.gen_length,
        max_gen_length=arguments.max_gen_length,
    )


if __name__ == "__main__":
    main()
