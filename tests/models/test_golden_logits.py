"""Logits of the public reference implementations, on tiny checkpoints in the published layouts."""

from __future__ import annotations

import golden_vectors
import numpy as np
import pytest
import torch
from precision import InFloat64, rounding
from torch import Tensor

from flexeval.models import load_model

CASES = [("llada", 0), ("llada", 1), ("llada", 2), ("dream", 0), ("dream", 1)]


def read_case(family: str, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, attention, and what the checkpoint's own code returned."""
    with np.load(golden_vectors.folder_of(family) / "logits.npz") as stored:
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
def test_float32_logits_are_as_exact_as_the_reference(family, index):
    """Whatever the processor's kernels: ours and the reference's are equally far from the same forward in float64."""
    tokens_BL, attention_BL, raw_BLV = read_case(family, index)
    expected_BLV, comparable_BL = predicting(family, raw_BLV, attention_BL)
    model = load_model(str(golden_vectors.folder_of(family)))
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
def test_bfloat16_stays_close_to_the_reference(family):
    tokens_BL, attention_BL, raw_BLV = read_case(family, 1)
    expected_BLV, comparable_BL = predicting(family, raw_BLV, attention_BL)
    model = load_model(str(golden_vectors.folder_of(family)), dtype="bfloat16")
    assert model.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in model.module.parameters()} == {torch.bfloat16}
    logits_BLV = all_logits(model, tokens_BL, attention_BL)
    assert logits_BLV.dtype == torch.float32
    error = (logits_BLV - expected_BLV)[comparable_BL]
    # bfloat16 keeps 8 bits; three layers of it stay within a few percent of the logits' spread.
    assert error.std() < 0.06 * expected_BLV[comparable_BL].std()


@pytest.mark.parametrize("family", ["llada", "dream"])
def test_ids_and_limits_come_from_the_configuration(family):
    model = load_model(str(golden_vectors.folder_of(family)))
    assert (model.mask_id, model.eos_id, model.stop_ids) == (186, 181, {181})
    assert (model.vocab_size, model.max_length) == (192, 256)
    assert model.device == torch.device("cpu")


# ----- families with attention rules and experts -----

NEWER = [family for family in golden_vectors.FAMILIES if family not in golden_vectors.FIRST]


def cases_of(family: str) -> int:
    with np.load(golden_vectors.folder_of(family) / "logits.npz") as stored:
        return sum(name.endswith("_logits") for name in stored.files)


@pytest.mark.parametrize(("family", "index"), [(family, i) for family in NEWER for i in range(cases_of(family))])
def test_logits_under_an_attention_rule_are_the_references(tmp_path, family, index):
    with np.load(golden_vectors.folder_of(family) / "logits.npz") as stored:
        case = {name.partition(f"logits_{index}_")[2]: stored[name] for name in stored.files if f"s_{index}_" in name}
    tokens_BL, attended_BL = case["input_ids"], case["attention_mask"].astype(bool)
    rule = {"illada": "full"}.get(family) or (
        f"block-causal:{int(case['block_length'])}" if "block_length" in case else None
    )
    model = golden_vectors.load(family, tmp_path, attention=rule)

    # The rule lets every token see what the reference's mask did.
    levels_BL = model.attention.levels(
        tokens_BL,
        attended_BL,
        answer=0,
        window_end_B=np.full(len(tokens_BL), tokens_BL.shape[1]),
        mask_id=model.mask_id,
    )
    sees_BLL = (levels_BL[:, :, None] >= levels_BL[:, None, :]) & attended_BL[:, None, :]
    np.testing.assert_array_equal(sees_BLL[attended_BL], case["allowed"].astype(bool)[attended_BL])

    with torch.inference_mode():
        hidden_BLD = model.hidden(
            torch.from_numpy(tokens_BL),
            None if attended_BL.all() else torch.from_numpy(attended_BL),
            None,
            None if model.attention.is_full else torch.from_numpy(levels_BL),
        )
        logits_BLV = model.logits(hidden_BLD.flatten(0, 1)).unflatten(0, tokens_BL.shape).numpy()
    # Two of the families predict the next token, and the vectors are raw.
    raw_BLV = case["logits"]
    if family in ("coda", "fast_dllm_v2"):
        raw_BLV = predicting("dream", torch.from_numpy(raw_BLV), torch.from_numpy(attended_BL))[0].numpy()
    error = np.abs(logits_BLV - raw_BLV)[attended_BL].max()
    print(f"{family} case {index}: {error:.1e}")
    assert error < 1e-4
