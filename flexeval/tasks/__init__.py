"""name -> problems, prompt, grade; one file per benchmark.

A new task is a new file in this folder, and nothing else: all modules here are imported, and each class with a
`summary` is registered. So these modules may import nothing heavy.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flexeval.errors import InputError
from flexeval.fields import require_path
from flexeval.registry import Registry, build, format_spec, parse_spec
from flexeval.tasks.task import Task, check_task, check_task_class


def _tasks_here() -> Iterator[Any]:
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for thing in vars(importlib.import_module(module.name)).values():
            own = isinstance(thing, type) and f"{thing.__module__}.".startswith(f"{module.name}.")
            if own and isinstance(vars(thing).get("summary"), str):
                yield thing


OURS: tuple[Any, ...] = tuple(_tasks_here())
"""The classes of flexeval's own tasks: `name`, `summary` for listings and, where there are some, `aliases`."""

TASKS: Registry[type[Task]] = Registry("task", entry_point_group="flexeval.tasks", check=check_task_class)
for _task in OURS:
    TASKS.register(_task.name, _task, aliases=getattr(_task, "aliases", ()), summary=_task.summary)


def get_task(spec: str, *, data_dir: str | Path | None = None) -> Task:
    """The task that `name` or `name:param=value,...` stands for.

    Args:
        spec: name or alias, with parameters.
        data_dir: where local benchmark files lie; tasks that generate their problems ignore it.

    Raises:
        InputError: unknown name or parameter, a value of the wrong type, or a task that cannot be used.
    """
    name, params = parse_spec(spec)
    name = TASKS.canonical(name)
    task = build(TASKS.get(name), params, owner=f"task {name!r}")
    if data_dir is not None and any(f.name == "data_dir" for f in dataclasses.fields(task)):  # type: ignore[arg-type]
        task = dataclasses.replace(task, data_dir=require_path(data_dir, what="data_dir"))  # type: ignore[type-var]
    return check_task(task)


def task_spec(task: Task) -> str:
    """The canonical `name:param=value,...` of a task."""
    return format_spec(task.name, task)


def with_template(spec: str, template: str | Path) -> str:
    """The spec of the same task with another wording around its questions.

    Args:
        spec: `name` or `name:param=value,...`, without the parameter `template`.
        template: a template of the task, or the path of a YAML file.

    Raises:
        InputError: an unknown task, one that has no templates, a spec that names a template already, or a path that
            a spec cannot hold.
    """
    name, params = parse_spec(spec)
    name, template = TASKS.canonical(name), str(template)
    if not any(f.name == "template" for f in dataclasses.fields(TASKS.get(name))):  # type: ignore[arg-type]
        raise InputError(f"task {name!r} has one prompt only; leave out --prompt")
    if "template" in params:
        raise InputError(f"task {spec!r} names a template, and --prompt another one; keep one of them")
    if "," in template or not template or template != template.strip():
        raise InputError(f"--prompt {template!r} can have no comma and no blanks around it; give the file another name")
    return f"{name}:" + ",".join(f"{key}={value}" for key, value in {**params, "template": template}.items())


__all__ = ["TASKS", "Task", "get_task", "task_spec", "with_template"]
