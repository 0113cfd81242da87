"""What a decoding order is, and the selections that several orders share.

An order sees a `DecodingState` and answers which positions to commit; one that revises also, which to mask again and
which to rewrite. It never touches the canvas, the block window, the randomness or the NFE count, so no order can get
them wrong. Everything here is numpy.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, fields
from typing import Any, ClassVar, Literal, TypeGuard, get_args

import numpy as np
from numpy.typing import NDArray

from flexeval.errors import InputError, PluginError, did_you_mean
from flexeval.fields import FLOAT32
from flexeval.records import BoolArray, DecodingState, FloatArray, IntArray, Revision
from flexeval.registry import NAME, format_spec

Read = Literal[
    "top_prob",
    "margin",
    "entropy",
    "proposal",
    "uniform",
    "noise",
    "place",
    "drift",
    "past",
    "kept",
    "unseen",
    "redraw",
]
"""What an order may ask for. `DecodingState` says what comes with each; the last four are for orders that revise."""

LOOKS: frozenset[Read] = frozenset({"kept", "unseen", "redraw"})
"""Reads that need the model at every position that may be revised."""
MODEL_READS: frozenset[Read] = LOOKS.union({"top_prob", "margin", "entropy", "proposal", "drift"})
"""Reads that need the model at every eligible position. An order without any of them chooses before the forward."""
MOST_HISTORY = 64
"""Steps that `drift_BGH` goes back at most: they are kept of every position."""


@dataclass(frozen=True)
class Order(ABC):
    """A decoding order: its fields are its parameters, its call picks what to commit.

    Subclasses are frozen dataclasses. An order that reads a proposal is of the kind *propose, then
    select*: a token is drawn at every eligible position and the chosen ones are committed as drawn.
    Every other order is *select, then sample*: the token is drawn at the chosen position only.
    """

    name: ClassVar[str]
    """The registered name."""
    reads: ClassVar[frozenset[Read]] = frozenset()
    """What the call reads of the state beyond eligibility, frontier, budget and step."""
    adaptive: ClassVar[bool] = False
    """Whether the order itself decides how many positions a step commits, so that `steps` has no meaning. One that does
    not is held to `budget_B`."""
    exceeds_budget: ClassVar[bool] = False
    """Whether `budget_B` is the fewest that it commits, of an order that is not adaptive: a step may commit more."""
    revises: ClassVar[bool] = False
    """Whether it takes committed tokens of the current block back. Then it is adaptive, and may answer a `Revision`."""

    @abstractmethod
    def __call__(self, state: DecodingState) -> BoolArray | Revision:
        """The positions to commit, [B, G]: at least one in each row, eligible ones only. Or a `Revision`."""

    @property
    def own_pace(self) -> bool:
        """Whether tokens a step are its own choice, at least in part, and not a setting of the run."""
        return self.adaptive or self.exceeds_budget

    def most_steps(self, size: int) -> int:
        """Most steps of a block of `size` positions, which the rule of the order guarantees.

        A block that takes more is filled without any further revision, and the record says so. An order that revises
        gets four steps a position unless it says otherwise.
        """
        return 4 * size if self.revises else size

    @property
    def committing(self) -> Order | None:
        """The same rule with nothing taken back, which shows what revision changes. None where there is none such."""
        return None

    @property
    def counterpart(self) -> Order | None:
        """Its `committing` where that is another order: what to compare it with to see what revision changes."""
        return None if self.committing == self else self.committing

    @property
    def history(self) -> int:
        """Steps that `drift_BGH` goes back, from 1 to `MOST_HISTORY`."""
        return 1

    def temperature(self, state: DecodingState, default: float) -> FloatArray:
        """The temperature [B] at which the chosen tokens are drawn (select, then sample only)."""
        return np.full(len(state.step_B), default)

    @property
    def draw(self) -> Literal["select", "propose"]:
        """When the token is drawn: after its position was selected, or before."""
        return "propose" if "proposal" in self.reads else "select"

    @property
    def reads_model(self) -> bool:
        """Whether the model is needed before positions can be chosen."""
        return bool(self.reads & MODEL_READS)

    @property
    def spec(self) -> str:
        """The canonical `name:param=value,...`."""
        return format_spec(self.name, self)


def check_order_class(kind: object) -> None:
    """Raise PluginError, which says what to write, unless this is an order class that can be used."""
    if not isinstance(kind, type) or not issubclass(kind, Order):
        raise PluginError(f"{kind!r} is not an order class; write `class Mine(Order)` with flexeval.orders.Order")
    title = f"order {kind.__qualname__}"
    if inspect.isabstract(kind):
        raise PluginError(f"{title} has no method `__call__(self, state)`, which chooses the positions; add it")
    if "__dataclass_params__" not in vars(kind) and any(
        "ClassVar" not in str(hint) for hint in vars(kind).get("__annotations__", {}).values()
    ):
        raise PluginError(f"{title} is not a dataclass, so its parameters have no names; write @dataclass(frozen=True)")
    name = getattr(kind, "name", None)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise PluginError(
            f'{title} has {"no name" if name is None else f"the name {name!r}"}; write `name = "my-order"` in the class'
        )
    for flag in ("adaptive", "exceeds_budget", "revises"):
        if not isinstance(value := getattr(kind, flag, None), bool):
            raise PluginError(f"{title}: `{flag}` must be True or False, not {value!r}")
    if kind.revises and not kind.adaptive:
        raise PluginError(f"{title} revises, so no schedule says how much a step commits; write `adaptive = True`")
    for field in fields(kind):
        if isinstance(field.default, property):
            raise PluginError(f"{title}: its parameter `{field.name}` has the name of a property of Order; rename it")


def check_order(order: object) -> Order:
    """Return the order. Raises PluginError, which says what to write, unless it can be used.

    Checks its class by `check_order_class`, that `reads` is a set of known reads, that methods and properties are what
    `Order` says, that a `temperature` of its own has an effect, and `history` where it reads drift.
    """
    if isinstance(order, type):
        raise PluginError(f"{order.__qualname__} is a class; give an instance of it, such as {order.__qualname__}()")
    check_order_class(type(order))
    assert isinstance(order, Order)
    known = get_args(Read)
    if not isinstance(order.reads, frozenset | set):
        raise PluginError(
            f"order {order.name!r}: `reads` must be a set, such as frozenset({{'entropy'}}), not {order.reads!r}"
        )
    for read in order.reads:
        if read not in known:
            raise PluginError(f"order {order.name!r}: {did_you_mean('name in `reads`', str(read), known)}")
        if read in LOOKS | {"past"} and not order.revises:
            raise PluginError(f"order {order.name!r} reads {read!r} of committed tokens; add `revises = True` to it")
    for name, arguments in _METHODS.items():
        try:
            inspect.signature(getattr(order, name)).bind(*arguments)
        except ValueError:  # a function in C that does not say what it takes
            continue
        except TypeError:
            raise PluginError(
                f"order {order.name!r}: `{name}` must be a method; write `def {name}(self, {', '.join(arguments)})`, "
                "or give what is none another name"
            ) from None
    for name, kinds in _PROPERTIES.items():
        if not isinstance(value := getattr(order, name), kinds):
            noun = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
            raise PluginError(
                f"order {order.name!r}: `{name}` must be a property that gives {noun}, not {_described(value)}; "
                f"write @property and `def {name}(self)`, or give what is none another name"
            )
    if order.draw == "propose" and type(order).temperature is not Order.temperature:
        raise PluginError(
            f"order {order.name!r} reads 'proposal', which is drawn at the run's temperature before it is asked, so "
            "its `temperature` would change nothing; leave out one of the two"
        )
    if "drift" in order.reads:
        history: object = order.history
        if not _is_whole(history) or not 1 <= history <= MOST_HISTORY:
            raise PluginError(
                f"order {order.name!r}: `history` must be a whole number of steps from 1 to {MOST_HISTORY}, "
                f"not {history!r}"
            )
    return order


_METHODS = {"__call__": ("state",), "temperature": ("state", "default"), "most_steps": ("size",)}
"""What an order is asked -> with what."""
_PROPERTIES: dict[str, tuple[type, ...]] = {
    "own_pace": (bool,),
    "reads_model": (bool,),
    "draw": (str,),
    "spec": (str,),
    "committing": (Order, type(None)),
}


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


# ----- its answers, which are checked at every step -----


def ask_positions(order: Order, state: DecodingState) -> BoolArray:
    """The positions that an order commits [B, G]: eligible ones, as many per row as the schedule says, or at least one
    under an adaptive order. Returns a copy.

    Raises:
        PluginError: the order reads what its `reads` does not name, writes into the state, or returns something else.
    """
    shape = state.eligible_BG.shape
    answer = _asked(order, lambda: order(state))
    if not _is_array(answer, "b", shape):
        raise PluginError(
            f"order {order.name!r} must return a boolean array of shape {list(shape)}, True where to commit, "
            f"not {_described(answer)}"
        )
    if (answer & ~state.eligible_BG).any():
        raise PluginError(
            f"order {order.name!r} chose a position that is not eligible; take only positions of state.eligible_BG"
        )
    count_B = np.count_nonzero(answer, axis=1)
    if not count_B.all():
        raise PluginError(
            f"order {order.name!r} chose no position for some sample; every row needs at least one, such as its "
            "frontier (flexeval.orders.take_leftmost)"
        )
    off_B = count_B < state.budget_B if order.exceeds_budget else count_B != state.budget_B
    if not order.adaptive and off_B.any():
        row = int(np.flatnonzero(off_B)[0])
        raise PluginError(
            f"order {order.name!r} chose {count_B[row]} positions where the schedule commits {state.budget_B[row]}; "
            "take state.budget_B of each row, or write `adaptive = True` in the class, which then decides how many"
        )
    return answer.copy()


def ask_revision(order: Order, state: DecodingState, revisable_BG: BoolArray) -> Revision:
    """What an order that revises answers, with arrays of its own in all fields.

    Raises:
        PluginError: as `ask_positions`, but that a row may commit nothing; or positions that cannot be revised.
    """
    shape = state.eligible_BG.shape
    answer = _asked(order, lambda: order(state))
    if isinstance(answer, np.ndarray):
        answer = Revision(commit_BG=answer)
    if not isinstance(answer, Revision):
        raise PluginError(
            f"order {order.name!r} must return a Revision, or a boolean array of shape {list(shape)}, "
            f"not {_described(answer)}"
        )
    parts: dict[str, BoolArray] = {}
    for name, wanted in (("commit_BG", shape), ("remask_BG", shape), ("rewrite_BG", shape), ("again_B", shape[:1])):
        part = getattr(answer, name)
        if part is not None and not _is_array(part, "b", wanted):
            raise PluginError(
                f"order {order.name!r}: {name} of its Revision must be a boolean array of shape {list(wanted)}, "
                f"not {_described(part)}"
            )
        parts[name] = np.zeros(wanted, dtype=np.bool_) if part is None else part.copy()
    if (parts["commit_BG"] & ~state.eligible_BG).any():
        raise PluginError(
            f"order {order.name!r} chose a position that is not eligible; take only positions of state.eligible_BG"
        )
    if ((parts["remask_BG"] | parts["rewrite_BG"]) & ~revisable_BG).any():
        raise PluginError(
            f"order {order.name!r} revises a position that is no token of the current block; take only positions of "
            "state.revisable_BG"
        )
    if (parts["remask_BG"] & parts["rewrite_BG"]).any():
        raise PluginError(f"order {order.name!r} both masks and rewrites a position; choose one of them")
    if parts["rewrite_BG"].any() and "redraw" not in order.reads:
        raise PluginError(f"order {order.name!r} rewrites tokens without new ones; add 'redraw' to its `reads`")
    return Revision(**parts)


def ask_temperature(order: Order, state: DecodingState, default: float) -> FloatArray:
    """The temperature [B] at which tokens are drawn.

    Raises:
        PluginError: the order returns anything but one number per row that float32 can compute with, or 0.
    """
    shape = state.step_B.shape
    answer = _asked(order, lambda: order.temperature(state, default))
    if not _is_array(answer, "fiu", shape):
        raise PluginError(
            f"temperature() of order {order.name!r} must return an array of numbers of shape {list(shape)}, "
            f"not {_described(answer)}; write np.full(len(state.step_B), 0.6), for example"
        )
    # In half precision the limits would not be numbers.
    answer = answer.astype(np.float64)
    least, most = FLOAT32
    fits_B = (answer == 0) | ((answer >= least) & (answer <= most))
    if not fits_B.all():
        raise PluginError(
            f"temperature() of order {order.name!r} must return 0 or numbers between {least:.2g} and {most:.2g}, which "
            f"is what float32 can compute with, not {answer[~fits_B][0]}"
        )
    return answer


def ask_most_steps(order: Order, size: int) -> int:
    """The most steps of a block. Raises PluginError for anything but a whole number from 1."""
    answer: object = _asked(order, lambda: order.most_steps(size))
    if not _is_whole(answer) or answer < 1:
        raise PluginError(
            f"most_steps() of order {order.name!r} must return a whole number of at least 1, such as {size} for a "
            f"block of {size}, not {answer!r}"
        )
    return int(answer)


def _asked(order: Order, question: Callable[[], Any]) -> Any:
    try:
        return question()
    except PluginError as error:
        raise PluginError(f"order {order.name!r}: {error}") from error
    except InputError:
        raise
    except FrozenInstanceError as error:
        raise PluginError(
            f"order {order.name!r}: {error}; neither the state nor the order can be changed, so use a variable"
        ) from error
    except AttributeError as error:
        if not isinstance(error.obj, DecodingState):
            raise
        raise PluginError(f"order {order.name!r}: {error}") from error
    except ValueError as error:
        # numpy's words for a write into any of the state's arrays.
        if "read-only" not in str(error):
            raise
        raise PluginError(
            f"order {order.name!r} writes into an array of the state, which is read-only; write into a copy"
        ) from error


def _is_array(answer: object, kinds: str, shape: tuple[int, ...]) -> TypeGuard[NDArray[Any]]:
    """Whether it is a plain array of numpy's: a matrix or a masked array computes otherwise."""
    return type(answer) is np.ndarray and answer.dtype.kind in kinds and answer.shape == shape


