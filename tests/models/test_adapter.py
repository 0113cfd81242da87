"""Checkpoints that bring their own code: run only on request, tested, and padded rightly whatever the code does."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from checkpoints import SPECIAL, write_tokenizer
from precision import assert_equal_but_rounding
from safetensors.torch import save_file

from flexeval.errors import InputError
from flexeval.models import load_model

CODE = '''
import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput


class MeanConfig(PretrainedConfig):
    model_type = "mean"


class MeanModel(PreTrainedModel):
    """Each position sees its own token and the mean over the canvas."""

    config_class = MeanConfig

    def __init__(self, config):
        super().__init__(config)
        self.embed = nn.Embedding(272, 16)
        self.head = nn.Linear(16, 272)
        self.post_init()

    def get_input_embeddings(self):
        return self.embed

    def forward(self, input_ids, attention_mask=None):
        x = self.embed(input_ids)
        weight = WEIGHT
        return MaskedLMOutput(logits=self.head(x + (x * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)))
'''
WEIGHTS = {
    "masks": "torch.ones_like(x[..., :1]) if attention_mask is None else attention_mask[..., None].float()",
    "ignores": "torch.ones_like(x[..., :1])",
}


@pytest.fixture(autouse=True)
def modules_cache(tmp_path_factory, monkeypatch):
    cache = str(tmp_path_factory.mktemp("modules"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", cache)
    monkeypatch.syspath_prepend(cache)


def write_checkpoint(folder, code: str):
    folder.mkdir()
    (folder / "modeling_mean.py").write_text(code)
    config = {
        "model_type": "mean",
        "auto_map": {"AutoConfig": "modeling_mean.MeanConfig", "AutoModel": "modeling_mean.MeanModel"},
        "mask_token_id": SPECIAL["<|mdm_mask|>"],
        "eos_token_id": SPECIAL["<|endoftext|>"],
        "max_sequence_length": 64,
        "dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    shapes = {"embed.weight": (272, 16), "head.weight": (272, 16), "head.bias": (272,)}
    weights = {name: torch.randn(shape) for name, shape in shapes.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    write_tokenizer(folder)
    return folder


@pytest.mark.parametrize("behaviour", WEIGHTS)
def test_padding_changes_nothing_whether_or_not_the_code_minds_it(tmp_path, behaviour):
    folder = write_checkpoint(tmp_path / behaviour, CODE.replace("WEIGHT", WEIGHTS[behaviour]))
    model = load_model(str(folder), trust_remote_code=True)
    assert model.masks_padding == (behaviour == "masks")
    assert (model.vocab_size, model.max_length, model.mask_id) == (272, 64, SPECIAL["<|mdm_mask|>"])

    rows = [torch.arange(3, 3 + length) for length in (6, 4, 4)]
    tokens_BL = torch.stack([torch.cat([torch.zeros(6 - len(row), dtype=torch.long), row]) for row in rows])
    attention_BL = torch.arange(6) >= torch.tensor([[6 - len(row)] for row in rows])
    hidden_BLV = model.hidden(tokens_BL, attention_BL)
    assert hidden_BLV.shape == (3, 6, 272)
    for row, result in zip(rows, hidden_BLV, strict=True):
        alone = model.logits(model.hidden(row[None])[0])
        assert_equal_but_rounding(model.logits(result[6 - len(row) :]), alone)


def test_causal_code_is_no_mask_predictor(tmp_path):
    causal = CODE.replace("x * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)", "x).cumsum(1)")
    folder = write_checkpoint(tmp_path / "causal", causal.replace("WEIGHT", "None"))
    with pytest.raises(InputError, match="is causal"):
        load_model(str(folder), trust_remote_code=True)


def test_code_that_fails_is_one_line(tmp_path):
    folder = write_checkpoint(tmp_path / "broken", "raise KeyError('default')")
    with pytest.raises(InputError, match=r"does not run on transformers .*: KeyError: 'default'") as caught:
        load_model(str(folder), trust_remote_code=True)
    assert "\n" not in str(caught.value)


def test_code_that_returns_no_logits_is_refused(tmp_path):
    folder = write_checkpoint(
        tmp_path / "mute", CODE.replace("WEIGHT", "x * 0 + 1").replace("logits=", "hidden_states=")
    )
    with pytest.raises(InputError, match="returns no logits for a canvas"):
        load_model(str(folder), trust_remote_code=True)


def test_code_is_not_run_without_trust(tmp_path):
    folder = write_checkpoint(tmp_path / "untrusted", f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(InputError, match="trust_remote_code=True"):
        load_model(str(folder))
    assert not (tmp_path / "ran").exists()


def test_a_masked_language_model_of_transformers_runs_too(tmp_path):
    config = transformers.BertConfig(
        **{"vocab_size": 272, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
        **{"intermediate_size": 48, "max_position_embeddings": 64, "pad_token_id": SPECIAL["<|endoftext|>"]},
        **{"mask_token_id": SPECIAL["<|mdm_mask|>"], "eos_token_id": SPECIAL["<|endoftext|>"]},
    )
    torch.manual_seed(0)
    transformers.BertForMaskedLM(config).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    model = load_model(str(tmp_path), trust_remote_code=True)
    assert model.masks_padding
    assert model.max_length == 64
