"""What makes two runs the same run: settings, model, dtype and problems. The name and key of its folder follow from it.

`num_samples` and `limit` say how much of a run is wanted. All other settings say which run it is.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flexeval.errors import InputError, InputTypeError, did_you_mean
from flexeval.hashing import json_hash
from flexeval.models.attention import parse_attention
from flexeval.models.files import local_source, stated_attention
from flexeval.models.names import model_name
from flexeval.models.places import canonical_adapter
from flexeval.orders import get_order
from flexeval.records import Problem, Prompt, RunConfig, SamplingConfig
from flexeval.runs.code import code_hash
from flexeval.runs.files import RESTORE
from flexeval.runs.layout import Names, StoredProblem, check
from flexeval.tasks import Task, get_task, task_spec
from flexeval.tasks.task import prompt_of

EXTENT = ("num_samples", "limit")
"""The settings that may differ between a folder and a request."""
FOLDERS = ("model", "adapter")
"""The settings that may name a folder."""


def canonical_config(config: RunConfig) -> RunConfig:
    """The same run with aliases resolved, a model's folder as an absolute path, an adapter alone as adapter and base,
    and the block length written out.

    Where no block length is given, that is the default, or the model's own where it attends by shorter blocks.

    Raises:
        InputError: an unknown order, task or attention rule, a parameter that is refused, or a setting that could not
            be read again.
    """
    sampling = config.sampling
    model, adapter = canonical_adapter(config.model, config.adapter)
    stated = stated_attention(model)
    asked = parse_attention(config.attention) if config.attention is not None else stated
    block = sampling.block
    if sampling.block_length is None and asked is not None and asked.block is not None:
        block = min(block, asked.block)
    canonical = dataclasses.replace(
        config,
        model=model,
        adapter=adapter,
        # What the model's files say anyway makes no other run.
        attention=None
        if config.attention is None or asked is None or asked.spec == (stated and stated.spec)
        else asked.spec,
        order=get_order(config.order).spec,
        task=task_spec(get_task(config.task)),
        sampling=dataclasses.replace(sampling, block_length=block),
    )
    check(Names, config_to_dict(canonical), where="the configuration", remedy="give another value")
    return canonical


def run_prompt(config: RunConfig, task: Task, problem: Problem) -> Prompt:
    """What the model of a run is given for a problem of the run's task."""
    return dataclasses.replace(prompt_of(task, problem), date=config.prompt_date)


def config_to_dict(config: RunConfig) -> dict[str, Any]:
    """The nested mapping that config.json holds. Whether exact keys and values are kept makes no other run."""
    values = dataclasses.asdict(config)
    if config.sampling.cache == "none":
        values["sampling"]["cache"] = "exact"
    return values


def config_from_dict(data: Mapping[str, Any], *, where: str, remedy: str = RESTORE) -> RunConfig:
    """The inverse of `config_to_dict`; a setting that is left out has its default.

    Args:
        data: the nested mapping.
        where: what messages call it, the path of a config.json.
        remedy: what they advise.

    Raises:
        InputError: an unknown setting, or a value that the setting cannot have.
    """
    if not isinstance(data, Mapping):
        raise InputError(f"{where}: 'config' must be a mapping of settings, not {data!r}; {remedy}")
    _refuse_unknown(data, RunConfig, where)
    sampling = data.get("sampling", {})
    if not isinstance(sampling, Mapping):
        raise InputError(f"{where}: 'sampling' must be a mapping of settings, not {sampling!r}; {remedy}")
    _refuse_unknown(sampling, SamplingConfig, where)
    try:
        return RunConfig(**{**data, "sampling": SamplingConfig(**sampling)})
    except InputTypeError as error:
        raise InputError(f"{where}: a setting has a value of the wrong type ({error}); {remedy}") from None
    except InputError as error:
        raise InputError(f"{where}: {error}; {remedy}") from None


