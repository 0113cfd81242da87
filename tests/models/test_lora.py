"""LoRA adapters: a model with one computes what peft's merged model computes, and no other model has its identity."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import peft
import pytest
import torch
from checkpoints import write_llada, write_lora, write_qwen, write_tokenizer
from safetensors.torch import load_file, save_file

from flexeval.errors import InputError, Note
from flexeval.models import load_model
from flexeval.models.families import FAMILIES
from flexeval.models.files import local_source
from flexeval.models.places import canonical_adapter

# Of peft, on transformers and on what it cannot know of a network that it gets.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning:peft")
TARGETS = ["q_proj", "v_proj", "down_proj"]
ROWS = torch.randint(256, (2, 9), generator=torch.Generator().manual_seed(0))


def logits(model):
    with torch.inference_mode():
        return model.logits(model.hidden(ROWS))


def train(base: Path, folder: Path, *, seed: int = 0, **settings):
    """A LoRA on a checkpoint, trained for two steps and saved by peft; gives the merged network's logits."""
    torch.manual_seed(seed)
    model = load_model(base)
    config = peft.LoraConfig(**{"r": 3, "lora_alpha": 7, "target_modules": TARGETS} | settings)
    network = peft.get_peft_model(model.module, config)
    network.peft_config["default"].base_model_name_or_path = str(base)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimiser = torch.optim.SGD(weights, lr=1.0)
    for _ in range(2):
        optimiser.zero_grad()
        network(input_ids=ROWS).logits.square().mean().backward()
        optimiser.step()
    network.save_pretrained(folder)
    merged = load_model(base)
    merged.module = network.merge_and_unload()
    merged._trunk = merged.module.base_model
    return logits(merged)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_llada(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True, "rank_pattern": {"q_proj": 5}, "alpha_pattern": {"layers.1.self_attn.v_proj": 2}},
        {"use_dora": True},
        {"modules_to_save": ["lm_head"]},
        {"target_modules": ["embed_tokens", "lm_head", "o_proj"]},
    ],
    ids=["plain", "patterns", "dora", "whole-head", "embedding"],
)
def test_logits_are_those_of_the_merged_model(base, tmp_path, settings):
    wanted = train(base, tmp_path / "lora", **settings)
    assert (wanted - logits(load_model(base))).abs().max() > 1e-3
    found = load_model(base, adapter=tmp_path / "lora")
    torch.testing.assert_close(logits(found), wanted, rtol=1e-5, atol=1e-5)
    assert all(weight.requires_grad for weight in found.module.parameters())
    assert not any("lora" in name for name in found.module.state_dict())


def test_an_adapter_on_a_tied_head_leaves_the_embedding_alone(tmp_path):
    base = write_qwen(tmp_path / "base", "a2d-qwen3", head_dim=8, tie_word_embeddings=True)
    plain = load_model(base)
    network = peft.get_peft_model(plain.module, peft.LoraConfig(r=2, target_modules=["q_proj"]))
    network.save_pretrained(tmp_path / "lora")
    weights = load_file(tmp_path / "lora" / "adapter_model.safetensors")
    weights["base_model.model.lm_head.weight"] = torch.ones(272, 32)
    save_file(weights, tmp_path / "lora" / "adapter_model.safetensors")

    found = load_model(base, adapter=tmp_path / "lora").module
    assert torch.equal(found.get_output_embeddings().weight, torch.ones(272, 32))
    assert torch.equal(found.get_input_embeddings().weight, load_model(base).module.get_input_embeddings().weight)


def test_names_of_the_checkpoints_own_code_are_understood(base, tmp_path):
    wanted = train(base, tmp_path / "lora", alpha_pattern={"v_proj": 2})
    own = load_file(base / "model.safetensors")
    back = {FAMILIES.get("llada").rename(name): name for name in own}
    weights = load_file(tmp_path / "lora" / "adapter_model.safetensors")
    renamed = {}
    for name, value in weights.items():
        module, lora, part = name.removeprefix("base_model.model.").partition(".lora_")
        stored = back[f"{module}.weight"].removesuffix(".weight") if lora else back[module]
        renamed[f"base_model.model.{stored}{lora}{part}"] = value
    assert renamed.keys() != weights.keys()
    save_file(renamed, tmp_path / "lora" / "adapter_model.safetensors")
    torch.testing.assert_close(logits(load_model(base, adapter=tmp_path / "lora")), wanted, rtol=1e-5, atol=1e-5)


def test_half_precision_merges_as_peft_does(base, tmp_path):
    train(base, tmp_path / "lora")
    plain = load_model(base, dtype="bfloat16")
    merged = peft.PeftModel.from_pretrained(plain.module, tmp_path / "lora").merge_and_unload().state_dict()
    found = load_model(base, adapter=tmp_path / "lora", dtype="bfloat16").module.state_dict()
    assert found.keys() == merged.keys()
    assert all(value.dtype == torch.bfloat16 and torch.equal(value, merged[name]) for name, value in found.items())


