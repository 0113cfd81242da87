"""Logits of the public reference implementations, on tiny checkpoints in the published layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from precision import InFloat64, rounding
from torch import Tensor

from flexeval.models import load_model

CASES = [("llada", 0), ("llada", 1), ("llada", 2), ("dream", 0), ("dream", 1)]


def read_case(shared_dir: Path, family: str, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, attention, and what the checkpoint's own code returned."""
    with np.load(shared_dir / "golden" / family / "logits.npz") as stored:
        names = ("input_ids", "attention_mask", "logits")
        tokens_BL, attention_BL, logits_BLV = (torch.from_numpy(stored[f"logits_{index}_{name}"]) for name in names)
    return tokens_BL, attention_BL.bool(), logits_BLV


def all_logits(model, tokens_BL: Tensor, attention_BL: Tensor) -> Tensor:
    with torch.inference_mode():
        hidden_BLD = model.hidden(tokens_BL, None if attention_BL.all() else attention_BL)
        return model.logits(hidden_BLD.flatten(0, 1)).unflatten(0, tokens_BL.shape)


def predicting(family: str, raw_BLV: Tensor, attention_BL: Tensor) -> tuple[Tensor, Tensor]:
    """The reference's raw output, moved to the positions that it predicts, and where that can be compared."""
    if family == "llada":
        return raw_BLV, attention_BL
    moved_BLV = torch.cat([raw_BLV[:, :1], raw_BLV[:, :-1]], dim=1)
    first_BL = attention_BL & (attention_BL.cumsum(-1) == 1)
    return torch.where(first_BL[..., None], raw_BLV, moved_BLV), attention_BL


@pytest.mark.parametrize(("family", "index"), CASES)
def test_float32_logits_are_as_exact_as_the_reference(shared_dir, family, index):
    """Whatever the processor's kernels: ours and the reference's are equally far from the same forward in float64."""
    tokens_BL, attention_BL, raw_BLV = read_case(shared_dir, family, index)
    expected_BLV, comparable_BL = predicting(family, raw_BLV, attention_BL)
    model = load_model(str(shared_dir / "golden" / family))
    ours_BLV = all_logits(model, tokens_BL, attention_BL)
    model.module.double()
    with InFloat64():
        exact_BLV = all_logits(model, tokens_BL, attention_BL)
    assert ours_BLV.dtype == torch.float32 and exact_BLV.dtype == torch.float64

    def distance(one_BLV: Tensor, other_BLV: Tensor) -> float:
        return (one_BLV.double() - other_BLV.double())[comparable_BL].abs().max().item()

    apart, rounded = distance(ours_BLV, expected_BLV), distance(expected_BLV, exact_BLV)
    print(f"{family} case {index} {tuple(tokens_BL.shape)}: {apart:.1e} apart, the reference is off by {rounded:.1e}")
    assert rounded <= rounding(expected_BLV[comparable_BL])
    assert distance(ours_BLV, exact_BLV) <= 3 * rounded


@pytest.mark.parametrize("family", ["llada", "dream"])
def test_bfloat16_stays_close_to_the_reference(shared_dir, family):
    tokens_BL, attention_BL, raw_BLV = read_case(shared_dir, family, 1)
    expected_BLV, comparable_BL = predicting(family, raw_BLV, attention_BL)
    model = load_model(str(shared_dir / "golden" / family), dtype="bfloat16")
    assert model.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in model.module.parameters()} == {torch.bfloat16}
    logits_BLV = all_logits(model, tokens_BL, attention_BL)
    assert logits_BLV.dtype == torch.float32
    error = (logits_BLV - expected_BLV)[comparable_BL]
    # bfloat16 keeps 8 bits; three layers of it stay within a few percent of the logits' spread.
    assert error.std() < 0.06 * expected_BLV[comparable_BL].std()


@pytest.mark.parametrize("family", ["llada", "dream"])
def test_ids_and_limits_come_from_the_configuration(shared_dir, family):
    model = load_model(str(shared_dir / "golden" / family))
    assert (model.mask_id, model.eos_id, model.stop_ids) == (186, 181, {181})
    assert (model.vocab_size, model.max_length) == (192, 256)
    assert model.device == torch.device("cpu")
