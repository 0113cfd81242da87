"""Models beside the host: no operation meets tensors of two devices, and what is computed is what the CPU computes.

No GPU is needed: the other device is torch's `meta` by name, and its tensors hold others, with which all is computed.
"""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from precision import assert_equal_but_rounding, near
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

import flexeval
from flexeval.grpo.policy import Policy
from flexeval.grpo.scoring import Batch
from flexeval.records import SamplingConfig
from flexeval.runs.counterfactual import ar_entropies
from flexeval.sampling.forward import Forward

AWAY = torch.device("meta")
MOVES = ("aten::to", "aten::_to_copy", "aten::copy_")
INDEXING = ("aten::index", "aten::index_put_", "aten::_index_put_impl_")
"""As on a GPU, indices may be on the host."""
MAKE_TENSOR, AUTOCAST = torch.tensor, torch.autocast


class Away(torch.Tensor):
    """A tensor on the other device."""

    @staticmethod
    def __new__(cls, inner):
        layout = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        made = torch.Tensor._make_wrapper_subclass(cls, inner.size(), device=AWAY, **layout)
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return computed(operation, args, kwargs or {})


class Devices(TorchDispatchMode):
    """Makes what is asked for on the other device, and computes nothing with tensors of both."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return computed(operation, args, kwargs or {})


def computed(operation, args, kwargs):
    leaves, name = tree_leaves((args, kwargs)), operation._schema.name
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    away = any(isinstance(tensor, Away) for tensor in tensors)
    mixed = away and any(tensor.dim() and not isinstance(tensor, Away) for tensor in tensors)
    if mixed and name not in MOVES and not (name in INDEXING and isinstance(args[0], Away)):
        raise AssertionError(f"{operation} meets tensors of two devices")
    asked = [leaf for leaf in leaves if isinstance(leaf, torch.device)]
    there = asked[0] == AWAY if asked else away
    args_here, kwargs_here = tree_map(_on_host, (args, kwargs))
    result = operation(*args_here, **kwargs_here)
    if operation._schema.is_mutable:
        return args[0]
    if name in MOVES and there != away:
        result = result.clone()
    return tree_map(lambda leaf: Away(leaf) if type(leaf) is torch.Tensor else leaf, result) if there else result


def _on_host(leaf):
    if isinstance(leaf, Away):
        return leaf.inner
    return torch.device("cpu") if isinstance(leaf, torch.device) else leaf


@pytest.fixture
def devices(monkeypatch):
    """In it there are two. Torch itself gives a tensor `meta` no numbers, and has no autocast there."""

    def tensor(numbers, *, device=None, **options):
        made = MAKE_TENSOR(numbers, **options)
        return made if device is None else made.to(device)

    def autocast(device_type, **options):
        return nullcontext() if device_type == AWAY.type else AUTOCAST(device_type, **options)

    monkeypatch.setattr(torch, "tensor", tensor)
    monkeypatch.setattr(torch, "autocast", autocast)
    return Devices()


def both(name):
    """A model on the CPU, and the same beside it."""
    here, there = flexeval.load_model(name), flexeval.load_model(name)
    sent: dict[int, nn.Parameter] = {}
    for part in there.module.modules():
        for key, weight in part._parameters.items():
            if weight is not None:
                part._parameters[key] = sent.setdefault(id(weight), nn.Parameter(Away(weight.data)))
        part._buffers.update({key: Away(buffer) for key, buffer in part._buffers.items()})
    there.device = AWAY
    return here, there


@pytest.mark.parametrize(
    ("name", "order", "settings"),
    [
        ("forks", "ar", {"cfg_scale": 1.0, "top_p": 0.9, "logits_eos_inf": True}),
        ("forks", "confidence", {"scored": "sampled", "top_k": 9, "confidence_eos_eot_inf": True}),
        ("forks", "top_prob", {"cache": "dual", "block_length": 2, "temperature": 0.0}),
        ("forks", "klass", {"batch_invariant": True}),
        ("forks", "wino", {}),
        ("forks", "edit", {"gen_length": 3}),
        ("tiny-block", "entropy", {}),
        ("tiny-block", "ar", {"cache": "none"}),
    ],
)
def test_samples_are_those_of_the_cpu(devices, name, order, settings):
    config, prompts = SamplingConfig(**{"gen_length": 4, **settings}), ["Make 25 from 4, 5, 2, 7.", "Make 3 from 1, 2."]
    here, there = both(name)
    expected = flexeval.sample(here, prompts, order=order, config=config)
    with devices:
        found = flexeval.sample(there, prompts, order=order, config=config)
    for (mine,), (theirs,) in zip(found, expected, strict=True):
        assert mine.trajectory.token_ids_G.tolist() == theirs.trajectory.token_ids_G.tolist()
        assert mine.trajectory.entropy_G.tolist() == near(theirs.trajectory.entropy_G.tolist())


@pytest.mark.parametrize("name", ["forks", "tiny-block"])
def test_counterfactuals_and_gradients_are_those_of_the_cpu(devices, name):
    tokens_UL, ones = np.array([[4, 9, 7, 8], [4, 9, 11, 8]]), np.ones(2, dtype=np.int64)
    found = []
    for model, block in zip(both(name), (nullcontext(), devices), strict=True):
        with block:
            forward = Forward(model, SamplingConfig(gen_length=3), batch_size=2)
            (entropies,) = ar_entropies(forward, [4, 9], [np.array([7, 8, 3])], 3, batch_size=2)
            found.append([torch.from_numpy(entropies)])
            batch = Batch(
                tokens_UL=tokens_UL, attended_UL=np.array([[0, 1, 1, 1], [1, 1, 1, 1]], dtype=bool),
                canvas_N=np.arange(2), column_N=3 * ones, window_end_U=2 * ones, generated=2, temperature_N=0.5 * ones,
                row_M=np.array([0, 1, 1]), token_M=np.array([5, 6, 7]), reading_M=np.arange(3),
            )  # fmt: skip
            policy = Policy(model, shared=name == "tiny-block")
            policy(batch).sum().backward()
            found[-1] += [_on_host(weight.grad) for weight in policy.parameters()]
    for mine, theirs in zip(*found, strict=True):
        assert_equal_but_rounding(theirs, mine)
