"""Whether a run was made in the setting that a published number was measured in: every setting that can change it.

A setting that the source neither states nor implies is an empty cell in its file and agrees with no run. A setting
without a column (top-p, guidance, suppressed tokens, ...) has its default value.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from flexeval.errors import InputError
from flexeval.models.names import MODELS
from flexeval.records import CORRECT, RunConfig, SamplingConfig
from flexeval.registry import parse_spec
from flexeval.runs.store import Run
from flexeval.tasks import TASKS, get_task
from flexeval.tasks.prompts import PromptTemplate
from flexeval.tasks.task import HasTemplate

IRRELEVANT = frozenset({"seed", "stop_at_eos", "batch_invariant", "num_samples", "limit", "prompt_date"})
"""Settings that change a number only by chance or rounding. `prompt_date` is among them because no model with published
numbers has a chat template that asks for the date; the number of problems is compared instead of `limit`."""
_ALWAYS_STATED = frozenset({"gen_length", "block_length", "tokens_per_step", "temperature"})
"""Settings whose default says nothing about a paper's."""
_NOT_STATED = "not stated"


def differing(run: Run, published: Mapping[str, Any], *, free: Collection[str] = ()) -> list[str]:
    """The settings in which a run differs from those of a published number, in words; empty where they may be compared.

    Args:
        run: as it is shown: cut to the problems that its number is of.
        published: a row of a file of published numbers: settings by name, `model` as in `flexeval ls models`,
            `benchmark` the task without its wording, `prompt` the name of one of the task's templates, `problems` their
            number. Other columns are passed over.
        free: settings that need not agree.

    Returns:
        As "gen_length 128 (published 256)", in the order of the settings.
    """
    ours, theirs = _settings(run), {**_plain(), **_known(published)}
    found = []
    for name, value in ours.items():
        if name in free or _without_effect(name, run):
            continue
        wanted = theirs.get(name)
        if not _agrees(name, run, value, wanted):
            said = _NOT_STATED if wanted is None else _written(wanted)
            found.append(f"{name} {_written(value)} (published {said})")
    return found


def is_model(run: Run, name: str) -> bool:
    """Whether the run is of a model of `MODELS`: by that name, hub id, or a path whose last part is that of the id.

    A checkpoint that flexeval trained never is, nor a model with an adapter. `owner/name` is a hub id, and another
    owner's is another model.
    """
    asked, repo = run.config.model.rstrip("/\\").lower(), (MODELS.get(name).repo or name).lower()
    changed = run.lineage is not None or run.config.adapter is not None
    if changed or asked in (name, repo):
        return not changed
    is_hub_id = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", asked) is not None
    *_, folder = parts = re.split(r"[/\\]", asked)
    in_hub_cache = f"models--{repo.replace('/', '--')}" in parts
    return not is_hub_id and (folder == repo.rpartition("/")[2] or in_hub_cache)


def benchmark(run: Run) -> str:
    """The run's task without its wording: the bare name for the benchmark as published, else with what was changed."""
    name, params = parse_spec(run.config.task)
    changed = ",".join(f"{key}={value}" for key, value in params.items() if key != "template")
    return f"{name}:{changed}" if changed else name


# ----- the settings of both sides -----


def _settings(run: Run) -> dict[str, Any]:
    """Every setting of a run that can change its numbers. A setting that is added to the records is among them."""
    config, sampling = run.config, run.config.sampling
    _, params = parse_spec(config.task)
    named = {"model": run.model, "benchmark": benchmark(run), "problems": len(run.problems)}
    named |= {"counted": run.counted, "prompt": params.get("template", "default"), "order": config.order}
    others = {field.name: getattr(config, field.name) for field in dataclasses.fields(RunConfig)}
    others |= {field.name: getattr(sampling, field.name) for field in dataclasses.fields(SamplingConfig)}
    others |= {"block_length": sampling.block, "tokens_per_step": sampling.per_step}
    # Of these, others say the same (an adapter makes another model); and no checkpoint with published numbers leaves
    # its attention to be said.
    passed_over = {"task", "sampling", "steps", "steps_per_block", "attention", "adapter", *IRRELEVANT}
    return {**named, **{name: value for name, value in others.items() if name not in {*named, *passed_over}}}


def _plain() -> dict[str, Any]:
    """The defaults of what a source need not mention where it did nothing out of the ordinary."""
    named = {"model", "task", "order", "sampling", *_ALWAYS_STATED}
    fields = (*dataclasses.fields(RunConfig), *dataclasses.fields(SamplingConfig))
    return {"counted": CORRECT, **{field.name: field.default for field in fields if field.name not in named}}


def _known(published: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if pd.isna(value) else value for name, value in published.items()}


# ----- comparing them -----


def _without_effect(name: str, run: Run) -> bool:
    """The leftmost mask is the same whatever the block, and so is what predicts it, but for an approximate cache."""
    return name == "block_length" and run.config.order == "ar" and not run.config.sampling.approximate


def _agrees(name: str, run: Run, ours: Any, theirs: Any) -> bool:
    if theirs is None:
        return False
    if name == "model":
        return is_model(run, str(theirs))
    if name == "prompt":
        return _same_wording(run, str(theirs))
    return bool(ours == theirs)


def _same_wording(run: Run, template: str) -> bool:
    """Whether the run's prompts were worded as a template of its task, whatever it called it."""
    name, _ = parse_spec(run.config.task)
    templates: Mapping[str, PromptTemplate] = getattr(TASKS.get(name), "templates", {}) if name in TASKS else {}
    return template in templates and _wording(run) == dataclasses.asdict(templates[template])


def _wording(run: Run) -> Mapping[str, str] | None:
    """What the run recorded, or else what its task names; None where that cannot be read any more."""
    recorded: Mapping[str, str] | None = run.record.get("prompt_template")
    if recorded is not None:
        return recorded
    try:
        task = get_task(run.config.task)
        return dataclasses.asdict(task.prompt_template) if isinstance(task, HasTemplate) else None
    except InputError:
        return None


def _written(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
