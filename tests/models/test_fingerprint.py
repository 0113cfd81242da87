"""A fingerprint of weights: the same for the same, another for any other."""

from __future__ import annotations

import copy

import pytest
import torch

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
