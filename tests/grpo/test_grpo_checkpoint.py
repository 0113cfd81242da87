"""Trained weights come back from a model folder, in the layout that the model had."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from checkpoints import write_llada, write_qwen, write_tokenizer
from precision import assert_equal_but_rounding
from safetensors import safe_open

from flexeval import load_model
from flexeval.errors import InputError
from flexeval.grpo.adapters import add_adapters, fold_adapters, without_adapters
from flexeval.grpo.checkpoint import check_trainable, write_model
from flexeval.models.files import find_checkpoint
from flexeval.models.lineage import Lineage, read_lineage

LINEAGE = Lineage(base="llada", training="first", rollout_order="ar", fast=False, step=3, samples=24, seconds=1.5)
LAYOUTS = {
    "llada": write_llada,
    "llada-tied": lambda folder: write_llada(folder, weight_tying=True),
    "dream": lambda folder: write_qwen(folder, "Dream"),
    "a2d-qwen3-tied": lambda folder: write_qwen(folder, "a2d-qwen3", head_dim=16, tie_word_embeddings=True),
}


def logits_of(model):
    tokens_BL = torch.arange(40).reshape(2, 20)
    with torch.inference_mode():
        return model.logits(model.hidden(tokens_BL)[0])


def names_in(folder):
    with safe_open(folder / "model.safetensors", framework="pt") as handle:
        return {key: handle.get_slice(key).get_shape() for key in handle.keys()}  # noqa: SIM118


@pytest.mark.parametrize("write", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_layout_is_written_as_it_was_read(tmp_path, write):
    source = write(tmp_path / "source")
    model = load_model(source, device="cpu")
    untrained = logits_of(model)
    with torch.no_grad():
        for weight in model.module.parameters():
            weight.mul_(1.1)
    write_model(tmp_path / "trained", model.module.state_dict(), find_checkpoint(str(source)), LINEAGE)

    again = load_model(tmp_path / "trained", device="cpu")
    assert_equal_but_rounding(logits_of(again), logits_of(model))
    assert not torch.allclose(logits_of(again), untrained, rtol=0.01)
    assert names_in(tmp_path / "trained") == names_in(source)
    assert json.loads((tmp_path / "trained/config.json").read_text())["torch_dtype"] == "float32"
    assert not list(tmp_path.glob("*.partial"))
    assert (again.lineage, model.lineage, read_lineage(source)) == (LINEAGE, None, None)


def test_the_tokenizer_comes_along(tmp_path):
    from flexeval.records import Prompt

    source = write_llada(tmp_path / "source")
    model = load_model(source, device="cpu")
    write_model(tmp_path / "trained", model.module.state_dict(), find_checkpoint(str(source)), LINEAGE)
    prompt = Prompt(user="How many?", system="Count.", prefill="There are")
    assert load_model(tmp_path / "trained", device="cpu").encode(prompt) == model.encode(prompt)


def test_a_base_model_keeps_being_asked_without_a_chat_template(tmp_path):
    from flexeval.records import Prompt

    source = write_llada(tmp_path / "source")
    write_tokenizer(source)
    base = dataclasses.replace(find_checkpoint(str(source)), chat=False)
    write_model(tmp_path / "trained", load_model(source, device="cpu").module.state_dict(), base, LINEAGE)
    ids = load_model(tmp_path / "trained", device="cpu").encode(Prompt(user="x"))
    assert len(ids) == 2  # the token that begins a text, and one byte


def test_adapters_leave_random_states_alone(llada_folder, monkeypatch):
    """Also those of several GPUs, which torch would warn of."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    before = torch.get_rng_state()
    add_adapters(load_model(llada_folder, device="cpu").module, 2, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_folded_weights_leave_the_gpu_one_by_one(llada_folder, monkeypatch):
    """Twice as wide as those of half precision, all of them may not fit there."""
    moved: list[torch.Tensor] = []
    monkeypatch.setattr("torch.Tensor.cpu", lambda weight: moved.append(weight) or weight)
    model = load_model(llada_folder, device="cpu", dtype="bfloat16")
    moved.clear()
    add_adapters(model.module, 2, seed=0)
    folded = fold_adapters(model.module.state_dict())
    assert [id(weight) for weight in moved] == [id(weight) for weight in folded.values()]


def test_adapters_are_folded_into_the_weights(tmp_path, llada_folder):
    model = load_model(llada_folder, device="cpu")
    plain = model.module.state_dict()
    add_adapters(model.module, 2, seed=0)
    for name, weight in fold_adapters(model.module.state_dict()).items():
        assert torch.equal(weight, plain[name])  # the second factor starts at zero
    with torch.no_grad():
        for name, weight in model.module.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.2, generator=torch.manual_seed(1))
    write_model(tmp_path / "trained", model.module.state_dict(), find_checkpoint(str(llada_folder)), LINEAGE)
    again = load_model(tmp_path / "trained", device="cpu")
    assert names_in(tmp_path / "trained") == names_in(llada_folder)
    assert_equal_but_rounding(logits_of(again), logits_of(model))
    assert (logits_of(again) - logits_of(load_model(llada_folder, device="cpu"))).abs().max() > 0.1


