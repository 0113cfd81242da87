"""Laws of the predictors on transformers' layers: padding, direction, alignment, gradients, exact loading."""

from __future__ import annotations

import json
import re

import pytest
import torch
import transformers
from checkpoints import MASK, SPECIAL, write_llada, write_qwen
from precision import assert_equal_but_rounding
from safetensors.torch import load_file, save_file
from torch import Tensor

from flexeval.errors import InputError, Note
from flexeval.models import MaskPredictor, check_fits, load_model, native

MAKERS = {
    "llada": lambda folder: write_llada(folder),
    "llada-gqa": lambda folder: write_llada(folder, n_kv_heads=2),
    "llada-tied": lambda folder: write_llada(folder, weight_tying=True),
    "Dream": lambda folder: write_qwen(folder, "Dream"),
    "a2d-llama": lambda folder: write_qwen(folder, "a2d-llama"),
    "a2d-qwen2": lambda folder: write_qwen(folder, "a2d-qwen2", tie_word_embeddings=True),
    "a2d-qwen3": lambda folder: write_qwen(folder, "a2d-qwen3", head_dim=16),
}


@pytest.fixture(scope="module", params=MAKERS)
def model(request, tmp_path_factory):
    return load_model(str(MAKERS[request.param](tmp_path_factory.mktemp(request.param))))


def random_tokens(model, *shape: int, seed: int = 0) -> Tensor:
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed))


def logits(model, tokens_BL: Tensor, attention_BL: Tensor | None = None) -> Tensor:
    with torch.inference_mode():
        return model.logits(model.hidden(tokens_BL, attention_BL))


def assert_same_weights(one, other):
    weights, others = one.module.state_dict(), other.module.state_dict()
    assert weights.keys() == others.keys()
    assert all(torch.equal(weight, others[name]) for name, weight in weights.items())


def test_it_is_a_mask_predictor(model):
    assert isinstance(model, MaskPredictor)
    assert model.mask_id == SPECIAL[MASK]


def test_a_padded_row_equals_the_unpadded_row(model):
    rows = [random_tokens(model, length, seed=length) for length in (12, 9, 5)]
    tokens_BL = torch.stack([torch.cat([torch.full((12 - len(row),), model.eos_id), row]) for row in rows])
    attention_BL = torch.arange(12) >= torch.tensor([[12 - len(row)] for row in rows])
    padded = logits(model, tokens_BL, attention_BL)
    for row, result in zip(rows, padded, strict=True):
        assert_equal_but_rounding(result[12 - len(row) :], logits(model, row[None])[0])


def test_every_position_sees_every_other(model):
    tokens_BL = random_tokens(model, 1, 6)
    reference = logits(model, tokens_BL)
    for changed in range(6):
        other = tokens_BL.clone()
        other[0, changed] = (other[0, changed] + 1) % 256
        assert ((logits(model, other) - reference).abs().amax(-1) > 1e-4).all()


def test_gathered_rows_give_the_logits_of_the_whole_canvas(model):
    hidden_BLD = model.hidden(random_tokens(model, 2, 7))
    whole = model.logits(hidden_BLD)
    assert whole.shape == (2, 7, model.vocab_size) and whole.dtype == torch.float32
    assert_equal_but_rounding(model.logits(hidden_BLD[[0, 1], [3, 5]]), whole[[0, 1], [3, 5]])


def test_gradients_reach_every_parameter(model):
    model.logits(model.hidden(random_tokens(model, 1, 5))).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.module.parameters())


def test_dream_is_shifted_by_one_and_the_others_are_not(tmp_path):
    dream = load_model(str(write_qwen(tmp_path / "dream", "Dream", seed=7)))
    a2d = load_model(str(write_qwen(tmp_path / "a2d", "a2d-qwen2", seed=7)))
    tokens_BL = random_tokens(dream, 1, 6)
    raw = a2d.hidden(tokens_BL)
    assert_equal_but_rounding(dream.hidden(tokens_BL), torch.cat([raw[:, :1], raw[:, :-1]], dim=1))


