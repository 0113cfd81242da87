"""An order's answers at a step, asked for and checked: an order may be anybody's."""

from __future__ import annotations

from typing import Any

import numpy as np

from flexeval.errors import InputError, PluginError
from flexeval.orders.order import Order
from flexeval.records import BoolArray, DecodingState, FloatArray


def ask_positions(order: Order, state: DecodingState) -> BoolArray:
    """The positions to commit [B, G]: eligible, at least one a row. An array of its own, whatever the order keeps.

    Raises:
        PluginError: the order reads what it did not ask for, writes into the state, or answers something else.
    """
    shape = state.eligible_BG.shape
    answer = _asked(order, lambda: order(state))
    if not isinstance(answer, np.ndarray) or answer.dtype != np.bool_ or answer.shape != shape:
        raise PluginError(
            f"order {order.name!r} must answer a boolean array of shape {list(shape)}, True where to commit, "
            f"not {_described(answer)}"
        )
    if (answer & ~state.eligible_BG).any():
        raise PluginError(
            f"order {order.name!r} chose a position that is not eligible; take only positions of state.eligible_BG"
        )
    if not answer.any(axis=1).all():
        raise PluginError(
            f"order {order.name!r} chose no position for some sample; every row needs at least one, such as its "
            "frontier (flexeval.orders.take_leftmost)"
        )
    return answer.copy()


def ask_temperature(order: Order, state: DecodingState, default: float) -> FloatArray:
    """The temperature [B] at which tokens are drawn.

    Raises:
        PluginError: the order answers anything but one finite number >= 0 a row.
    """
    shape = state.step_B.shape
    answer = _asked(order, lambda: order.temperature(state, default))
    if not isinstance(answer, np.ndarray) or answer.dtype.kind not in "fiu" or answer.shape != shape:
        raise PluginError(
            f"temperature() of order {order.name!r} must answer an array of numbers of shape {list(shape)}, "
            f"not {_described(answer)}; np.full(len(state.step_B), 0.6) is one"
        )
    if not (np.isfinite(answer) & (answer >= 0)).all():
        wrong = answer[~(np.isfinite(answer) & (answer >= 0))][0]
        raise PluginError(f"temperature() of order {order.name!r} must answer finite numbers >= 0, not {wrong}")
    return answer.copy()


def _asked(order: Order, question: Any) -> Any:
    try:
        return question()
    except PluginError as error:
        raise PluginError(f"order {order.name!r}: {error}") from error
    except InputError:
        raise
    except ValueError as error:
        # numpy's words, for any of the state's arrays.
        if "read-only" not in str(error):
            raise
        raise PluginError(
            f"order {order.name!r} writes into an array of the state, which is read-only; write into a copy of it"
        ) from error


def _described(answer: object) -> str:
    if isinstance(answer, np.ndarray):
        return f"one of {answer.dtype} {list(answer.shape)}"
    return f"a {type(answer).__name__}" if answer is not None else "None"