def require_same_run(stored: RunConfig, wanted: RunConfig, *, folder: Path) -> None:
    """Check that a folder's run is the run that is asked for, whatever their extents; both canonical.

    A model folder that is no longer where it was may be the one that is given now: `require_same_model` tells.

    Raises:
        InputError: names the first setting that differs, with both values.
    """
    for setting, theirs, ours in differing_settings(stored, wanted):
        if setting in FOLDERS and _may_have_moved(theirs, ours):
            continue
        raise InputError(
            f"run folder {folder} was made with {setting} {theirs!r}, not {ours!r}; use another --out, or the folder's "
            "setting"
        )


def _may_have_moved(before: str | None, now: str | None) -> bool:
    """Whether nothing is left where a folder was, and another one is given."""
    gone = before is not None and Path(before).is_absolute() and not Path(before).exists()
    return gone and now is not None and Path(now).is_absolute()


def differing_settings(first: RunConfig, second: RunConfig) -> list[tuple[str, Any, Any]]:
    """What makes two runs different ones, whatever their extents: (setting, its value in the first, in the second)."""
    theirs, ours = _identity(first), _identity(second)
    return [(setting, theirs[setting], value) for setting, value in ours.items() if theirs[setting] != value]


def require_same_model(stored: Mapping[str, Any], model: Mapping[str, Any], *, dtype: str, folder: str) -> None:
    """Check that a folder was made by the model that is to continue it, whatever their names.

    Args:
        stored: what the folder records beside its configuration.
        model: the fingerprint of the model, as a run records it.
        dtype: of its weights, by name.
        folder: what messages call it.

    Raises:
        InputError: another model or type, or a folder that does not say which.
    """
    # The type first: in another one, weights have another checksum.
    require_continuable(stored, dtype=dtype, folder=folder)
    theirs = stored["model"]
    for part in ("weights", "network", "vocabulary"):
        if theirs[part] != model[part]:
            raise InputError(
                f"{folder} was made by another model: the {part} had the checksum {theirs[part][:12]} then, "
                f"and {model[part][:12]} now; use another --out, or the model that made it"
            )


def made_by(stored: Mapping[str, Any], config: RunConfig) -> bool:
    """Whether the files of a model and its adapter are on this machine, and are those that a run was made with.

    Args:
        stored: what the run records beside its configuration.
        config: names the model.
    """
    files = (stored.get("model") or {}).get("files")
    source = local_source(config.model, config.adapter) if files else None
    return source is not None and source.files == files


def require_continuable(stored: Mapping[str, Any], *, dtype: str, folder: str) -> None:
    """Check what `require_same_model` can check without the model; "auto" may be any type.

    Raises:
        InputError: another type, or a folder that does not say which model made it.
    """
    if "imported" in stored:
        raise InputError(f"{folder} holds samples of another program, which are not continued; use another --out")
    if stored.get("model") is None:
        raise InputError(
            f"{folder} is of an earlier version, which did not record the weights that made it: it can be "
            "read but not continued; use another --out"
        )
    made_with = stored["environment"]["dtype"]
    if dtype not in ("auto", made_with):
        raise InputError(
            f"{folder} was made with dtype {made_with}, not {dtype}; use another --out, or dtype {made_with}"
        )


CODES = {
    "order_code": ("order", "use another --out, or the code that made it"),
    "task_code": ("task", "use another --out, or first have `flexeval grade` give it verdicts by the code of now"),
}
"""What a record says of code that is not flexeval's -> the setting that names it, and what to do about other code."""


def codes(order: str, task: Task | None) -> dict[str, str]:
    """Of a run's order and task, the hashes of the code that is not flexeval's: of what draws, and of what grades."""
    found = {"order_code": code_hash(type(get_order(order)))}
    if task is not None:
        found["task_code"] = code_hash(type(task))
    return {name: code for name, code in found.items() if code is not None}


def require_same_code(stored: Mapping[str, Any], now: Mapping[str, Any], *, folder: str) -> None:
    """Check that what was made with the code of others goes on with that code.

    Args:
        stored: what a folder records.
        now: `codes`, or a record that has them.
        folder: what messages call it.

    Raises:
        InputError: other code. Folders of earlier versions do not say.
    """
    for name, (setting, remedy) in CODES.items():
        if name in stored and name in now and stored[name] != now[name]:
            raise InputError(f"{folder} was made with other code of its {setting} than there is now; {remedy}")


