"""What a user may write for a model, and the one line for what cannot be read."""

from __future__ import annotations

import json
from types import SimpleNamespace

import huggingface_hub
import pytest
from checkpoints import write_llada

from flexeval.errors import InputError, Note
from flexeval.models import MODELS, load_model
from flexeval.models.files import find_checkpoint


def refusal(spec, **options) -> str:
    with pytest.raises(InputError) as caught:
        load_model(str(spec), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that serves one folder under every id, and remembers what it was asked for."""
    write_llada(tmp_path)
    asked = []

    def snapshot_download(repo, *, allow_patterns):
        asked.append((repo, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return asked


def test_short_names_and_hub_ids_are_fetched_without_pickles_and_code(hub):
    for name in MODELS:
        if MODELS.get(name).repo is not None:
            find_checkpoint(name)
            assert hub[-1][0] == MODELS.get(name).repo
    find_checkpoint("someone/some-model")
    assert hub[-1][0] == "someone/some-model"
    assert not {"*.py", "*.bin", "*.pt", "*.pth"} & {pattern for _, patterns in hub for pattern in patterns}


def test_code_is_fetched_only_when_trusted(hub):
    find_checkpoint("someone/some-model", with_code=True)
    assert "*.py" in hub[-1][1]


def test_base_models_are_asked_in_plain_text_by_either_name(hub):
    assert not find_checkpoint("llada-8b-base").chat
    assert not find_checkpoint("GSAI-ML/LLaDA-8B-Base").chat
    assert find_checkpoint("llada-8b-instruct").chat
    assert find_checkpoint("someone/some-model").chat


def test_a_folder_is_taken_as_it_is(tmp_path, monkeypatch):
    write_llada(tmp_path / "org" / "name")
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint("org/name").folder.samefile(tmp_path / "org" / "name")
    assert load_model("./org/name").name == "./org/name"
    assert load_model(tmp_path / "org" / "name").name == str(tmp_path / "org" / "name")


def test_the_hub_out_of_reach_is_one_line(monkeypatch):
    def snapshot_download(repo, *, allow_patterns):
        raise huggingface_hub.errors.LocalEntryNotFoundError("outgoing traffic\nhas been disabled")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert "cannot fetch 'GSAI-ML/LLaDA-8B-Instruct' from the hub" in refusal("llada-8b-instruct")
    assert "no folder of that name: outgoing traffic has been disabled" in refusal("someone/some-model")


def test_an_unknown_name_gets_the_close_ones():
    message = refusal("llada-8b-instrct")
    assert "unknown model: 'llada-8b-instrct'. Did you mean 'llada-8b-instruct'" in message
    assert "tiny" in message


def test_a_path_that_is_not_there(tmp_path):
    assert "there is no folder" in refusal(tmp_path / "nothing" / "here")
    assert "there is no folder" in refusal("./nothing")


def test_a_file_is_no_checkpoint(tmp_path):
    (tmp_path / "model.safetensors").touch()
    assert "is a file; give the folder" in refusal(tmp_path / "model.safetensors")


def test_an_empty_folder(tmp_path):
    assert "it has no config.json" in refusal(tmp_path)


@pytest.mark.parametrize("text", ['{"model_type": ', "", "[1, 2]", "\xff"])
def test_a_config_that_is_no_object(tmp_path, text):
    write_llada(tmp_path)
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    assert "cannot read" in refusal(tmp_path)


def test_missing_weights(tmp_path):
    folder = write_llada(tmp_path)
    (folder / "model.safetensors").unlink()
    assert "model.safetensors is missing" in refusal(folder)


@pytest.mark.parametrize("pickle", ["pytorch_model.bin", "model.pt"])
def test_pickles_are_never_loaded(tmp_path, pickle):
    folder = write_llada(tmp_path)
    (folder / "model.safetensors").rename(folder / pickle)
    assert "pickled weights only" in refusal(folder)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_weights(tmp_path, keep):
    file = write_llada(tmp_path) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    assert "cannot read" in refusal(tmp_path)


def test_a_broken_index(tmp_path):
    folder = write_llada(tmp_path)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}}))
    assert "has no weight_map" in refusal(folder)


def test_an_index_beside_a_file_that_it_does_not_name(tmp_path):
    """A model was saved over another, in one file or in several."""
    folder = write_llada(tmp_path)
    whole, shard = folder / "model.safetensors", folder / "model-00001-of-00001.safetensors"
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": shard.name}}))
    assert "does not say which of the two is the model; remove model.safetensors" in refusal(folder)
    index.unlink()
    whole.rename(shard)
    assert f"holds {shard.name}, and neither model.safetensors nor" in refusal(folder)


def test_an_unknown_type_needs_the_users_trust(tmp_path):
    message = refusal(write_llada(tmp_path, model_type="mystery"))
    assert "of type 'mystery', for which flexeval has no layers" in message
    assert "trust_remote_code=True" in message


@pytest.mark.parametrize(("option", "value", "close"), [("device", "cpuu", "cpu"), ("dtype", "bf16", "bfloat16")])
def test_unknown_devices_and_types_get_the_close_ones(llada_folder, option, value, close):
    assert f"Did you mean {close!r}" in refusal(llada_folder, **{option: value})


def test_a_device_that_is_not_there(llada_folder, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "unavailable device: 'cuda'" in refusal(llada_folder, device="cuda")


@pytest.mark.parametrize(("device", "meant"), [("cuda:0", "cuda:0"), ("cuda", "cuda:1"), ("auto", "cuda:1")])
def test_weights_that_are_larger_than_the_gpu_are_refused(llada_folder, monkeypatch, device, meant):
    """One device holds the whole model: the present one of the process, unless it is named."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.current_device", lambda: 1)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (10, 1000))
    said = refusal(llada_folder, device=device)
    assert f"{meant} has 0 GB" in said and "keeps a model on one device" in said

    # In the type in which they would lie there: only the one that is half as wide fits.
    (file,) = llada_folder.glob("*.safetensors")
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (10, file.stat().st_size * 3 // 4))
    assert "0 GB as float32" in refusal(llada_folder, device=device, dtype="float32")
    monkeypatch.setattr("flexeval.models.loading.load_native", lambda *_, **told: SimpleNamespace(name="m", **told))
    assert str(load_model(llada_folder, device=device, dtype="bfloat16").device) == meant

    # It is told where a GPU does not compute in float32.
    monkeypatch.setattr("flexeval.models.loading.products_on_gpu", lambda: "tf32")
    with pytest.warns(Note, match="products of float32 in TF32"):
        load_model(llada_folder, device=device, dtype="bfloat16")
