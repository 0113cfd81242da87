"""Who sees whom, and which rule a checkpoint has: said, read from its files, or asked for; never guessed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers
from checkpoints import EMBEDDING_SIZE, MASK, SPECIAL, write_qwen
from golden_vectors import FAMILIES, folder_of, load
from hypothesis import given
from hypothesis import strategies as st
from precision import assert_equal_but_rounding
from safetensors.torch import load_file, save_file

from flexeval.errors import InputError
from flexeval.models import attention as rules
from flexeval.models import check_fits, load_model, native
from flexeval.models.attention import Attention, choose_attention, parse_attention
from flexeval.models.families import Blueprint, Family
from flexeval.models.files import find_checkpoint
from flexeval.models.native import load_native

KINDS = ["full", "full-to-block", "block-causal", "open-block", "rank"]
MASK_ID = 9


def may_see(rule: Attention, tokens_L, padding: int, answer: int, window_end: int, query: int, key: int) -> bool:
    """The rules once more, in words, for one query and one key."""
    block = rule.block
    if rule.kind == "full":
        return True
    if rule.kind == "rank":
        if (tokens_L[query] == MASK_ID) == (tokens_L[key] == MASK_ID):
            return key <= query
        return tokens_L[query] == MASK_ID
    if rule.kind == "block-causal":
        first = padding if rule.from_prompt else answer
        return (key - first) // block <= (query - first) // block
    current = range(answer + (window_end - 1) // block * block, answer + ((window_end - 1) // block + 1) * block)
    if rule.kind == "full-to-block":
        return key < current.stop
    return key <= query if query < current.start else key < current.stop


@given(st.data(), st.sampled_from(KINDS), st.booleans(), st.integers(1, 5))
def test_a_position_sees_those_of_its_own_and_lower_levels(data, kind, from_prompt, block):
    rule = Attention(kind=kind, block=block if kind in rules.WITH_BLOCKS else None, from_prompt=from_prompt)
    padding, prompt, generated = (data.draw(st.integers(*bounds)) for bounds in ((0, 3), (1, 6), (1, 9)))
    answer, length = padding + prompt, padding + prompt + generated
    window_end = data.draw(st.integers(1, generated))
    text = data.draw(st.lists(st.sampled_from([1, MASK_ID]), min_size=length, max_size=length))
    tokens_L = np.array([0] * padding + text[padding:])
    levels_BL = rule.levels(
        tokens_L[None],
        np.arange(length)[None] >= padding,
        answer=answer,
        window_end_B=np.array([window_end]),
        mask_id=MASK_ID,
    )
    # What lies beyond the current block is not there yet, and what it would see does not matter.
    read = answer + -(-window_end // block) * block if kind in ("full-to-block", "open-block") else length
    for query in range(padding, min(read, length)):
        for key in range(padding, length):
            wanted = may_see(rule, tokens_L, padding, answer, window_end, query, key)
            assert (levels_BL[0, key] <= levels_BL[0, query]) == wanted


def test_what_a_block_has_forgotten_is_gone_for_the_next():
    rule = Attention(kind="block-causal", block=2, forgets=7)
    tokens_BL = np.array([[7, 1, 7, 2, 7, 3]])
    everything = np.ones((1, 6), dtype=bool)
    for window_end, kept in ((1, [0, 1, 1, 1, 1, 1]), (3, [0, 1, 0, 1, 1, 1])):
        found = rule.attended(tokens_BL, everything, answer=2, window_end_B=np.array([window_end]))
        np.testing.assert_array_equal(found[0], np.array(kept, dtype=bool))


# ----- which rule a checkpoint has -----


@pytest.mark.parametrize("text", ["full", "block-causal:32", "full-to-block:1", "open-block:8", "rank"])
def test_a_rule_is_read_as_it_is_written(text):
    assert parse_attention(text).spec == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("blok-causal:32", "Did you mean 'block-causal'"),
        ("block-causal", "as in 'block-causal:32', not 'block-causal'"),
        ("block-causal:0", "at least 1"),
        ("block-causal:x", "at least 1"),
        ("full:8", "has no blocks; write 'full'"),
        (3, "must|is a text"),
    ],
)
def test_another_text_is_refused(text, says):
    with pytest.raises(InputError, match=says) as caught:
        parse_attention(text)
    assert "\n" not in str(caught.value)


A2D = (Attention(kind="block-causal"), Attention())


@pytest.mark.parametrize(
    "fields", [{"kind": "causal"}, {"kind": "block-causal", "block": 0}, {"kind": "rank", "block": 4}, {"block": 2.5}]
)
def test_a_rule_that_is_none_is_refused_where_it_is_made(fields):
    with pytest.raises(InputError, match=r"Attention\.(kind|block)"):
        Attention(**fields)


def test_what_is_said_comes_before_the_configuration_and_that_before_the_family():
    asked = parse_attention("block-causal:8")
    assert choose_attention("m", A2D, {"block_size": 16}, asked).spec == "block-causal:8"
    assert choose_attention("m", A2D, {"block_size": 16}, None).spec == "block-causal:16"
    assert choose_attention("m", A2D, {"attention_rule": "full", "block_size": 16}, None).spec == "full"
    assert choose_attention("m", (Attention(),), {"block_size": 16}, None).spec == "full"
    with pytest.raises(InputError, match=r"say it with --attention .*: block-causal:N or full"):
        choose_attention("m", A2D, {}, None)
    with pytest.raises(InputError, match="'m' cannot have the attention rule 'rank'; it may have block-causal:N or"):
        choose_attention("m", A2D, {}, parse_attention("rank"))


def test_an_a2d_folder_is_refused_until_its_attention_is_said(tmp_path):
    folder = str(write_qwen(tmp_path, "a2d-qwen3", head_dim=16, attention_rule=None))
    with pytest.raises(InputError, match="does not say which attention it was trained with"):
        load_model(folder)
    full, blocks = load_model(folder, attention="full"), load_model(folder, attention="block-causal:4")
    assert full.fingerprint.network != blocks.fingerprint.network
    assert full.fingerprint.weights == blocks.fingerprint.weights
    tokens_BL = torch.arange(12)[None]
    assert not torch.allclose(full.hidden(tokens_BL), blocks.hidden(tokens_BL), atol=0.1)


def test_short_names_know_their_own():
    from flexeval.models import MODELS, families

    for _, model in MODELS.usable():
        choose_attention("m", families.FAMILIES.get(model.family).attention, {}, parse_attention(model.attention))
    assert MODELS.get("a2d-qwen3-0.6b").attention == "full"
    assert MODELS.get("a2d-qwen3-0.6b-bd3lm").attention == "block-causal:32"


@pytest.mark.parametrize(("model_type", "field"), [("sdar", "block_size"), ("Fast_dLLM_Qwen", "bd_size")])
def test_a_block_length_is_read_or_asked_for(tmp_path, model_type, field):
    folder = write_qwen(tmp_path, model_type, **{field: 4})
    model = load_model(str(folder))
    assert model.attention.spec == "block-causal:4" and model.attention.from_prompt
    (folder / "config.json").write_text(
        json.dumps(
            {key: value for key, value in json.loads((folder / "config.json").read_text()).items() if key != field}
        )
    )
    with pytest.raises(InputError, match="block-causal:N, where N is the block length of its training"):
        load_model(str(folder))


def test_dream_reasoner_is_told_from_dream_by_its_weights(tmp_path):
    folder = str(write_qwen(tmp_path, "Dream", with_norms=True, head_dim=8))
    assert load_model(folder, attention="block-causal:4").attention.block == 4
    with pytest.raises(InputError, match="does not say which attention"):
        load_model(folder)


# ----- what is computed -----


def test_no_position_is_moved_by_what_its_rule_hides(tmp_path):
    model = load_model(str(write_qwen(tmp_path, "sdar", block_size=4)))
    tokens_BL = torch.randint(256, (1, 14), generator=torch.Generator().manual_seed(1))
    attended_BL = torch.arange(14)[None] >= 3
    plain = model.hidden(tokens_BL, attended_BL)[0]
    for place in range(3, 14):
        other_BL = tokens_BL.clone()
        other_BL[0, place] = (other_BL[0, place] + 1) % 256
        moved_L = (model.hidden(other_BL, attended_BL)[0] != plain).any(-1)
        block = (place - 3) // 4
        assert moved_L[3:].tolist() == [(other - 3) // 4 >= block for other in range(3, 14)]


def test_a_padded_row_equals_the_unpadded_row(tmp_path):
    model = load_model(str(write_qwen(tmp_path, "Fast_dLLM_Qwen", bd_size=4)))
    tokens_BL = torch.randint(256, (1, 11), generator=torch.Generator().manual_seed(1))
    padded_BL = torch.cat([torch.zeros(1, 2, dtype=torch.long), tokens_BL], dim=1)
    padded = model.hidden(padded_BL, torch.arange(13)[None] >= 2)
    assert_equal_but_rounding(padded[:, 2:], model.hidden(tokens_BL))


def test_eager_attention_adds_the_mask_and_a_boolean_one_is_caught(tmp_path, monkeypatch):
    class Eager(transformers.Qwen3ForCausalLM):
        def __init__(self, config):
            config._attn_implementation = "eager"
            super().__init__(config)

    folder = str(write_qwen(tmp_path, "sdar", block_size=4))
    sdpa = load_model(folder)
    monkeypatch.setattr(native.transformers, "Qwen3ForCausalLM", Eager)
    eager = load_model(folder)
    assert eager.module.config._attn_implementation == "eager"
    tokens_BL = torch.arange(11)[None]
    assert_equal_but_rounding(eager.hidden(tokens_BL), sdpa.hidden(tokens_BL))

    additive = native.mask_of_levels
    monkeypatch.setattr(native, "mask_of_levels", lambda *told, **more: additive(*told, **more) == 0)
    with pytest.raises(InputError, match="sees more than block-causal:4 lets it"):
        load_model(folder)


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (lambda level, _: torch.zeros_like(level), "sees more than"),
        (lambda level, _: torch.arange(level.shape[1]).expand(level.shape), "sees less than"),
    ],
)
@pytest.mark.parametrize(
    ("model_type", "settings"),
    [
        ("sdar", {"block_size": 4}),
        ("Fast_dLLM_Qwen", {"bd_size": 4}),
        ("a2d-qwen2", {"attention_rule": "block-causal:4"}),
    ],
)
def test_layers_that_compute_another_rule_are_caught(tmp_path, monkeypatch, mask, says, model_type, settings):
    folder = str(write_qwen(tmp_path, model_type, **settings))
    right = native.mask_of_levels
    monkeypatch.setattr(
        native, "mask_of_levels", lambda level, attended, **more: right(mask(level, attended), attended, **more)
    )
    with pytest.raises(InputError, match=f"computes attention that {says} block-causal:4"):
        load_model(folder)


RULED = [family for family in FAMILIES if family not in ("llada", "dream", "coda", "llada_moe")]


@pytest.mark.parametrize("family", RULED)
def test_the_layers_of_every_family_are_tested(tmp_path, monkeypatch, family):
    rule = "block-causal:8" if family.startswith("a2d") else None
    right = native.mask_of_levels
    monkeypatch.setattr(native, "mask_of_levels", lambda level, *told, **more: right(0 * level, *told, **more))
    with pytest.raises(InputError, match="computes attention that sees more than"):
        load(family, tmp_path, attention=rule)
    with pytest.raises(InputError, match="cannot have the attention rule 'open-block:8'"):
        load(family, tmp_path, attention="open-block:8")


def test_a_family_of_another_trunk_needs_no_change(tmp_path):
    """GPT-NeoX: another base model, other names of embedding and head, another MLP."""
    sizes = {"vocab_size": EMBEDDING_SIZE, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "max_position_embeddings": 64, "tie_word_embeddings": False}
    torch.manual_seed(0)
    module = transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(**sizes, initializer_range=0.2))
    save_file({k: v.contiguous() for k, v in module.state_dict().items()}, tmp_path / "model.safetensors")
    ids = {"mask_token_id": SPECIAL[MASK], "eos_token_id": 3}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mine", **ids}))
    rule = Attention(kind="block-causal", block=4, from_prompt=True)
    family = Family(
        translate=lambda config: Blueprint(layers="GPTNeoX", options=dict(sizes), max_length=64),
        rename=lambda name: name,
        shifted=False,
        mask_tokens=(),
        end_of_turn="",
        attention=(rule,),
    )
    model = load_native(
        find_checkpoint(str(tmp_path)), family, attention=rule, device=torch.device("cpu"), dtype=torch.float32
    )
    assert model.logits(model.hidden(torch.arange(9)[None])[0]).shape == (9, EMBEDDING_SIZE)


# ----- experts -----


def test_missing_and_surplus_experts_are_named(tmp_path):
    source = folder_of("llada2_moe")
    weights = load_file(source / "model.safetensors")
    config = json.loads((source / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "mask_token_id": 1, "eos_token_id": 2}))

    def refusal(changed):
        save_file(changed, tmp_path / "model.safetensors")
        with pytest.raises(InputError) as caught:
            load_model(str(tmp_path))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    gone = "model.layers.1.mlp.experts.3.up_proj.weight"
    assert f"lacks weights: {gone}" in refusal({name: value for name, value in weights.items() if name != gone})
    surplus = gone.replace(".3.", f".{config['num_experts']}.")
    assert f"holds unknown weights: {surplus}" in refusal({**weights, surplus: weights[gone].clone()})
    assert "wrong shapes" in refusal({**weights, gone: weights[gone][:, :-1].contiguous()})
    fused = "model.layers.1.attention.query_key_value.weight"
    assert "wrong shapes" in refusal({**weights, fused: weights[fused][:-1].contiguous()})
    assert "lacks weights" in refusal({name: value for name, value in weights.items() if name != fused})
    load("llada2_moe", tmp_path)


# ----- limits -----


def test_a_text_that_does_not_fit_in_whole_blocks_is_refused(tmp_path):
    model = load_model(str(write_qwen(tmp_path, "sdar", block_size=8, max_position_embeddings=30)))
    check_fits(model, 5, 19)
    with pytest.raises(InputError, match=r"is 32 in whole blocks of 8, more than the 30 .* gen_length of at most 19"):
        check_fits(model, 5, 20)
