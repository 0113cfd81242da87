"""The GPU measurement, small, on a CPU: that it counts and times what it says."""

from __future__ import annotations

import dataclasses
import itertools
import runpy
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[2] / "analyses" / "gpu_speed.py"))
SMALL, CPU = SCRIPT["SMALL"], torch.device("cpu")


@pytest.fixture(scope="module")
def models():
    return {shape.name: SCRIPT["build"](shape, CPU, torch.float32) for shape in SMALL.shapes}


def test_the_products_are_those_that_the_layers_compute(models):
    (dense, _), length = SMALL.shapes, 11
    model = models[dense.name]
    model.module.set_attn_implementation("eager")
    asked_BL = torch.zeros(2, length, dtype=torch.bool)
    with torch.inference_mode(), FlopCounterMode(display=False) as counted:
        model.hidden(torch.zeros(2, length, dtype=torch.long), None, asked_BL)
    model.module.set_attn_implementation("sdpa")
    rotary = counted.get_flop_counts().get("LlamaModel.rotary_emb", {})
    # transformers computes angles with a product, which is no work of the layers.
    assert counted.get_total_flops() - sum(rotary.values()) == pytest.approx(dense.products([length] * 2), rel=0.02)


def test_experts_in_use_are_counted(models):
    _, sparse = SMALL.shapes
    more = dataclasses.replace(sparse, options=sparse.options | {"num_experts_per_tok": 3})
    assert more.products([7]) - sparse.products([7]) == 2 * 7 * 3 * 32 * 16
    # Past a block, a token more is a column more to look at, not one to compute.
    block, layers, width = 32, 2, 4 * 8
    assert sparse.products([101]) - sparse.products([100]) == 4 * layers * width * block


@pytest.mark.parametrize("order", SMALL.orders)
def test_the_loop_fills_its_canvas_in_as_many_steps_as_a_sample_has(models, order):
    model, prompts = models["small"], SMALL.texts(2, 300)
    committed = SCRIPT["per_step"](order)
    with torch.inference_mode():
        loop = SCRIPT["published_loop"](model, prompts, SMALL.settings(order), committed)
        masks = [int((canvas == model.mask_id).sum()) for canvas in loop]
    # The noise may draw the mask itself, as the published loop lets it; then a position stays open.
    assert len(masks) == SMALL.steps_of(order) + 1
    assert masks[0] == 2 * SMALL.gen_length and masks[-1] <= 2
    assert all(before - after <= 2 * committed for before, after in itertools.pairwise(masks))


def test_a_watch_stops_after_its_steps(models):
    for name, order in itertools.product(models, ("ar", "parallel-4")):
        watch = SCRIPT["Watch"](warm=1, steps=3, seconds=60.0, device=CPU)
        with pytest.raises(SCRIPT["Enough"]):
            SCRIPT["run_ours"](models[name], SMALL, order, 2, watch)
        assert watch.done == 4 and watch.seconds_per_step > 0


def test_the_table_has_every_shape_order_and_batch(tmp_path):
    SCRIPT["main"](["--small", "--out", str(tmp_path / "speed.md")])
    lines = (tmp_path / "speed.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| small")]
    wanted = {(shape.name, f"`{order}`", str(n)) for shape in SMALL.shapes for order in SMALL.orders for n in (1, 2)}
    assert {tuple(row[:3]) for row in rows} == wanted and len(rows) == len(wanted)
    for row in rows:
        samples, loop, single, over_loop, over_single = map(float, row[3:8])
        assert over_loop == pytest.approx(samples / loop, rel=0.02, abs=0.06)
        assert over_single == pytest.approx(samples / single, rel=0.02, abs=0.06)
        assert row[-1] == "3"


def test_what_is_over_time_is_named():
    plan = dataclasses.replace(SMALL, shapes=SMALL.shapes[:1], minutes=0.0)
    *_, last = SCRIPT["measure"](plan, CPU, torch.float32, False)
    assert last.startswith("Not measured") and last.count("small `") == len(SMALL.orders) * len(SMALL.batches)


def test_without_a_gpu_it_says_what_to_do(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit):
        SCRIPT["main"]([])
    assert "--small" in capsys.readouterr().err