def test_of_a_training_the_newest_whole_checkpoint_is_taken(tmp_path):
    for name in ("step-999999", "step-1000000", "step-1000001.partial", "step-999999.bak"):
        (tmp_path / "checkpoints" / name / "adapter").mkdir(parents=True)
        (tmp_path / "checkpoints" / name / "adapter/adapter_config.json").write_text("{}")
    newest = tmp_path / "checkpoints/step-1000000/adapter"
    assert canonical_adapter("tiny", str(tmp_path)) == ("tiny", str(newest.resolve()))


def test_an_adapter_alone_stands_for_its_base_with_it(base, tmp_path):
    train(base, tmp_path / "lora")
    both = load_model(base, adapter=tmp_path / "lora")
    alone = load_model(tmp_path / "lora")
    assert alone.fingerprint.parts == both.fingerprint.parts
    place = str((tmp_path / "lora").resolve())
    assert canonical_adapter(place, None) == canonical_adapter(str(base), place) == (str(base.resolve()), place)
    with pytest.raises(InputError, match="is an adapter itself"):
        load_model(tmp_path / "lora", adapter=tmp_path / "lora")

    settings = json.loads((tmp_path / "lora" / "adapter_config.json").read_text())
    for said, message in (("", "does not name its base"), ("nowhere/at/all", "there is no folder 'nowhere/at/all'")):
        (tmp_path / "lora" / "adapter_config.json").write_text(json.dumps(settings | {"base_model_name_or_path": said}))
        with pytest.raises(InputError, match=message) as caught:
            load_model(tmp_path / "lora")
        assert "--adapter" in str(caught.value) and "\n" not in str(caught.value)
    shutil.copytree(base, tmp_path / "lora" / "base")
    (tmp_path / "lora" / "adapter_config.json").write_text(json.dumps(settings | {"base_model_name_or_path": "base"}))
    assert load_model(tmp_path / "lora").fingerprint.parts == both.fingerprint.parts


def test_two_adapters_are_two_models(base, tmp_path):
    for seed in range(2):
        train(base, tmp_path / f"{seed}" / "lora", seed=seed)
    models = [load_model(base), *(load_model(base, adapter=tmp_path / f"{seed}" / "lora") for seed in range(2))]
    assert len({model.fingerprint.digest for model in models}) == 3
    assert len({model.fingerprint.source.files for model in models}) == 3
    sources = [local_source(str(base), str(tmp_path / f"{seed}" / "lora")) for seed in range(2)]
    assert [model.fingerprint.source for model in models[1:]] == sources


def test_an_adapter_beside_whole_weights_is_not_ignored(base, tmp_path):
    wanted = train(base, tmp_path / "lora")
    folder = shutil.copytree(base, tmp_path / "both")
    for file in (tmp_path / "lora").glob("adapter_*"):
        shutil.copy(file, folder)
    with pytest.raises(InputError, match="whole weights and an adapter") as caught:
        load_model(folder)
    assert f"--adapter {folder}" in str(caught.value) and "\n" not in str(caught.value)
    torch.testing.assert_close(logits(load_model(folder, adapter=folder)), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "IA3"}, "adapter of the kind 'IA3'"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights 'pissa'"),
        ({"layer_replication": [[0, 1], [0, 1]]}, "layer_replication"),
        ({"trainable_token_indices": [3]}, "trainable_token_indices"),
        ({"target_parameters": ["experts"]}, "target_parameters"),
        ({"r": 99}, "says rank 99 of .*, and the weights have rank"),
        ({"rank_pattern": {"q_proj": 7}}, "says rank 7 of .*q_proj, and the weights have rank"),
        ({"alpha_pattern": {"(q_proj": 4}}, r"a pattern '\(q_proj' that is none"),
    ],
)
def test_an_adapter_that_cannot_be_merged_is_refused(base, tmp_path, change, message):
    train(base, tmp_path / "lora")
    file = tmp_path / "lora" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(InputError, match=message) as caught:
        load_model(base, adapter=tmp_path / "lora")
    assert "\n" not in str(caught.value)


def test_an_adapter_of_another_model_is_refused(base, tmp_path):
    other = write_llada(tmp_path / "other", d_model=64)
    deeper = write_llada(tmp_path / "deeper", n_layers=3)
    for place, message in ((other, "does not fit its base"), (deeper, r"has no 'model\.layers\.2\.")):
        train(place, tmp_path / f"lora-{place.name}")
        with pytest.raises(InputError, match=message) as caught:
            load_model(base, adapter=tmp_path / f"lora-{place.name}")
        assert "\n" not in str(caught.value)


def test_a_tokenizer_of_its_own_is_noted(base, tmp_path):
    folder = write_lora(tmp_path / "lora", base)
    write_tokenizer(folder)
    load_model(folder)
    write_tokenizer(folder, chat_template="{{ messages[0]['content'] }}")
    with pytest.warns(Note, match="another tokenizer or chat template than its base"):
        load_model(folder)


def test_what_is_no_adapter_is_named(base, tmp_path):
    train(base, tmp_path / "lora")
    weights = tmp_path / "lora" / "adapter_model.safetensors"
    weights.rename(tmp_path / "lora" / "adapter_model.bin")
    for adapter, message in (
        (tmp_path / "lora", "pickled weights"),
        (base, "holds no adapter"),
        (tmp_path / "nothing", "there is no adapter"),
    ):
        with pytest.raises(InputError, match=message):
            load_model(base, adapter=adapter)
