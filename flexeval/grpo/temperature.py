"""The temperature at which an order draws, as a function of the canvas alone: the model's scores are not available.

Numpy only. Axis suffixes: `B` canvases, `G` generated positions.
"""

from __future__ import annotations

import numpy as np

from flexeval.errors import InputError, PluginError
from flexeval.orders import Order
from flexeval.orders.order import ask_temperature
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

    Raises:
        InputError: the temperature depends on what the order reads of the model.
    """
    state = DecodingState(
        eligible_BG=eligible_BG,
        frontier_B=eligible_BG.argmax(axis=1),
        budget_B=budget_B,
        step_B=step_B,
        committed_B=committed_B,
    )
    try:
        return ask_temperature(order, state, default)
    except PluginError as error:
        raise InputError(
            f"order {order.name!r} cannot be trained: its temperature must depend on the canvas alone, "
            f"so that a rollout's draws can be scored again ({error})"
        ) from error


def opening_temperatures(order: Order, default: float) -> FloatArray:
    """The temperatures [2] at which an order draws at the first and the second step of a canvas."""
    first_two = np.arange(2)
    return drawing_temperatures(
        order,
        default,
        eligible_BG=np.array([[True, True], [False, True]]),
        committed_B=first_two,
        budget_B=np.ones(2, dtype=np.int64),
        step_B=first_two,
    )
