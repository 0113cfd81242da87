"""Which runs a claim is examined on: plain runs of one model and task, at the settings of the paper.

Plain: one token a step, no top-p, no top-k, no guidance, no approximate cache. The paper's settings: T = 0.6, and
semi-autoregressive blocks of 32, or of the whole canvas, or of the model, where these are shorter. Claims are examined
at T = 0.6, and also at T = 1, the model's own distribution, where AR order is compared with another one there. Seeds
are pooled. Of runs that differ in any other setting (the length of the canvas, the attention rule, the date of the
prompt, ...), those that agree stand together, as in figures: a set with runs at the paper's settings is taken first,
then one in which AR order has another one beside it, then the one with the most runs, then the first. Of AR order there
is one run at each temperature: the first by `ar_standing`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flexeval.errors import InputError
from flexeval.models.lineage import Lineage
from flexeval.records import PACE, SamplingConfig
from flexeval.registry import parse_spec
from flexeval.runs.store import (
    EXTENT,
    TEMPERATURE,
    Run,
    RunSet,
    ar_standing,
    at_paper_settings,
    fewest_samples,
    on_their_own,
    paper_block,
    pooled,
)

CONSTRAINT_TASKS = ("sudoku4",)
"""Tasks whose parts constrain each other, where the literature expects order freedom to help; all others are reasoning
tasks."""
OWN_TEMPERATURE = 1.0
"""At which tokens are drawn from the model's own distribution."""
LEAST_K = 8
"""The fewest samples at which "the largest k" is looked at."""

_FREE = (
    "gen_length", "block_length", "temperature", "seed", "stop_at_eos", "batch_invariant", *PACE
)  # fmt: skip
_PLAIN = {field.name: field.default for field in dataclasses.fields(SamplingConfig) if field.name not in _FREE}

_WITHIN = {"model", "adapter", "order", "block_length", "temperature", *EXTENT}
"""The settings in which the runs of a group, and of its checkpoints, may differ; the model's name says its adapter."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Plain runs of one model and task that differ in order, block length, temperature and extent only; in AR order
    there is one at each temperature.
    """

    model: str
    task: str
    runs: RunSet
    """At all temperatures."""
    temperature: float = TEMPERATURE
    """At which claims are examined, unless they are about several."""
    trained: tuple[Checkpoint, ...] = ()
    """The checkpoints of its trainings, at the same settings."""

    training: str = ""
    """The one in AR order that claims are about, where `by_training` chose it."""
    left_out: str = ""
    """One line on the runs of the model and task that are not among these; empty if there are none."""

    @property
    def counted(self) -> str:
        """The verdict that counts in these runs."""
        return self.runs[0].counted

    @property
    def block(self) -> int:
        """The paper's block length on these canvases."""
        return paper_block(self.runs[0])

    def find(self, order: str, *, block: int | None = None) -> Run:
        """The run of an order; AR order at any block length, since it changes nothing there.

        Args:
            order: canonical spec.
            block: block length; None for the paper's.

        Raises:
            InputError: there is none, or it is not complete.
        """
        block = self.block if block is None else block
        run = self.lookup(order, block=block)
        if run is None:
            at_block = "" if order == "ar" else f", block {block}"
            raise InputError(f"needs a run of {order} at T = {self.temperature:g}{at_block}")
        return run

    def lookup(self, order: str, *, block: int | None = None) -> Run | None:
        """As `find`, None where there is no run. Raises InputError for one that is not complete."""
        block = self.block if block is None else block
        for run in self.runs.where(order=order, temperature=self.temperature):
            if order == "ar" or run.config.sampling.block == block:
                return _complete(run)
        return None

    def by_block(self, order: str) -> dict[int, Run]:
        """Block length -> run at this temperature, ascending. At block 1 `confidence` is AR order: where the
        run is missing, that of `ar` stands for it.
        """
        found = {
            run.config.sampling.block: _complete(run)
            for run in self.runs.where(order=order, temperature=self.temperature)
        }
        if order == "confidence" and 1 not in found:
            stand_in = self.runs.where(order="ar", temperature=self.temperature)
            found |= {1: _complete(stand_in[0])} if len(stand_in) else {}
        return dict(sorted(found.items()))

    def by_training(self) -> list[Group]:
        """The group once for each exact training with rollouts in AR order; as it is where there is none.

        Each has the checkpoints of that training, and those of trainings that differ in nothing but how rollouts are
        ordered and scored: of equal seeds, which see the same problems.
        """
        trainings = dict.fromkeys(one.lineage.of_training for one in self.trained)
        found = []
        for training in (one for one in trainings if one.exact_ar):
            beside = {one for one in trainings if training.differs_in_rollouts(one)}
            own = tuple(one for one in self.trained if one.lineage.of_training in {training, *beside})
            found.append(dataclasses.replace(self, trained=own, training=training.training))
        return found or [self]

    def by_temperature(self, order: str) -> dict[float, Run]:
        """Temperature -> run at the paper's block length, ascending, without the greedy one."""
        found = {
            run.config.sampling.temperature: _complete(run)
            for run in self.runs.where(order=order, block_length=self.block)
            if run.config.sampling.temperature > 0
        }
        return dict(sorted(found.items()))


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Group):
    """Runs of a trained model."""

    lineage: Lineage


