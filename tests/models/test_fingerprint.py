"""A fingerprint: the same for the same model wherever it lies, another for any other."""

from __future__ import annotations

import copy
import json
import shutil

import pytest
import torch
from checkpoints import write_llada

from flexeval import load_model
from flexeval.models import fingerprint
from flexeval.models.files import read_source
from flexeval.models.fingerprint import weights_fingerprint


@pytest.fixture
def module():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
    module.register_buffer("flags", torch.tensor([True, False]))
    return module


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_smallest_change_of_any_weight_is_seen(module, dtype):
    module = module.to(dtype)
    before = weights_fingerprint(module)
    assert weights_fingerprint(copy.deepcopy(module)) == before
    seen = {before}
    for weight in module.parameters():
        with torch.no_grad():
            flat = weight.view(-1)
            kept = flat[-1].clone()
            flat[-1] = torch.nextafter(kept, torch.tensor(torch.inf, dtype=dtype))
            seen.add(weights_fingerprint(module))
            flat[-1] = kept
    module.flags[1] = True
    seen.add(weights_fingerprint(module))
    assert len(seen) == 2 + len(list(module.parameters()))


def test_type_shape_and_name_are_seen(module):
    linear = module[0]
    turned = torch.nn.Linear(4, 3)
    turned.load_state_dict({"weight": linear.weight.T, "bias": linear.bias[:3]})
    others = [linear, turned, torch.nn.Sequential(linear), copy.deepcopy(linear).to(torch.bfloat16)]
    assert len({weights_fingerprint(other) for other in others}) == len(others)


def test_values_that_trade_places_are_seen():
    linear = torch.nn.Linear(5, 4)
    seen = {weights_fingerprint(linear)}
    for permuted in (linear.weight[[1, 0, 2, 3]], linear.weight[:, [0, 2, 1, 3, 4]], linear.weight.flip(0, 1)):
        other = copy.deepcopy(linear)
        other.load_state_dict({"weight": permuted, "bias": linear.bias})
        seen.add(weights_fingerprint(other))
    assert len(seen) == 4


def test_neither_chunks_nor_strides_matter(module, monkeypatch):
    before = weights_fingerprint(module)
    monkeypatch.setattr(fingerprint, "_CHUNK", 3)
    module[0].weight.data = module[0].weight.data.T.contiguous().T
    assert weights_fingerprint(module) == before


@pytest.fixture
def folder(tmp_path):
    return write_llada(tmp_path / "ckpt")


def test_a_model_is_the_same_wherever_it_lies(folder, tmp_path):
    before = load_model(folder).fingerprint
    shutil.copytree(folder, tmp_path / "copy")
    assert load_model(tmp_path / "copy").fingerprint == before
    folder.rename(tmp_path / "moved")
    assert load_model(tmp_path / "moved").fingerprint == before


@pytest.mark.parametrize(
    ("part", "file", "field", "value"),
    [
        ("network", "config.json", "rope_theta", 10_000.0),
        ("network", "config.json", "n_heads", 8),
        ("network", "config.json", "rms_norm_eps", 1e-6),
        ("vocabulary", "config.json", "eos_token_id", 258),
        ("vocabulary", "tokenizer_config.json", "chat_template", "{{ messages[0]['content'] }}"),
    ],
)
def test_whatever_changes_samples_changes_its_part(folder, part, file, field, value):
    before = load_model(folder).fingerprint
    content = json.loads((folder / file).read_text()) | {field: value}
    if field == "n_heads":
        content["n_kv_heads"] = value
    (folder / file).write_text(json.dumps(content))
    after = load_model(folder).fingerprint
    assert [name for name in before.parts if before.parts[name] != after.parts[name]] == [part]
    assert before.source.files != after.source.files and before.digest != after.digest


def test_weights_that_are_no_longer_those_of_the_files_have_no_source(folder):
    model = load_model(folder)
    before = model.fingerprint
    with torch.no_grad():
        next(model.module.parameters()).view(-1)[0] += 1
    after = model.fingerprint
    assert before.source.files and after.source is None
    assert before.weights != after.weights
    assert (after.network, after.vocabulary) == (before.network, before.vocabulary)


@pytest.mark.parametrize("file", ["weights/m.safetensors", "../m.safetensors", "additional_chat_templates/tools.jinja"])
def test_whatever_loading_reads_is_in_the_checksum_of_the_files(tmp_path, file):
    folder = tmp_path / "ckpt"
    folder.mkdir()
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": file}}))
    seen = set()
    for content in ("old", "new"):
        (folder / file).write_text(content)
        seen.add(read_source(folder).files)
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("link", "blob", "is_read"),
    [
        ("hub/snapshots/1/m.safetensors", f"hub/blobs/{'a' * 64}", False),
        ("hub/snapshots/1/weights/m.safetensors", f"hub/blobs/{'a' * 64}", False),
        ("hub/snapshots/1/m.safetensors", "hub/blobs/m.safetensors", True),
        ("ckpt/m.safetensors", f"elsewhere/blobs/{'a' * 40}", True),
    ],
)
def test_only_what_the_hubs_cache_names_by_its_hash_is_not_read(tmp_path, link, blob, is_read):
    for path in (link, blob):
        (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / link).symlink_to(tmp_path / blob)
    folder = tmp_path / link.partition("/m.")[0].removesuffix("/weights")
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"w": str((tmp_path / link).relative_to(folder))}})
    )
    seen = set()
    for content in ("old", "new"):
        (tmp_path / blob).write_text(content)
        seen.add(read_source(folder).files)
    assert (len(seen) == 2) is is_read
