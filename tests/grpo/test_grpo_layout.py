"""Names of checkpoints: as short as a plan writes them, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from flexeval.grpo.layout import checkpoint_folder, checkpoint_name, finished_steps, step_folder


@pytest.mark.parametrize("steps", [1, 30, 125, 1234567])
def test_a_checkpoint_is_called_by_its_training_and_its_steps(steps):
    assert checkpoint_name(str(checkpoint_folder(Path("runs/grpo/ar-fast"), steps))) == f"ar-fast@{steps}"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("tiny", "tiny"),
        ("GSAI-ML/LLaDA-8B-Instruct", "LLaDA-8B-Instruct"),
        ("models/step-000030", "step-000030"),
        ("a/checkpoints/final", "final"),
        ("a/checkpoints/step-last", "step-last"),
        ("ar@30", "ar@30"),
    ],
)
def test_other_models_keep_their_last_name(model, name):
    assert checkpoint_name(model) == name


def test_what_is_half_written_or_called_otherwise_is_not_finished(tmp_path):
    for steps in (20, 10):
        step_folder(tmp_path, steps).mkdir()
    for name in ("step-000030.partial", "step-000030.bak", "step-last"):
        (tmp_path / name).mkdir()
    assert finished_steps(tmp_path) == [10, 20]
    assert finished_steps(tmp_path / "none") == []