def test_scaled_logits_are_divided_by_the_root_of_the_width(tmp_path):
    plain = load_model(str(write_llada(tmp_path / "plain")))
    scaled = load_model(str(write_llada(tmp_path / "scaled", scale_logits=True)))
    tokens_BL = random_tokens(plain, 1, 5)
    assert_equal_but_rounding(logits(scaled, tokens_BL), logits(plain, tokens_BL) / 32**0.5)


def test_shards_are_read_like_one_file(tmp_path):
    folder = write_llada(tmp_path)
    reference = load_model(str(folder))
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parts = {
        "model-00001-of-00002.safetensors": list(weights)[::2],
        "model-00002-of-00002.safetensors": list(weights)[1::2],
    }
    for file, names in parts.items():
        save_file({name: weights[name] for name in names}, folder / file)
    index = {"weight_map": {name: file for file, names in parts.items() for name in names}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert_same_weights(load_model(str(folder)), reference)

    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(InputError, match=r"incomplete: model-00002-of-00002\.safetensors is missing"):
        load_model(str(folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("model.transformer.blocks.1.up_proj.weight"), r"lacks weights: model\.layers\.1"),
        (lambda weights: weights.update({"model.extra": torch.zeros(2)}), "holds unknown weights: model.extra"),
        (
            lambda weights: weights.update({"model.transformer.ln_f.weight": torch.ones(31)}),
            r"wrong shapes: model\.transformer\.ln_f\.weight \[31\] instead of \[32\]",
        ),
    ],
)
def test_weights_that_do_not_match_are_refused(tmp_path, change, message):
    folder = write_llada(tmp_path)
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(InputError, match=message) as caught:
        load_model(str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        (".qweight", torch.int32),
        (".scales", torch.float16),
        (".weight_scale_inv", torch.float32),
        (".weight", torch.int8),
        (".weight", torch.float8_e4m3fn),
        (".weight.absmax", torch.float32),
    ],
)
def test_quantised_weights_are_never_taken_for_numbers(tmp_path, suffix, dtype):
    folder = write_llada(tmp_path)
    weights = load_file(folder / "model.safetensors")
    name = "model.transformer.blocks.0.q_proj"
    weights[name + suffix] = weights.pop(f"{name}.weight").to(dtype)
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(InputError, match=re.escape(f"quantised weights (found '{name}{suffix}'")) as caught:
        load_model(str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrap", "says"),
    [
        ("module.{}", "save the model inside it"),
        ("_orig_mod.{}", "save the model inside it"),
        ("module._orig_mod.{}", "save the model inside it"),
        ("base_model.model.{}", "--adapter"),
    ],
)
def test_weights_of_a_wrapped_model_are_named_as_in_the_file(tmp_path, wrap, says):
    folder = write_llada(tmp_path)
    weights = load_file(folder / "model.safetensors")
    save_file({wrap.format(name): value for name, value in weights.items()}, folder / "model.safetensors")
    with pytest.raises(InputError, match=says) as caught:
        load_model(str(folder))
    assert wrap.format("model.transformer.") in str(caught.value) and "\n" not in str(caught.value)


def test_names_of_another_layout_are_shown_as_the_file_has_them(tmp_path):
    folder = write_llada(tmp_path)
    weights = load_file(folder / "model.safetensors")
    renamed = {name.replace(".transformer.", ".decoder."): value for name, value in weights.items()}
    save_file(renamed, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"its files hold model\.decoder\.\S+, .* instead"):
        load_model(str(folder))


def test_rotary_buffers_of_older_files_are_harmless(tmp_path):
    folder = write_qwen(tmp_path, "Dream")
    reference = load_model(str(folder))
    weights = load_file(folder / "model.safetensors")
    weights |= {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(4) for i in range(2)}
    save_file(weights | {"model.rotary_emb.inv_freq": torch.ones(4)}, folder / "model.safetensors")
    assert_same_weights(load_model(str(folder)), reference)


