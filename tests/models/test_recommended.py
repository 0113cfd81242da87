"""A model's own canvas: what it recommends is the default, and what it was not trained on is noted."""

from __future__ import annotations

import json

import pytest
from checkpoints import write_llada

import flexeval
from flexeval.errors import InputError, Note
from flexeval.models import MODELS, load_model
from flexeval.models.recommended import Recommended, recommended_of, recommended_sampling
from flexeval.records import SamplingConfig


def with_generation(folder, **values):
    folder = write_llada(folder)
    (folder / "generation_config.json").write_text(json.dumps(values))
    return load_model(folder)


def test_texts_of_a_bundled_model_are_not_empty_without_settings():
    tiny = load_model("tiny")
    assert recommended_of(tiny) == Recommended(gen_length=48, block_length=32, max_gen_length=96)
    question = "Tom has 3 pens. He buys 4 more. How many pens does Tom have now?"
    (samples,) = flexeval.sample(tiny, [question], num_samples=4)
    assert all(sample.text for sample in samples)
    assert all(len(sample.trajectory.token_ids_G) == 48 for sample in samples)


def test_what_is_given_goes_before_what_is_recommended(tmp_path):
    model = with_generation(tmp_path, gen_length=40, block_length=20)
    assert recommended_sampling(model) == SamplingConfig(gen_length=40, block_length=20)
    assert recommended_sampling(model, gen_length=8, seed=3) == SamplingConfig(gen_length=8, block_length=8, seed=3)
    assert recommended_sampling(model, block_length=4) == SamplingConfig(gen_length=40, block_length=4)
    assert recommended_sampling(model, schedule="dream") == SamplingConfig(gen_length=40, schedule="dream")
    assert recommended_sampling(object()) == SamplingConfig()


def test_short_names_know_their_own():
    assert MODELS.get("llada-8b-instruct").recommended == Recommended(gen_length=256, block_length=32)


def test_a_canvas_beyond_training_is_noted_once(tmp_path):
    model = with_generation(tmp_path, gen_length=4, max_gen_length=6)
    flexeval.sample(model, ["a"], config=SamplingConfig(gen_length=6))
    with pytest.warns(Note, match=r"trained on at most 6 generated positions; with a gen_length of 7"):
        flexeval.sample(model, ["a"], config=SamplingConfig(gen_length=7))


@pytest.mark.parametrize("value", [0, -1, 2.5, "48", True, [48]])
def test_what_is_no_length_is_refused(tmp_path, value):
    with pytest.raises(InputError, match=r"generation_config\.json's gen_length"):
        with_generation(tmp_path, gen_length=value)
