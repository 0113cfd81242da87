"""Which problems a training sees: the training split of its task, so many at each step."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from flexeval.errors import InputError, PluginError, did_you_mean
from flexeval.grpo.config import GRPOConfig
from flexeval.models.places import canonical_adapter, check_name
from flexeval.records import Problem
from flexeval.registry import parse_spec
from flexeval.tasks import TASKS, Task, task_spec
from flexeval.tasks.data import is_on_hub
from flexeval.tasks.task import problems_of, prompt_of, verdicts_of


def canonical_training(config: GRPOConfig, task: Any) -> tuple[GRPOConfig, Task]:
    """The same training with aliases resolved and a model folder as its absolute path, so that equal ones compare
    equal; and the task in its training split.

    Args:
        config: the settings.
        task: that `config.task` stands for.

    Raises:
        InputError: a task without training problems or without the verdict that is rewarded, an order that cannot be
            trained, lengths that exclude each other.
    """
    task = training_task(task, config.task)
    model, adapter = canonical_adapter(config.model, config.adapter)
    config = dataclasses.replace(
        config, model=model, adapter=adapter, task=task_spec(task), rollout_order=config.order.spec
    )
    config.sampling(task)
    if config.reward not in (known := verdicts_of(task)):
        raise did_you_mean(f"verdict of task {task.name!r}", config.reward, known)
    return config, task


def problems_to_train(config: GRPOConfig, task: Task) -> list[Problem]:
    """The problems of a training; `task` in its training split.

    Raises:
        InputError: data that cannot be read, or fewer problems than a step needs.
    """
    problems = list(problems_of(task)[: config.limit])
    if config.problems_per_step > len(problems):
        raise InputError(
            f"a step takes {config.problems_per_step} problems, but there are {len(problems)}; "
            "use fewer problems_per_step, or more problems"
        )
    return problems


def problems_seen(problems: Sequence[Problem], config: GRPOConfig) -> list[Problem]:
    """The problems that a training may come to: all of them where it goes through the list more than once."""
    steps = range(config.steps)
    if len(steps) > len(problems) // config.problems_per_step:
        return list(problems)
    return [
        problem
        for step in steps
        for problem in step_problems(problems, step=step, count=config.problems_per_step, seed=config.seed)
    ]


def check_ahead(config: GRPOConfig, task: Task, *, fetch: bool = True) -> None:
    """Check a training, as far as it can be told without the weights of its model.

    Args:
        config: canonical.
        task: of `config.task`, in its training split.
        fetch: look also at data that would have to be fetched from the hub.

    Raises:
        InputError: a model that is not there; as `problems_to_train`; settings or prompts that the model cannot have.
    """
    # Only now: they import torch.
    from flexeval.models.outline import outline
    from flexeval.models.predictor import check_fits
    from flexeval.sampling.sampler import fitting_settings

    check_name(config.model, config.adapter)
    if not fetch and is_on_hub(task):
        return
    problems = problems_to_train(config, task)
    model = outline(config.model, adapter=config.adapter)
    if model is None:
        return
    sampling = config.sampling(task)
    fitting_settings(
        config.order,
        sampling,
        name=model.name,
        attention=model.attention,
        takes_twins=model.takes_twins,
        goes_on=True,
    )
    if (codec := model.codec) is None:
        return
    for problem in problems_seen(problems, config):
        check_fits(model, len(codec.encode(prompt_of(task, problem))), sampling.gen_length, of=problem.id)


def training_task(task: Any, spec: str) -> Task:
    """The same task with the problems of its training split.

    Args:
        task: that `spec` stands for.
        spec: what the user wrote.

    Raises:
        InputError: the task has no training problems, or the user asked for others.
    """
    if not _has_splits(type(task)):
        others = ", ".join(name for name in TASKS if _usable_with_splits(name))
        raise InputError(f"task {task.name!r} has no training problems; these have some: {others}")
    split = parse_spec(spec)[1].get("split", "train")
    if split != "train":
        raise InputError(f"training on the {split} split of {task.name!r} would spoil it; leave out split={split}")
    trained: Task = dataclasses.replace(task, split="train")
    return trained


def _usable_with_splits(name: str) -> bool:
    """Whether a registered task has splits; a plug-in that cannot be used has none."""
    try:
        return _has_splits(TASKS.get(name))
    except PluginError:
        return False


def _has_splits(task_class: Any) -> bool:
    return any(field.name == "split" for field in dataclasses.fields(task_class))


def step_problems(problems: Sequence[Problem], *, step: int, count: int, seed: int) -> list[Problem]:
    """The problems of one step: `count` in a row of a shuffled list that is shuffled anew each time through.

    A function of its arguments alone, so that a run that continues needs no record of what it has seen. A problem
    is never twice in the same step as long as `count` is not above the number of problems.
    """
    if count > len(problems):
        raise ValueError(f"a step of {count} problems needs at least so many, not {len(problems)}")
    per_epoch = len(problems) // count
    epoch, place = divmod(step, per_epoch)
    order = np.random.default_rng([seed, epoch]).permutation(len(problems))
    return [problems[index] for index in order[place * count : (place + 1) * count]]
