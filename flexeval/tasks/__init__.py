"""name -> problems, prompt, grade; one file per benchmark."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from flexeval.errors import InputError
from flexeval.registry import Registry, build, format_spec, parse_spec
from flexeval.tasks.task import Task, check_task, check_task_class

TASKS: Registry[type[Task]] = Registry("task", entry_point_group="flexeval.tasks", check=check_task_class)
TASKS.register(
    "word-problems",
    "flexeval.tasks.word_problems:WordProblems",
    aliases=("word_problems",),
    summary="generated grade-school word problems, the bundled model's task",
)
TASKS.register(
    "sudoku4",
    "flexeval.tasks.sudoku4:Sudoku4",
    aliases=("sudoku",),
    summary="generated 4x4 Sudoku, the bundled model's other task",
)
TASKS.register(
    "gsm8k",
    "flexeval.tasks.gsm8k:GSM8K",
    summary="GSM8K: grade-school mathematics, numeric answer",
)
TASKS.register(
    "math500",
    "flexeval.tasks.math500:Math500",
    aliases=("math-500", "math_500"),
    summary="MATH-500: competition mathematics, answer in LaTeX",
)
TASKS.register(
    "humaneval",
    "flexeval.tasks.humaneval:HumanEval",
    summary="HumanEval: Python functions from signature and docstring, graded in a sandbox",
)
TASKS.register(
    "mbpp",
    "flexeval.tasks.mbpp:MBPP",
    summary="MBPP: Python functions from a description and tests, graded in a sandbox",
)
TASKS.register(
    "countdown",
    "flexeval.tasks.countdown:Countdown",
    summary="generated: reach a number with three others and + - * /",
)


def get_task(spec: str, *, data_dir: Path | None = None) -> Task:
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
        task = dataclasses.replace(task, data_dir=data_dir)  # type: ignore[type-var]
    return check_task(task)


def task_spec(task: Task) -> str:
    """The canonical `name:param=value,...` of a task."""
    return format_spec(task.name, task)


def with_template(spec: str, template: str) -> str:
    """The spec of the same task with another wording around its questions.

    Args:
        spec: `name` or `name:param=value,...`, without the parameter `template`.
        template: a template of the task, or the path of a YAML file.

    Raises:
        InputError: an unknown task, one that has no templates, a spec that names a template already, or a path that
            a spec cannot hold.
    """
    name, params = parse_spec(spec)
    name = TASKS.canonical(name)
    if not any(f.name == "template" for f in dataclasses.fields(TASKS.get(name))):  # type: ignore[arg-type]
        raise InputError(f"task {name!r} has one prompt only; leave out --prompt")
    if "template" in params:
        raise InputError(f"task {spec!r} names a template, and --prompt another one; keep one of them")
    if "," in template or not template or template != template.strip():
        raise InputError(f"--prompt {template!r} can have no comma and no blanks around it; give the file another name")
    return f"{name}:" + ",".join(f"{key}={value}" for key, value in {**params, "template": template}.items())


__all__ = ["TASKS", "Task", "get_task", "task_spec", "with_template"]
