"""Which token is the mask, which ends a sequence, and which checkpoint is refused."""

from __future__ import annotations

import json

import pytest
from checkpoints import EOS, EOT, MASK, SPECIAL, write_llada, write_qwen

from flexeval.errors import InputError
from flexeval.models import load_model
from flexeval.models.special import find_special_ids


class FakeTokenizer:
    mask_token_id, eos_token_id, pad_token_id = None, 5, 6

    def get_vocab(self):
        return {"<|mask|>": 7, "<|im_end|>": 5}


def test_stop_ids_hold_end_of_sequence_and_end_of_turn(llada_folder):
    model = load_model(str(llada_folder))
    assert model.mask_id == SPECIAL[MASK]
    assert model.eos_id == SPECIAL[EOS]
    assert model.stop_ids == {SPECIAL[EOS], SPECIAL[EOT]}


def test_the_configuration_goes_before_the_tokenizer():
    found = find_special_ids(
        "m", [{"mask_token_id": 1, "eos_token_id": [2, 3]}, {"eos_token_id": 4}], FakeTokenizer(), vocab_size=9
    )
    assert (found.mask, found.eos, found.stop) == (1, 2, {2, 3, 4, 5})


def test_the_family_knows_the_names_of_its_tokens():
    names = {"mask_tokens": ("<|mask|>",), "end_of_turn": "<|im_end|>", "fills_with_pad": True}
    found = find_special_ids("m", [{}], FakeTokenizer(), vocab_size=9, **names)
    assert (found.mask, found.eos, found.stop) == (7, 6, {5, 6})


def test_a_mask_token_that_only_the_vocabulary_names_is_found(tmp_path):
    folder = write_llada(tmp_path, mask_token_id=None)
    assert load_model(str(folder)).mask_id == SPECIAL[MASK]


def test_a_checkpoint_without_mask_token_is_refused(tmp_path):
    folder = write_qwen(tmp_path, "a2d-qwen2", mask_token_id=None)
    with pytest.raises(InputError, match="has no mask token"):
        load_model(str(folder))


def test_a_checkpoint_without_end_of_sequence_is_refused(tmp_path):
    folder = write_llada(tmp_path, eos_token_id=None)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="has no end-of-sequence token"):
        load_model(str(folder))


def test_an_id_beyond_the_embedding_is_refused(tmp_path):
    with pytest.raises(InputError, match="names token 126336, but its embedding has only 272 rows"):
        load_model(str(write_llada(tmp_path, mask_token_id=126336)))


def test_generation_config_is_asked_too(tmp_path):
    folder = write_llada(tmp_path, eos_token_id=None)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [SPECIAL[EOT], SPECIAL[EOS]]}))
    assert load_model(str(folder)).eos_id == SPECIAL[EOT]
