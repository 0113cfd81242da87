"""Translation of configurations: what cannot be represented is refused, in one line."""

from __future__ import annotations

import pytest
from checkpoints import LLADA_CONFIG, QWEN_CONFIG

from flexeval.errors import InputError
from flexeval.models.families import FAMILIES, family_of, why_unknown

LLADA_8B = {
    **{"model_type": "llada", "d_model": 4096, "n_layers": 32, "n_heads": 32, "n_kv_heads": 32, "mlp_ratio": 4},
    **{"mlp_hidden_size": 12288, "vocab_size": 126464, "embedding_size": 126464, "max_sequence_length": 4096},
    **{"rope": True, "rope_theta": 500000.0, "rope_full_precision": True, "rms_norm_eps": 1e-05, "alibi": False},
    **{"block_type": "llama", "block_group_size": 1, "activation_type": "silu", "layer_norm_type": "rms"},
    **{"layer_norm_with_affine": True, "bias_for_layer_norm": False, "attention_layer_norm": False},
    **{"include_bias": False, "include_qkv_bias": False, "input_emb_norm": False, "scale_logits": False},
    **{"weight_tying": False, "multi_query_attention": None, "mask_token_id": 126336},
}


def test_llada_8b_is_a_llama():
    blueprint = FAMILIES.get("llada").translate(LLADA_8B)
    assert (blueprint.layers, blueprint.max_length, blueprint.logit_scale) == ("Llama", 4096, 1.0)
    assert blueprint.options == {
        **{"vocab_size": 126464, "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 32},
        **{"num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096},
        **{"rms_norm_eps": 1e-05, "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}},
        "tie_word_embeddings": False,
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("alibi", True),
        ("rope", False),
        ("block_type", "sequential"),
        ("block_group_size", 4),
        ("activation_type", "swiglu"),
        ("layer_norm_type", "gemma_rms"),
        ("layer_norm_with_affine", False),
        ("bias_for_layer_norm", True),
        ("attention_layer_norm", True),
        ("include_bias", True),
        ("include_qkv_bias", True),
        ("input_emb_norm", True),
    ],
)
def test_a_llada_that_llama_layers_cannot_represent_is_refused(field, value):
    with pytest.raises(InputError, match=f"cannot run this LLaDA variant: {field} is {value!r}") as caught:
        FAMILIES.get("llada").translate(LLADA_8B | {field: value})
    assert "\n" not in str(caught.value)


def test_absent_fields_of_llada_mean_the_defaults_of_its_configuration():
    options = FAMILIES.get("llada").translate({k: v for k, v in LLADA_8B.items() if k != "weight_tying"}).options
    assert options["tie_word_embeddings"] is True
    with pytest.raises(InputError, match="layer_norm_type is 'default'"):
        FAMILIES.get("llada").translate({k: v for k, v in LLADA_8B.items() if k != "layer_norm_type"})
    small = {k: v for k, v in LLADA_8B.items() if k not in ("mlp_hidden_size", "n_kv_heads", "embedding_size")}
    options = FAMILIES.get("llada").translate(small).options
    assert (options["intermediate_size"], options["num_key_value_heads"], options["vocab_size"]) == (16384, 32, 126464)
    assert FAMILIES.get("llada").translate(small | {"multi_query_attention": True}).options["num_key_value_heads"] == 1


@pytest.mark.parametrize("value", [None, "64", -1, 0, True, float("nan")])
def test_a_field_that_is_no_positive_number_is_named(value):
    with pytest.raises(InputError, match="d_model"):
        FAMILIES.get("llada").translate(LLADA_CONFIG | {"d_model": value})
    if value is not None:
        with pytest.raises(InputError, match="n_kv_heads"):
            FAMILIES.get("llada").translate(LLADA_CONFIG | {"n_kv_heads": value})
    with pytest.raises(InputError, match="num_hidden_layers"):
        FAMILIES.get("Dream").translate(QWEN_CONFIG | {"num_hidden_layers": value})


@pytest.mark.parametrize("name", ["scale_logits", "weight_tying", "multi_query_attention", "bias_for_layer_norm"])
def test_a_switch_that_is_neither_on_nor_off_is_named(name):
    """Python takes any text for true, "false" too."""
    without = {k: v for k, v in LLADA_CONFIG.items() if k != "n_kv_heads"}
    with pytest.raises(InputError, match=f"config.json's {name} is 'false', but must be true or false"):
        FAMILIES.get("llada").translate(without | {name: "false"})


def test_a_missing_field_is_called_missing():
    with pytest.raises(InputError, match="hidden_size is missing"):
        FAMILIES.get("Dream").translate({k: v for k, v in QWEN_CONFIG.items() if k != "hidden_size"})


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(InputError, match="do not divide"):
        FAMILIES.get("llada").translate(LLADA_CONFIG | {"n_heads": 5})
    with pytest.raises(InputError, match="do not divide"):
        FAMILIES.get("Dream").translate(QWEN_CONFIG | {"num_key_value_heads": 3})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"rope_theta": 1e6}, {"rope_type": "default", "rope_theta": 1e6}),
        ({"rope_theta": 1e6, "rope_scaling": None}, {"rope_type": "default", "rope_theta": 1e6}),
        (
            {"rope_theta": 1e6, "rope_scaling": {"type": "linear", "factor": 2.0}},
            {"rope_type": "linear", "rope_theta": 1e6, "factor": 2.0},
        ),
        (
            {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
            {"rope_type": "default", "rope_theta": 5e5},
        ),
    ],
)
def test_rotary_parameters_are_read_in_every_form(fields, expected):
    config = {k: v for k, v in QWEN_CONFIG.items() if k != "rope_theta"} | fields
    assert FAMILIES.get("a2d-qwen3").translate(config).options["rope_parameters"] == expected