def groups(runs: RunSet) -> list[Group]:
    """For each model, task and verdict that counts, in the order in which they appear: the largest set of comparable
    plain runs.

    A trained model whose base is there, too, belongs to the group of its base; without it, it has a group of its own.
    """
    plain = RunSet(tuple(run for run in runs if _is_plain(run.config.sampling)))
    trained = pooled(RunSet(tuple(run for run in plain if run.lineage)))
    found = []
    for listed in on_their_own(plain).by(("model", "task", "counted")):
        model, task, counted = listed[0].model, listed[0].config.task, listed[0].counted
        own = pooled(listed)
        sets = [(fixed, *_one_ar(alike)) for fixed, alike in _agreeing(own)]
        fixed, best, unused = max(sets, key=lambda each: _standing(each[1]))
        checkpoints = (run for run in trained if run.lineage and run.lineage.base == model and run.config.task == task)
        beside = [each for each in _agreeing(RunSet(tuple(checkpoints))) if each[0]["counted"] == counted]
        left_out = [
            *own.left_out,
            *(f"a run of ar at block {run.config.sampling.block}, T = {_temperature(run):g}" for run in unused),
            *(_apart(others, settings, fixed) for settings, others, _ in sets if settings != fixed),
            *(f"of checkpoints, {_apart(others, settings, fixed)}" for settings, others in beside if settings != fixed),
        ]
        same = [run for run in runs if (run.model, run.config.task, run.counted) == (model, task, counted)]
        if rest := len(same) - len(listed):
            left_out.append(f"{_runs(rest)} with several tokens a step, a cut distribution, or guidance")
        found += [
            Group(
                model=model,
                task=task,
                runs=RunSet(tuple(best)),
                temperature=temperature,
                trained=_checkpoints(
                    [run for settings, alike in beside if settings == fixed for run in alike], temperature=temperature
                ),
                left_out=f"Left out, {model}, {task}: {'; '.join(left_out)}." if left_out else "",
            )
            for temperature in _temperatures(best)
        ]
    return found


def _runs(number: int) -> str:
    return f"{number} run{'s' if number > 1 else ''}"


def _agreeing(runs: RunSet) -> list[tuple[dict[str, Any], RunSet]]:
    """The sets of runs that agree on every setting but those of `_WITHIN`, each with these settings."""
    fixed = [name for name in runs.settings().columns if name not in _WITHIN]
    return [(dict(alike.settings()[fixed].iloc[0]), alike) for alike in runs.by(fixed)]


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _apart(runs: Sequence[Run], settings: Mapping[str, Any], taken: Mapping[str, Any]) -> str:
    """Runs that agree among themselves, and how they differ from those that are taken."""
    differing = (name for name in settings if settings[name] != taken[name])
    called = (f"{'length' if name == 'gen_length' else name} = {_shown(settings[name])}" for name in differing)
    return f"{_runs(len(runs))} with {', '.join(called)}"


def _one_ar(runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """The runs with one in AR order at each temperature, and the others in AR order."""
    by_temperature: dict[float, list[Run]] = {}
    for run in runs:
        if run.config.order == "ar":
            by_temperature.setdefault(_temperature(run), []).append(run)
    unused = [run for own in by_temperature.values() for run in sorted(own, key=ar_standing)[1:]]
    return [run for run in runs if not any(run is one for one in unused)], unused


def _temperature(run: Run) -> float:
    return run.config.sampling.temperature


def _standing(runs: Sequence[Run]) -> tuple[bool, bool, int]:
    """By which of several sets of runs that agree one is taken; the largest."""
    number = len([run for run in runs if run.config.order != "ar"])
    return at_paper_settings(runs), 0 < number < len(runs), len(runs)


def _temperatures(runs: list[Run]) -> list[float]:
    """At which claims are examined: the paper's, and the model's own where AR order has another one beside it."""
    orders = {
        at: {run.config.order for run in runs if run.config.sampling.temperature == at}
        for at in (TEMPERATURE, OWN_TEMPERATURE)
    }
    own = [OWN_TEMPERATURE] if "ar" in orders[OWN_TEMPERATURE] and len(orders[OWN_TEMPERATURE]) > 1 else []
    return [TEMPERATURE, *own] if orders[TEMPERATURE] or not own else own


def _checkpoints(runs: list[Run], *, temperature: float) -> tuple[Checkpoint, ...]:
    by_lineage: dict[Lineage, list[Run]] = {}
    for run in runs:
        if run.lineage:
            by_lineage.setdefault(run.lineage, []).append(run)
    return tuple(
        Checkpoint(
            model=lineage.label,
            task=own[0].config.task,
            runs=RunSet(tuple(_one_ar(own)[0])),
            temperature=temperature,
            lineage=lineage,
        )
        for lineage, own in by_lineage.items()
    )


def is_constraint_task(task: str) -> bool:
    """Whether a task spec is of `CONSTRAINT_TASKS`."""
    return parse_spec(task)[0] in CONSTRAINT_TASKS


def largest_k(*runs: Run) -> int:
    """The fewest samples of a problem in any of the runs. Raises InputError when it is below `LEAST_K`."""
    k = fewest_samples(*runs)
    if k < LEAST_K:
        raise InputError(f"needs runs with at least {LEAST_K} samples of each problem, not {k}")
    return k


def _is_plain(sampling: SamplingConfig) -> bool:
    return sampling.per_step == 1 and all(getattr(sampling, name) == value for name, value in _PLAIN.items())


def _complete(run: Run) -> Run:
    if not run.complete:
        raise InputError(f"needs the rest of the run in {run.folder}")
    return run