@pytest.mark.parametrize("write", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_adapters_are_also_there_by_themselves(tmp_path, write):
    source = write(tmp_path / "source")
    model = load_model(source, device="cpu")
    add_adapters(model.module, 2, seed=0)
    with torch.no_grad():
        for name, weight in model.module.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.2, generator=torch.manual_seed(1))
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    trained = tmp_path / "run" / "checkpoints" / "step-000003"
    lineage = dataclasses.replace(LINEAGE, base=str(source))
    write_model(trained, model.module.state_dict(), find_checkpoint(str(source)), lineage)
    for adapter in (trained / "adapter", trained, tmp_path / "run"):
        found = load_model(source, adapter=adapter, device="cpu")
        assert_equal_but_rounding(logits_of(found), logits_of(load_model(trained, device="cpu")))
        assert found.lineage == lineage
    # Its names are those of the checkpoint's own code, and it names its base.
    with safe_open(trained / "adapter" / "adapter_model.safetensors", framework="pt") as handle:
        stems = {name.removeprefix("base_model.model.").partition(".lora_")[0] for name in handle.keys()}  # noqa: SIM118
    assert {f"{stem}.weight" for stem in stems} < names_in(source).keys()
    assert_equal_but_rounding(logits_of(load_model(trained / "adapter", device="cpu")), logits_of(model))


def test_adapters_of_a_model_in_half_precision_keep_what_they_learn(tmp_path, llada_folder):
    """A change far below the resolution of bfloat16 is in the adapters, and in the checkpoint."""
    model = load_model(llada_folder, device="cpu", dtype="bfloat16")
    add_adapters(model.module, 2, seed=0)
    trained = {name: weight for name, weight in model.module.named_parameters() if weight.requires_grad}
    assert trained
    assert {weight.dtype for weight in trained.values()} == {torch.float32}
    with torch.no_grad():
        for name, weight in trained.items():
            if "lora_B" in name:
                weight.fill_(1e-5)
    write_model(tmp_path / "trained", model.module.state_dict(), find_checkpoint(str(llada_folder)), LINEAGE)

    assert json.loads((tmp_path / "trained/config.json").read_text())["torch_dtype"] == "float32"
    again = load_model(tmp_path / "trained", device="cpu").module.state_dict()
    weights = model.module.state_dict()
    for name in (name for name in weights if "base_layer" in name):
        plain, stem = weights[name].float(), name.removesuffix(".base_layer.weight")
        learned = 2 * weights[f"{stem}.lora_B.default.weight"] @ weights[f"{stem}.lora_A.default.weight"]
        torch.testing.assert_close(again[f"{stem}.weight"], plain + learned)
        assert not torch.equal(again[f"{stem}.weight"], plain)


def test_a_network_without_its_adapters_is_what_it_was(llada_folder):
    model = load_model(llada_folder, device="cpu")
    before = logits_of(model)
    add_adapters(model.module, 2, seed=0)
    for name, weight in model.module.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, generator=torch.manual_seed(1))
    trained = logits_of(model)
    with without_adapters(model.module):
        assert_equal_but_rounding(logits_of(model), before)
    assert_equal_but_rounding(logits_of(model), trained)
    assert not torch.allclose(trained, before, rtol=0.01)
    assert all(weight.requires_grad == ("lora_" in name) for name, weight in model.module.named_parameters())


def test_a_failed_write_leaves_no_model_folder(tmp_path, llada_folder, monkeypatch):
    def fail(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("huggingface_hub.save_torch_state_dict", fail)
    model = load_model(llada_folder, device="cpu")
    with pytest.raises(OSError, match="No space left"):
        write_model(tmp_path / "trained", model.module.state_dict(), find_checkpoint(str(llada_folder)), LINEAGE)
    assert not (tmp_path / "trained").exists()


def test_a_model_on_code_of_its_own_is_refused(tmp_path):
    source = write_llada(tmp_path / "other", model_type="something-else")
    with pytest.raises(InputError, match="cannot be trained here"):
        check_trainable(find_checkpoint(str(source)))