def test_llada_moe_is_not_taken_for_llada():
    assert family_of({"model_type": "llada", "num_experts": 64}) is FAMILIES.get("llada-moe")
    assert family_of(LLADA_CONFIG) is FAMILIES.get("llada")
    assert family_of({"model_type": "gpt2"}) is None
    assert family_of({}) is None


def test_families_that_share_a_model_type_are_told_apart_by_what_is_in_their_files():
    reasoner = FAMILIES.get("dream-reasoner")
    assert family_of({"model_type": "Dream"}, ["model.layers.0.self_attn.q_proj.bias"]) is FAMILIES.get("Dream")
    assert family_of({"model_type": "Dream"}, ["model.layers.0.self_attn.q_norm.weight"]) is reasoner
    assert family_of({"model_type": "Dream", "block_size": 32}) is reasoner

    llama = {"model_type": "llama", "architectures": ["StableDiffcoderForCausalLM"]}
    assert family_of(llama) is FAMILIES.get("stable-diffcoder")
    assert family_of(llama | {"architectures": ["LlamaForCausalLM"]}) is None
    # A name that is no model_type is none.
    assert family_of({"model_type": "stable-diffcoder"}) is None


def test_an_unknown_type_is_named_and_what_is_missing():
    assert "Nemotron-Labs-Diffusion: flexeval lacks" in why_unknown({"model_type": "nemotron_labs_diffusion"})
    assert "trust_remote_code=True" in why_unknown({"model_type": "mystery"})
    # Its own code would run with full attention.
    assert "trust_remote_code" not in why_unknown({"model_type": "mystery", "block_size": 32})


@pytest.mark.parametrize(
    ("family", "config", "says"),
    [
        ("illada", {"layer_norm_eps": 1e-5}, "iLLaDA variant: it has layer_norm_eps"),
        ("wedlm", {"qk_norm": True, "attention_bias": True}, "qk_norm and attention_bias are both True"),
        ("llada-moe", {"moe_router_score_function": "sigmoid"}, "LLaDA-MoE variant: moe_router_score_function"),
        ("llada2_moe", {"score_function": "softmax"}, "LLaDA2 variant: score_function is 'softmax'"),
        ("llada2_moe", {"num_experts": 10, "n_group": 4}, "10 experts in 4 groups"),
        ("llada2_moe", {"num_experts": 8, "num_experts_per_tok": 9}, "num_experts_per_tok is 9, more than"),
    ],
)
def test_a_variant_that_the_layers_cannot_represent_is_refused(family, config, says):
    needed = {"qk_layernorm": True, "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 8}
    with pytest.raises(InputError, match=says):
        FAMILIES.get(family).translate({**QWEN_CONFIG, **needed, **config})
