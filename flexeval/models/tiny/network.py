"""The network of the bundled model: transformers' Llama with bidirectional attention."""

from __future__ import annotations

from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WIDTH, LAYERS, HEADS, MLP_WIDTH, CONTEXT = 128, 4, 4, 384, 2048
ROPE_THETA, NORM_EPS = 10_000.0, 1e-5


def build_network(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """The network with freshly drawn weights (from torch's global generator)."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        intermediate_size=MLP_WIDTH,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=NORM_EPS,
        rope_theta=ROPE_THETA,
        tie_word_embeddings=False,
        is_causal=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)