def test_a_model_without_a_chat_template_is_noted(tmp_path):
    chat = write_llada(tmp_path / "chat")
    load_model(str(chat))
    (chat / "tokenizer_config.json").unlink()
    with pytest.warns(Note, match="has no chat template") as noted:
        load_model(str(chat))
    assert len(noted) == 1 and "\n" not in str(noted[0].message)
    # A base model has none on purpose.
    load_model(str(chat.rename(tmp_path / "LLaDA-8B-Base")))


def test_the_padding_token_is_named_where_it_is_the_one_that_is_missing(tmp_path):
    folder = write_qwen(tmp_path, "a2d-qwen2", pad_token_id=None)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"pad_token": None}))
    with pytest.raises(InputError, match=r"has no padding token.* write its pad_token_id into config\.json"):
        load_model(str(folder))


def test_a_tied_head_may_be_stored_but_not_differ(tmp_path):
    folder = write_qwen(tmp_path, "a2d-qwen3", head_dim=8, tie_word_embeddings=True)
    reference = load_model(str(folder))
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    save_file(weights, folder / "model.safetensors")
    assert_same_weights(load_model(str(folder)), reference)

    weights["lm_head.weight"] += 1
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(InputError, match="another head"):
        load_model(str(folder))


@pytest.mark.parametrize(
    ("dtype", "says"),
    [("float32", "as float32; restore the file$"), ("float16", "as float16; .*, or load it in float32")],
)
def test_weights_that_are_no_numbers_are_named_and_float32_is_no_advice_for_itself(tmp_path, dtype, says):
    folder = write_llada(tmp_path)
    weights = load_file(folder / "model.safetensors")
    weights["model.transformer.ln_f.weight"][3] = torch.nan
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(InputError, match=rf"weight 'model.transformer.ln_f.weight' .* holds NaN .* {says}"):
        load_model(str(folder), dtype=dtype)


def test_half_precision_weights_load_as_float32_on_the_cpu(tmp_path):
    folder = write_llada(tmp_path)
    weights = {name: value.half() for name, value in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors")
    model = load_model(str(folder))
    assert model.dtype == torch.float32
    stored = weights["model.transformer.blocks.0.q_proj.weight"]
    assert torch.equal(model.module.model.layers[0].self_attn.q_proj.weight, stored.float())


def test_a_transformers_that_stays_causal_is_caught(tmp_path, monkeypatch):
    class CausalLlama(transformers.LlamaForCausalLM):
        def __init__(self, config):
            config.is_causal = True
            super().__init__(config)

    monkeypatch.setattr(native.transformers, "LlamaForCausalLM", CausalLlama)
    with pytest.raises(InputError, match=f"transformers {re.escape(transformers.__version__)} .* is causal"):
        load_model(str(write_llada(tmp_path)))


def test_a_transformers_that_sees_padding_is_caught(tmp_path, monkeypatch):
    class Careless(transformers.LlamaForCausalLM):
        def __init__(self, config):
            super().__init__(config)
            whole = self.model.forward
            self.model.forward = lambda tokens, attention_mask=None, **others: whole(tokens, **others)

    monkeypatch.setattr(native.transformers, "LlamaForCausalLM", Careless)
    with pytest.raises(InputError, match="sees padding"):
        load_model(str(write_llada(tmp_path)))


def test_a_prompt_that_does_not_fit_is_refused_with_the_numbers(tmp_path):
    model = load_model(str(write_llada(tmp_path, max_sequence_length=100)))
    check_fits(model, 60, 40)
    with pytest.raises(InputError, match=r"61 tokens; .* 101, more than the 100 .* at most 39"):
        check_fits(model, 61, 40)
    with pytest.raises(InputError, match="use a shorter prompt"):
        check_fits(model, 100, 1)
