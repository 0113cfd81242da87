"""Settings with several values each -> one `RunConfig` for every combination.

Settings are named as the fields of `RunConfig` and `SamplingConfig`; `order.gamma` and `task.facts` name a parameter
of an order or a task. Values are text, as on the command line.
"""

from __future__ import annotations

import dataclasses
import itertools
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from flexeval.errors import InputError, did_you_mean
from flexeval.orders import ORDERS, get_order
from flexeval.records import RunConfig, SamplingConfig
from flexeval.registry import Registry, convert, parse_spec
from flexeval.runs.identity import canonical_config, default_folder_name, larger_extent
from flexeval.tasks import TASKS, get_task
from flexeval.tasks.task import HasTemplate

WHOLE = "whole"
"""As a `block_length`: the whole canvas."""

_RUN = {field.name for field in dataclasses.fields(RunConfig)} - {"sampling"}
_SAMPLING = {field.name for field in dataclasses.fields(SamplingConfig)}
SETTINGS = sorted(_RUN | _SAMPLING)
"""What can be set, apart from parameters."""


def expand(settings: Mapping[str, Sequence[str]]) -> list[RunConfig]:
    """One canonical configuration for each combination of values.

    The first setting changes slowest and `order` fastest, so that runs that are stopped early have compared all orders
    at the settings that they reached. A parameter is given to the orders or tasks that have it. `gen_length` is the
    task's own unless it is given.

    Args:
        settings: name -> values; what is left out has its default.

    Raises:
        InputError: an unknown name, a value that a setting cannot have, or a parameter that nothing has.
    """
    for name, values in settings.items():
        _require_name(name, settings)
        if not values:
            raise InputError(f"{name} has no value; give at least one")
    slowest_first = sorted(settings, key=lambda name: (name == "order", name.startswith("order.")))
    combinations = itertools.product(*(settings[name] for name in slowest_first))
    return without_duplicates([_config(dict(zip(slowest_first, values, strict=True))) for values in combinations])


def without_duplicates(configs: Sequence[RunConfig]) -> list[RunConfig]:
    """The same runs, each once, with the larger `num_samples` and `limit` of those that were asked for.

    What one folder holds is one run: `cache` "exact" and "none" give the same samples.
    """
    merged: dict[str, RunConfig] = {}
    for config in configs:
        run = default_folder_name(config)
        merged[run] = larger_extent(merged[run], config) if run in merged else config
    return list(merged.values())


def _require_name(name: str, settings: Mapping[str, Sequence[str]]) -> None:
    owner, dot, param = name.partition(".")
    if not dot:
        if name not in SETTINGS:
            raise did_you_mean("setting", name, SETTINGS, listed=f"{', '.join(SETTINGS)}, order.PARAM, task.PARAM")
        return
    if owner not in ("order", "task"):
        raise did_you_mean("setting", name, [f"order.{param}", f"task.{param}", *SETTINGS])
    models = settings.get("model", [""])
    specs = settings.get(owner, [getattr(RunConfig(model=model), owner) for model in models])
    known = {other for spec in specs for other in _parameters(owner, spec)}
    if param not in known:
        raise did_you_mean(f"parameter of {owner} {' or '.join(map(repr, specs))}", param, known)


def _config(values: Mapping[str, str]) -> RunConfig:
    run = {name: values[name] for name in _RUN & values.keys()}
    named = RunConfig(model=run.get("model", ""), task=run.get("task", ""))
    for name, value in values.items():
        owner, dot, param = name.partition(".")
        if dot:
            run[owner] = _with_parameter(owner, run.get(owner, getattr(named, owner)), param, value)
    task = get_task(run.get("task", named.task))
    if isinstance(task, HasTemplate):
        # Read here, so that a mistake in it is found before anything is run.
        _ = task.prompt_template
    sampling = {name: values[name] for name in _SAMPLING & values.keys()}
    sampling.setdefault("gen_length", str(task.gen_length))
    if sampling.get("block_length") == WHOLE:
        sampling["block_length"] = sampling["gen_length"]
    typed = RunConfig(**_typed(RunConfig, run), sampling=SamplingConfig(**_typed(SamplingConfig, sampling)))
    return canonical_config(typed)


def _typed(record: type, values: Mapping[str, str]) -> dict[str, Any]:
    hints = typing.get_type_hints(record)
    return {name: convert(text, hints[name], what=name) for name, text in values.items()}


# ----- parameters of orders and tasks -----


def _with_parameter(owner: str, spec: str, param: str, value: str) -> str:
    """The spec with one more parameter; the same spec where the order or task has no such parameter."""
    if param not in _parameters(owner, spec):
        return spec
    name, params = parse_spec(spec)
    if param in params:
        raise InputError(f"{owner} {spec!r} and {owner}.{param} say the same thing twice; give one of them")
    return f"{name}:" + ",".join(f"{key}={text}" for key, text in {**params, param: value}.items())


def _parameters(owner: str, spec: str) -> set[str]:
    name, _ = parse_spec(spec)
    registry: Registry[Any] = ORDERS if owner == "order" else TASKS
    # `parallel-4` is no registered name, but stands for an order.
    cls = type(get_order(spec)) if owner == "order" and name not in registry else registry.get(name)
    return {field.name for field in dataclasses.fields(cls) if field.init and field.metadata.get("spec", True)}
