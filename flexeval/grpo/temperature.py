"""At which temperature an order draws, by the state of the canvas alone: what it read of the model is blank.

Numpy only. Axis suffixes: `B` canvases, `G` generated positions.
"""

from __future__ import annotations

import numpy as np

from flexeval.orders import Order
from flexeval.records import BoolArray, DecodingState, FloatArray, IntArray


def drawing_temperatures(
    order: Order, default: float, *, eligible_BG: BoolArray, committed_B: IntArray, budget_B: IntArray, step_B: IntArray
) -> FloatArray:
    """The temperature [B] of the draws at some steps.

    Args:
        order: of the kind *select, then sample*.
        default: the run's temperature.
        eligible_BG: masked and inside the current block, before the step.
        committed_B: positions committed by earlier steps.
        budget_B: commits of the step.
        step_B: 0-based.
    """
    blank_BG = np.full(eligible_BG.shape, np.nan, dtype=np.float32)
    state = DecodingState(
        eligible_BG=eligible_BG,
        frontier_B=eligible_BG.argmax(axis=1),
        budget_B=budget_B,
        step_B=step_B,
        committed_B=committed_B,
        top_prob_BG=blank_BG,
        margin_BG=blank_BG,
        entropy_BG=blank_BG,
        proposal_BG=np.full(eligible_BG.shape, -1),
        confidence_BG=blank_BG,
        uniform_BG=blank_BG,
    )
    return order.temperature(state, default)


def draws_at_zero(order: Order, default: float) -> bool:
    """Whether an order takes the likeliest token at the first or the second step of a canvas."""
    first_two = np.arange(2)
    temperature_B = drawing_temperatures(
        order,
        default,
        eligible_BG=np.array([[True, True], [False, True]]),
        committed_B=first_two,
        budget_B=np.ones(2, dtype=np.int64),
        step_B=first_two,
    )
    return bool((temperature_B == 0).any())
