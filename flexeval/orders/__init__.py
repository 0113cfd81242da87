"""DecodingState -> which positions to commit, and of orders that revise, which to take back. Pure functions.

    order.py          what an order is, its checks, and selections that several orders share
    model_free.py     orders that do not read the model
    highest_score.py  the highest-scoring positions, as many as the schedule asks for
    parallel.py       orders that decide themselves how many
    revising.py       orders that take tokens back

A new order is a class in one of these and a line in the table below.
"""

from __future__ import annotations

import re

from flexeval.errors import InputError, InputTypeError
from flexeval.orders.order import Order, Read, check_order, check_order_class, take_highest, take_leftmost
from flexeval.records import Revision
from flexeval.registry import Registry, build, parse_spec

ORDERS: Registry[type[Order]] = Registry("order", entry_point_group="flexeval.orders", check=check_order_class)
for _name, _target, _aliases, _summary in [
    ("ar", "model_free:LeftToRight", ("left_to_right",), "the leftmost mask"),
    (
        "confidence",
        "highest_score:Confidence",
        ("low_confidence", "low_confidence_static", "arbitrary", "lcr"),
        "highest-probability proposal: LLaDA's low-confidence remasking, the paper's arbitrary order",
    ),
    (
        "low_confidence_dynamic",
        "highest_score:LowConfidenceDynamic",
        ("dynamic",),
        "all proposals above tau, or as many of the best as the schedule asks for (SDAR, LLaDA2, Fast-dLLM v2)",
    ),
    (
        "tlc",
        "highest_score:TemperedConfidence",
        ("tempered_confidence",),
        "proposals drawn by confidence at a position temperature (Two Temperatures)",
    ),
    ("top_prob", "highest_score:TopProb", ("tpp",), "largest top-token probability, then draw"),
    ("margin", "highest_score:Margin", ("topk_margin",), "largest gap between the two likeliest tokens, then draw"),
    ("entropy", "highest_score:Entropy", ("neg_entropy",), "lowest entropy, then draw"),
    ("random", "model_free:Random", (), "uniform among the eligible positions"),
    ("permutation", "model_free:Permutation", (), "one fixed random permutation for all samples"),
    (
        "egi",
        "highest_score:EntropyGuidedInjection",
        (),
        "first the highest entropy at its own temperature, then top_prob",
    ),
    ("parallel-k", "parallel:Parallel", (), "the k most confident proposals at each step (parallel-4)"),
    ("threshold", "parallel:Threshold", (), "all proposals with confidence >= tau (Fast-dLLM)"),
    ("factor", "parallel:Factor", (), "as many proposals as Fast-dLLM's factor rule allows"),
    ("eb", "parallel:EntropyBound", ("entropy_bound",), "largest prefix with sum H - max H <= gamma (EB-Sampler)"),
    ("fork", "parallel:Fork", (), "all above tau; where none is, the frontier (Fork-dLLM)"),
    ("klass", "parallel:Klass", (), "all proposals above tau whose distribution is at rest (KLASS)"),
    (
        "tct",
        "parallel:TemperedThreshold",
        ("tempered_threshold",),
        "proposals accepted at a threshold with a position temperature (Two Temperatures)",
    ),
    ("wino", "revising:Wino", (), "all above tau; masks again what a second look doubts (WINO)"),
    ("remdm", "revising:ReMDM", (), "masks tokens again at random or by their confidence (ReMDM)"),
    ("edit", "revising:Edit", (), "all above tau; rewrites tokens that a draw contradicts (LLaDA2.1)"),
    ("t2m", "revising:TokenToMask", (), "as edit, but masks suspect tokens again (Token-to-Mask)"),
]:
    ORDERS.register(_name, f"flexeval.orders.{_target}", aliases=_aliases, summary=_summary)


def get_order(spec: str | Order) -> Order:
    """The order that `name`, an alias, `name:param=value,...` or `parallel-<k>` stands for; an Order passes through.

    Raises:
        InputError: unknown name or parameter, a value that the order refuses, or an order that cannot be used.
    """
    if isinstance(spec, Order | type):
        return check_order(spec)
    if not isinstance(spec, str):
        raise InputTypeError(f"an order is a name, as in 'ar', or an Order, not a {type(spec).__name__}")
    name, params = parse_spec(spec)
    if "," in name:
        raise InputError(f"{spec!r} is no order; give several one by one, as in --order ar --order confidence")
    if match := re.fullmatch(r"parallel[-_](\d+)", name):
        name, params = "parallel-k", {"k": match[1], **params}
    name = ORDERS.canonical(name)
    if name == "parallel-k" and "k" not in params:
        raise InputError(f"order {spec!r} needs its number of positions; write 'parallel-4'")
    return check_order(build(ORDERS.get(name), params, owner=f"order {name!r}"))


__all__ = ["ORDERS", "Order", "Read", "Revision", "get_order", "take_highest", "take_leftmost"]
