"""The last MLP is left out where nobody reads, and nothing else changes."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
import torch
from checkpoints import write_llada, write_qwen
from precision import assert_equal_but_rounding

from flexeval.grpo.policy import checkpoint_activations
from flexeval.models import last_mlp, load_model

MAKERS = {
    "llada": write_llada,
    "Dream": lambda folder: write_qwen(folder, "Dream"),
    "a2d-qwen3": lambda folder: write_qwen(folder, "a2d-qwen3", head_dim=16),
}


@pytest.fixture(params=MAKERS)
def model(request, tmp_path):
    return load_model(str(MAKERS[request.param](tmp_path)))


@pytest.fixture
def computed(model):
    """How many rows the last MLP was given, call by call."""
    rows = []
    inside = model.module.model.layers[-1].mlp.down_proj
    inside.register_forward_pre_hook(lambda _module, arguments: rows.append(arguments[0].shape[:-1].numel()))
    return rows


def canvases(seed=0):
    return torch.randint(256, (3, 10), generator=torch.Generator().manual_seed(seed))


def patterns():
    generator = torch.Generator().manual_seed(1)
    yield torch.rand(3, 10, generator=generator) < 0.3
    yield torch.zeros(3, 10, dtype=torch.bool)
    for column in (0, 9):
        yield torch.arange(10).eq(column).expand(3, -1)


@pytest.mark.parametrize("padding", [(0, 0, 0), (0, 2, 5)])
def test_what_is_asked_is_what_the_whole_canvas_gives(model, padding):
    attended = torch.arange(10) >= torch.tensor(padding)[:, None]
    attention = None if attended.all() else attended
    with torch.inference_mode():
        whole = model.hidden(canvases(), attention)
        for asked in patterns():
            some = model.hidden(canvases(), attention, asked & attended)
            assert some.shape == whole.shape and some.isfinite().all()
            assert_equal_but_rounding(some[asked & attended], whole[asked & attended])
        assert_equal_but_rounding(model.hidden(canvases(), attention), whole)


def test_nothing_else_is_computed(model, computed):
    asked = torch.zeros(3, 10, dtype=torch.bool)
    asked[0, 4] = asked[2, 7] = True
    with torch.inference_mode():
        model.hidden(canvases())
        model.hidden(canvases(), None, asked)
    # Dream reads position i off i - 1, or off i where that is a row's first token.
    assert computed == [30, 4 if model.shifted else 2]


def test_what_is_asked_belongs_to_one_thread(model):
    """Forwards side by side, each asking for other positions."""
    jobs = list(product(range(4), patterns()))
    with torch.inference_mode():
        whole = [model.hidden(canvases(seed)) for seed in range(4)]

    def check(job):
        seed, asked = job
        with torch.inference_mode():
            assert_equal_but_rounding(model.hidden(canvases(seed), None, asked)[asked], whole[seed][asked])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, jobs * 4))


def test_an_error_leaves_nothing_behind(model, computed):
    with torch.inference_mode():
        with pytest.raises(RuntimeError), last_mlp.only_at(canvases() > 128):
            raise RuntimeError
        model.hidden(canvases())
    assert computed == [30]


def test_a_copy_of_the_network_obeys_too(model):
    asked = next(patterns())
    with torch.inference_mode(), last_mlp.only_at(asked):
        first, second = (network(canvases()).logits for network in (model.module, copy.deepcopy(model.module)))
    assert_equal_but_rounding(first, second)
    with torch.inference_mode():
        assert not torch.allclose(first, model.module(canvases()).logits)


def test_gradients_are_those_of_the_whole_canvas(model, computed):
    asked = next(patterns())
    found = []
    for given in (None, asked):
        model.module.zero_grad()
        model.logits(model.hidden(canvases(), None, given)[asked]).square().sum().backward()
        found.append({name: weight.grad.clone() for name, weight in model.module.named_parameters()})
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-4, atol=1e-4, msg=lambda m, n=name: n + m)
    assert computed[1] < computed[0] == 30


def test_gradient_checkpointing_computes_the_whole_canvas(model, computed):
    """It repeats the forward, and does not know what was asked."""
    model.module.train()
    checkpoint_activations(model.module)
    asked = next(patterns())
    model.logits(model.hidden(canvases(), None, asked)[asked]).square().sum().backward()
    assert set(computed) == {30}
    assert all(parameter.grad is not None for parameter in model.module.parameters())


def test_watching_twice_is_watching_once(model, computed):
    last_mlp.watch(model.module.model.layers[-1].mlp)
    test_nothing_else_is_computed(model, computed)


def test_weights_keep_their_names(model):
    assert any(name.endswith("layers.1.mlp.down_proj.weight") for name in model.module.state_dict())