def require_same_task(config: RunConfig, task: Task, *, folder: Path) -> None:
    """Check that a task is that of a folder's run. Raises InputError for another."""
    if task_spec(task) != config.task:
        raise InputError(f"run folder {folder} is of task {config.task!r}, not {task_spec(task)!r}")


def require_same_problems(
    stored: Sequence[StoredProblem], problems: Sequence[StoredProblem], limit: int | None, *, folder: Path
) -> None:
    """Check that the problems of a run that is to be continued are those that it was made from.

    Args:
        stored: what the folder records.
        problems: of today, as many as `limit` admits.
        limit: of the request.
        folder: what messages call it.

    Raises:
        InputError: a problem that is gone or changed; names the first, and what changed.
    """
    made_from = f"run folder {folder} was made from other data"
    instead = "use another --out, or the data that it was made from"
    if len(problems) < min(len(stored), limit or len(stored)):
        raise InputError(f"{made_from}: {len(stored)} problems then, {len(problems)} now; {instead}")
    for theirs, ours in zip(stored, problems, strict=False):
        for field in dataclasses.fields(StoredProblem):
            if getattr(theirs, field.name) != getattr(ours, field.name):
                name = field.name.replace("_", " ")
                raise InputError(f"{made_from}: problem {theirs.id!r} has another {name} now; {instead}")


def larger_extent(stored: RunConfig, wanted: RunConfig) -> RunConfig:
    """The run whose samples include those of both."""
    limit = None if stored.limit is None or wanted.limit is None else max(stored.limit, wanted.limit)
    return dataclasses.replace(stored, num_samples=max(stored.num_samples, wanted.num_samples), limit=limit)


def default_folder_name(config: RunConfig) -> str:
    """Where a run goes unless the user says otherwise: readable, and unique to the run whatever its extent.

    For example `tiny/word-problems/ar-T0.6-L64-B32-s0-1a2b3c4d`: model, task, order, temperature, generation length,
    block length, seed, and a hash of every setting that is not at its default (so that a setting that a later
    version adds leaves the names of older runs alone).

    Raises:
        InputError: as `canonical_config`.
    """
    config = canonical_config(config)
    # The names of stored runs rest on these defaults, so they stay what they were when model and task get others.
    defaults = _identity(canonical_config(RunConfig(model="tiny", task="word-problems")))
    changed = {setting: value for setting, value in _identity(config).items() if value != defaults[setting]}
    digest = json_hash(changed)[:8]
    sampling = config.sampling
    lengths = f"T{sampling.temperature:g}-L{sampling.gen_length}-B{sampling.block}-s{sampling.seed}"
    model = model_name(re.split(r"[/\\]", config.model.rstrip("/\\"))[-1], config.adapter)
    return f"{_slug(model)}/{_slug(config.task)}/{_slug(config.order)}-{lengths}-{digest}"


def run_key(config: RunConfig, record: Mapping[str, Any]) -> str:
    """A short text that all runs of these settings and this model share, and no other run has; config canonical.

    It is made of them alone, so two runs that should be equal have equal files.
    """
    model = {part: record["model"][part] for part in ("weights", "network", "vocabulary")} if "model" in record else {}
    settings = _identity(config)
    if config.adapter is None:
        # Runs of versions that knew no adapters keep their key.
        del settings["adapter"]
    decides = {**settings, **model, "dtype": record["environment"]["dtype"]}
    return json_hash(decides)[:16]


def _identity(config: RunConfig) -> dict[str, Any]:
    """Setting -> value, flat, in the order of the dataclasses, extents left out."""
    top = {key: value for key, value in config_to_dict(config).items() if key not in (*EXTENT, "sampling")}
    return {**top, **config_to_dict(config)["sampling"]}


def _refuse_unknown(data: Mapping[str, Any], record: type[RunConfig] | type[SamplingConfig], where: str) -> None:
    known = [field.name for field in dataclasses.fields(record)]
    for key in data:
        if key not in known:
            raise did_you_mean(f"setting in {where}", key, known)


def _slug(text: str) -> str:
    """Safe in a path on every system: letters, digits and `._=-`, at most 60 characters."""
    return re.sub(r"[^A-Za-z0-9._=]+", "-", text).strip("-.")[:60] or "unnamed"
