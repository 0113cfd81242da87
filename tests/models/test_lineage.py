"""What a trained checkpoint says of itself."""

from __future__ import annotations

import dataclasses
import json

import pytest

from flexeval.errors import InputError
from flexeval.models.lineage import LINEAGE, Lineage, read_lineage

RECORDED = {"basis": "b", "seed": 0}
TRAINED = Lineage(base="tiny", training="first", rollout_order="egi", fast=True, step=40, samples=320, seconds=7.25)


def test_a_lineage_comes_back_from_its_file(tmp_path):
    assert read_lineage(tmp_path) is None
    (tmp_path / LINEAGE).write_text(json.dumps(TRAINED.as_dict()))
    assert read_lineage(tmp_path) == TRAINED


def test_an_earlier_lineage_says_nothing_of_its_recipe(tmp_path):
    earlier = {name: value for name, value in TRAINED.as_dict().items() if name not in ("recipe", "basis", "seed")}
    (tmp_path / LINEAGE).write_text(json.dumps(earlier))
    assert read_lineage(tmp_path) == TRAINED
    assert (TRAINED.recipe, TRAINED.basis, TRAINED.seed) == ("", "", None)


def test_labels_tell_trainings_and_steps_apart():
    import dataclasses

    others = [dataclasses.replace(TRAINED, **{name: value}) for name, value in
              [("base", "other"), ("training", "second"), ("step", 20)]]  # fmt: skip
    assert len({TRAINED.label, *(other.label for other in others)}) == 4


@pytest.mark.parametrize("content", ["{", "[]", '{"base": "tiny"}', json.dumps({**TRAINED.as_dict(), "more": 1})])
def test_a_broken_file_is_named(tmp_path, content):
    (tmp_path / LINEAGE).write_text(content)
    with pytest.raises(InputError, match="restore the file"):
        read_lineage(tmp_path)


def test_only_what_is_recorded_can_be_alike():
    """Two trainings of which nobody knows the settings or the seed differ in nobody knows what."""
    for about, alike in ((RECORDED, True), ({}, False), ({"basis": "b"}, False), ({"seed": 0}, False)):
        one = dataclasses.replace(TRAINED, **about)
        assert one.differs_in_rollouts(dataclasses.replace(one, rollout_order="ar", fast=False)) == alike