def _described(answer: object) -> str:
    if isinstance(answer, Revision):
        return "a Revision; write `revises = True` in the class to return one"
    if type(answer) is np.ndarray:
        return f"one of {answer.dtype} {list(answer.shape)}"
    if isinstance(answer, np.ndarray):
        return f"a {type(answer).__name__}, but a plain numpy.ndarray"
    return f"a {type(answer).__name__}" if answer is not None else "None"


# ----- what several orders share -----


def require_probability(order: str, field: str, value: float) -> None:
    """Raise InputError unless a field of an order is a probability."""
    if not 0 <= value <= 1:
        raise InputError(f"order {order!r}: {field} is a probability between 0 and 1, not {value}")


def take_highest(score_BG: FloatArray, eligible_BG: BoolArray, count_B: IntArray) -> BoolArray:
    """The `count_B` highest-scoring eligible positions of each row; ties go to the left.

    Raises:
        PluginError: a score that is NaN where a position is eligible, which is neither high nor low.
    """
    if (np.isnan(score_BG) & eligible_BG).any():
        raise PluginError("its score is NaN at an eligible position; give every eligible position a number")
    # The floor keeps an eligible position with a score of -inf above every position that is not eligible.
    masked_BG = np.where(eligible_BG, np.maximum(score_BG, np.finfo(np.float64).min), -np.inf)
    if np.all(count_B == 1):
        chosen_BG = np.zeros(eligible_BG.shape, dtype=bool)
        chosen_BG[np.arange(len(masked_BG)), masked_BG.argmax(axis=1)] = True
        return chosen_BG
    return (ranks_descending(masked_BG) < np.asarray(count_B)[:, None]) & eligible_BG


def take_leftmost(eligible_BG: BoolArray, count_B: IntArray) -> BoolArray:
    """The `count_B` leftmost eligible positions of each row."""
    return eligible_BG & (np.cumsum(eligible_BG, axis=1) <= np.asarray(count_B)[:, None])


def ranks_descending(score_BG: FloatArray) -> NDArray[Any]:
    """Rank of each entry within its row, 0 for the highest; ties go to the left."""
    order_BG = np.argsort(-score_BG, axis=1, kind="stable")
    ranks_BG = np.empty_like(order_BG)
    np.put_along_axis(ranks_BG, order_BG, np.arange(score_BG.shape[1])[None, :], axis=1)
    return ranks_BG
