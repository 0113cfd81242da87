"""Every field of config.json that changes the numbers is represented, or refused by name, in every family."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from checkpoints import QWEN_CONFIG, write_llada, write_qwen
from golden_vectors import FAMILIES as GOLDEN
from golden_vectors import HERE
from precision import assert_equal_but_rounding

from flexeval.errors import InputError
from flexeval.models import load_model
from flexeval.models.families import FAMILIES, blueprint_of, family_of

# What the authors' own code was run with, and families that no vectors exist of.
CONFIGS = {name: json.loads((HERE / name / "config.json").read_text()) for name in GOLDEN}
CONFIGS |= {
    "a2d-llama": QWEN_CONFIG | {"model_type": "a2d-llama"},
    "dream-reasoner": QWEN_CONFIG | {"model_type": "Dream", "block_size": 32, "head_dim": 8},
    "sdar_moe": QWEN_CONFIG
    | {"model_type": "sdar_moe", "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8, "head_dim": 8},
}
SCALINGS = {
    "linear": {"rope_type": "linear", "factor": 3.0},
    "dynamic": {"rope_type": "dynamic", "factor": 2.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 16.0},
    "llama3": {
        **{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
        "original_max_position_embeddings": 16,
    },
}


def blueprint(config, **changes):
    config = {name: value for name, value in (config | changes).items() if value != "absent"}
    return blueprint_of(family_of(config), config)


@pytest.fixture(params=CONFIGS)
def config(request):
    return CONFIGS[request.param]


def test_a_published_configuration_is_represented(config):
    assert blueprint(config).options["hidden_size"] in (32, 64)


@pytest.mark.parametrize("scaling", SCALINGS.values(), ids=SCALINGS)
def test_every_family_reads_every_form_of_rotary_parameters(config, scaling):
    old = {"type" if name == "rope_type" else name: value for name, value in scaling.items()}
    whole = scaling | {"rope_theta": 70000.0}
    forms = [
        {"rope_theta": 70000.0, "rope_scaling": old, "rope_parameters": None},
        {"rope_theta": 70000.0, "rope_scaling": scaling, "rope_parameters": None},
        {"rope_theta": "absent", "rope_scaling": None, "rope_parameters": whole},
        {"rope_theta": 70000.0, "rope_scaling": whole, "rope_parameters": whole},
        {"rope_theta": "absent", "rope_scaling": None, "rope_parameters": {"full_attention": whole}},
        {"rope_theta": None, "rope_parameters": {"full_attention": scaling, "rope_theta": 70000}},
    ]
    for form in forms:
        found = dict(blueprint(config, **form).options["rope_parameters"])
        found.pop("partial_rotary_factor", None)
        assert found == whole


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"rope_theta": 5e5, "rope_parameters": {"rope_theta": 1e4}}, "rope_theta is 500000.0, but elsewhere it says"),
        ({"rope_scaling": {"type": "longrope", "short_factor": [1], "long_factor": [2]}}, "rope_type 'longrope'"),
        ({"rope_scaling": {"type": "default", "mrope_section": [8, 8]}}, "mrope_section"),
        ({"rope_scaling": {"type": "linear"}}, "needs factor, which is missing"),
        ({"rope_scaling": {"type": "linear", "factor": "2"}}, "factor is '2'"),
        ({"rope_scaling": {"type": ["linear"], "factor": 2}}, r"rope_type \['linear'\]"),
        ({"rope_scaling": {"type": "linear", "rope_type": "yarn", "factor": 2}}, "type 'linear' and another rope_type"),
        ({"rope_scaling": "linear"}, "rope_scaling is 'linear', but must be an object"),
        ({"rope_parameters": {"full_attention": {}, "sliding_attention": {}}}, "layer types full_attention, sliding"),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": -1}, "rope_theta": None}, "rope_theta is -1"),
        ({"original_max_position_embeddings": 16}, "original_max_position_embeddings 16"),
    ],
)
def test_rotary_parameters_that_cannot_be_represented_are_refused(config, fields, says):
    with pytest.raises(InputError, match=says) as caught:
        blueprint(config, **fields)
    assert "\n" not in str(caught.value)


def own_logits(module_class, options, folder):
    """What transformers' layers compute by themselves of a configuration and the folder's weights."""
    model = load_model(folder)
    module = module_class(options).eval()
    module.load_state_dict(model.module.state_dict())
    tokens_BL = torch.randint(256, (2, 40), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return module(tokens_BL, use_cache=False).logits, model.logits(model.hidden(tokens_BL))


@pytest.mark.parametrize("scaling", SCALINGS.values(), ids=SCALINGS)
def test_logits_are_those_of_transformers_layers_with_these_rotary_parameters(tmp_path, scaling):
    changes = {"rope_theta": 3e4, "rope_scaling": scaling}
    options = transformers.LlamaConfig(
        **{"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48},
        **{"vocab_size": 272, "max_position_embeddings": 1024, "rms_norm_eps": 1e-5, "is_causal": False},
        rope_parameters={"rope_theta": 3e4, **scaling},
    )
    theirs, ours = own_logits(transformers.LlamaForCausalLM, options, write_llada(tmp_path / "llada", **changes))
    assert_equal_but_rounding(ours, theirs)

    qwen = {name: value for name, value in QWEN_CONFIG.items() if name != "rope_theta"}
    options = transformers.Qwen3Config(
        **qwen, head_dim=8, is_causal=False, rope_parameters={"rope_theta": 3e4, **scaling}
    )
    folder = write_qwen(tmp_path / "qwen", "a2d-qwen3", head_dim=8, **changes)
    theirs, ours = own_logits(transformers.Qwen3ForCausalLM, options, folder)
    assert_equal_but_rounding(ours, theirs)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("clip_qkv", 8.0),
        ("logit_scale", 0.06),
        ("logits_scaling", 8.0),
        ("residual_multiplier", 0.22),
        ("embedding_multiplier", 12.0),
        ("attention_multiplier", 0.01),
        ("scale_emb", 12),
        ("final_logit_softcapping", 30.0),
        ("attn_logit_softcapping", 50.0),
        ("query_pre_attn_scalar", 144),
        ("partial_rotary_factor", 0.25),
        ("no_rope_layers", [1, 0]),
        ("no_rope_layer_interval", 4),
        ("attention_chunk_size", 8192),
        ("use_parallel_residual", True),
        ("scale_embedding", True),
        ("use_scaled_rope", True),
        ("norm_type", "layer_norm"),
        ("hidden_activation", "gelu"),
        ("something_new", 3),
    ],
)
def test_a_field_that_no_layout_represents_is_refused_by_name(config, field, value):
    if field == "partial_rotary_factor" and "first_k_dense_replace" in config:
        pytest.skip("these layers rotate a part of each head")
    with pytest.raises(InputError, match=field) as caught:
        blueprint(config, **{field: value})
    assert "\n" not in str(caught.value)
    # Switched off, it changes nothing.
    neutral = 1 if field == "partial_rotary_factor" else None
    assert blueprint(config, **{field: neutral}) == blueprint(config)


@pytest.mark.parametrize(
    "fields",
    [
        {"transformers_version": "5.9.0", "torch_dtype": "bfloat16", "_name_or_path": "x", "unsloth_fixed": True},
        {"attention_dropout": 0.1, "resid_pdrop": 0.1, "initializer_range": 0.02, "use_cache": True},
        {"auto_map": {"AutoModel": "x.Y"}, "id2label": {"0": "x"}, "bos_token_id": 3, "pretraining_tp": 1},
        {"sliding_window": 16, "use_sliding_window": False, "unsloth_version": "2025.1", "tokenizer_class": "X"},
    ],
)
def test_fields_that_change_nothing_are_left_alone(config, fields):
    assert blueprint(config, **fields) == blueprint(config)


def test_a_sliding_window_is_refused_where_the_published_code_has_one(config):
    kinds = {"layer_types": ["full_attention"] * 2 + ["sliding_attention"], "sliding_window": 16}
    for fields in ({"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1}, kinds):
        fields = {"layer_types": None} | fields
        if config["model_type"].startswith("a2d") or config is CONFIGS["dream"]:
            # Their code attends to the whole canvas whatever these fields say.
            assert blueprint(config, **fields) == blueprint(config)
            continue
        with pytest.raises(InputError, match="sliding"):
            blueprint(config, **fields)


@pytest.mark.parametrize("method", ["gptq", "awq", "fp8", "bitsandbytes", "torchao", "compressed-tensors"])
def test_a_quantised_checkpoint_is_refused_by_its_method(config, method):
    with pytest.raises(InputError, match=rf"quantization_config \({method}\)"):
        blueprint(config, quantization_config={"quant_method": method, "bits": 4})


def test_a_block_length_is_refused_where_the_family_attends_to_the_whole_canvas():
    with pytest.raises(InputError, match="block_size 32"):
        blueprint(CONFIGS["llada"], block_size=32)
    assert blueprint(CONFIGS["sdar"], block_size=8) == blueprint(CONFIGS["sdar"])


def test_rotary_dimensions_agree_with_the_share_that_is_rotated():
    config = CONFIGS["llada2_moe"]
    with pytest.raises(InputError, match="rotary_dim is 16"):
        blueprint(config, rotary_dim=16)
    nested = {"rope_theta": 6e5, "partial_rotary_factor": 0.5}
    assert blueprint(config, partial_rotary_factor="absent", rope_parameters=nested) == blueprint(config)


def test_every_family_has_a_configuration_here():
    found = {family_of(config) for config in CONFIGS.values()}
    # LLaDA2.1 under dLLM's name is the same family.
    assert [name for name in FAMILIES if FAMILIES.get(name) not in found] in ([], ["llada21_moe"])
