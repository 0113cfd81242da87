"""Logits of heads in half precision against float64 products of the same values."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from checkpoints import write_llada, write_qwen
from torch import Tensor, nn

from flexeval.models import head as head_module
from flexeval.models import load_model
from flexeval.models.head import float32_logits, products_on_gpu

HALVES = [torch.bfloat16, torch.float16]
WIDTH, VOCAB, RANK = 96, 301, 4


def make(dtype: torch.dtype, *, bias: bool = False) -> tuple[nn.Linear, Tensor]:
    torch.manual_seed(0)
    return nn.Linear(WIDTH, VOCAB, bias=bias).to(dtype), (torch.randn(12, WIDTH) * 4).to(dtype)


def assert_float32_product(logits: Tensor, head: nn.Linear, hidden: Tensor, extra: Tensor | float = 0.0) -> None:
    """Each sum of exact products may be off by the rounding of its partial sums, and by no more."""
    weight, rows = head.weight.double(), hidden.double()
    exact, size = rows @ weight.T + extra, rows.abs() @ weight.abs().T
    if head.bias is not None:
        exact, size = exact + head.bias.double(), size + head.bias.double().abs()
    assert logits.dtype == torch.float32
    assert ((logits.double() - exact).abs() <= WIDTH * 2.0**-23 * size).all()


@pytest.mark.parametrize("slice_bytes", [1, 4 * WIDTH * 100, 64 << 20])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_multiplied_and_returned_in_float32(monkeypatch, dtype, bias, slice_bytes):
    monkeypatch.setattr(head_module, "_SLICE_BYTES", slice_bytes)
    head, hidden = make(dtype, bias=bias)
    assert_float32_product(float32_logits(head, hidden), head, hidden)
    assert_float32_product(float32_logits(head, hidden.float()), head, hidden)


@pytest.mark.parametrize("bias", [False, True])
def test_a_float32_head_is_called_as_it_is(bias):
    head, hidden = make(torch.float32, bias=bias)
    assert torch.equal(float32_logits(head, hidden), head(hidden))


@pytest.mark.parametrize("dtype", [torch.float32, *HALVES])
def test_autocast_rounds_no_logit(dtype):
    head, hidden = make(dtype)
    plain = float32_logits(head, hidden)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(float32_logits(head, hidden), plain)


def test_a_head_with_adapters_is_multiplied_in_float32():
    import peft

    head, hidden = make(torch.bfloat16)
    network = nn.ModuleDict({"lm_head": copy.deepcopy(head)})
    config = peft.LoraConfig(r=RANK, lora_alpha=2 * RANK, lora_dropout=0.0, target_modules=["lm_head"])
    peft.inject_adapter_in_model(config, network)
    adapted: Any = network["lm_head"]
    down, up = (adapted.lora_A.default.weight, adapted.lora_B.default.weight)
    nn.init.normal_(up)
    extra = 2 * (hidden.double() @ down.double().T @ up.double().T)
    assert_float32_product(float32_logits(adapted, hidden), head, hidden, extra)

    float32_logits(adapted, hidden).square().sum().backward()
    assert up.grad.any() and down.grad.any()


@pytest.mark.parametrize("dtype", HALVES)
def test_gradients_are_those_of_the_product(dtype):
    head, hidden = make(dtype, bias=True)
    hidden.requires_grad_()
    float32_logits(head, hidden).log_softmax(-1)[:, 3].sum().backward()

    twin = copy.deepcopy(head).double()
    rows = hidden.detach().double().requires_grad_()
    twin(rows).log_softmax(-1)[:, 3].sum().backward()
    for ours, theirs in (
        (hidden.grad, rows.grad),
        (head.weight.grad, twin.weight.grad),
        (head.bias.grad, twin.bias.grad),
    ):
        # Gradients have the type of what they are of.
        torch.testing.assert_close(ours.double(), theirs, rtol=2 * torch.finfo(dtype).eps, atol=1e-5)


@pytest.mark.parametrize(
    ("write", "scale"),
    [
        (lambda folder: write_llada(folder), 1.0),
        (lambda folder: write_llada(folder, weight_tying=True), 1.0),
        (lambda folder: write_llada(folder, scale_logits=True), 32**-0.5),
        (lambda folder: write_qwen(folder, "Dream"), 1.0),
    ],
    ids=["llada", "tied", "scaled", "Dream"],
)
def test_a_loaded_model_keeps_its_logits_from_rounding(tmp_path, write, scale):
    model: Any = load_model(str(write(tmp_path)), device="cpu", dtype="bfloat16")
    with torch.inference_mode():
        hidden = model.hidden(torch.arange(12)[None])[0]
        exact = scale * (hidden.double() @ model.module.lm_head.weight.double().T)
        assert (model.logits(hidden) - exact).abs().max() < 1e-5 * exact.abs().max()


@pytest.mark.parametrize(("precision", "products"), [("high", "tf32"), ("medium", "tf32"), ("highest", "float32")])
def test_products_on_a_gpu_are_as_torch_was_told(precision, products):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        assert products_on_gpu() == products
    finally:
        torch.set_float32_matmul_precision(before)
