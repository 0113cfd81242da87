"""Which of many runs belong into one panel: those that differ in nothing but what the panel compares.

Seeds are pooled. If several groups of runs could be shown, a group at the paper's settings comes first (T = 0.6 and
block 32, or the whole canvas, or the block of the model, where that is shorter), however few runs it has; then the
group with the most usable runs is shown. The foot of the figure says what is not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Any

import pandas as pd

from flexeval.errors import InputError
from flexeval.models.lineage import Lineage
from flexeval.orders import get_order
from flexeval.runs.store import (
    EXTENT,
    Run,
    RunSet,
    ar_standing,
    at_paper_settings,
    fewest_samples,
    on_same_problems,
    on_their_own,
    pooled,
)
from flexeval.stats.pass_at_k import default_ks

PAIR = ("ar", "confidence")
"""The paper's AR order and arbitrary order."""


ORDERS, MODELS = "order", "model"
"""The settings whose values a figure can compare, as columns of its data."""


class Unavailable(InputError):
    """These runs lack what a figure needs; the line says which runs to make."""


def largest_groups(
    runs: RunSet,
    *,
    free: Collection[str],
    usable: Callable[[RunSet], RunSet],
    missing: str,
    per: Collection[str] = ("model", "task"),
    same_problems: bool = True,
) -> list[RunSet]:
    """For each model and task, the runs to compare: one group that agrees on every setting but the free ones.

    With one group for each model, checkpoints of a training are left out if the model before it has runs.

    Args:
        runs: all there are.
        free: the settings that may differ within a group.
        usable: which runs of a group the figure would show; none when they do not suffice.
        missing: what to say when no group suffices: which runs the figure needs.
        per: one group for each combination of these.
        same_problems: cut each group to the problems that all of its runs have, as curves in one panel must be. False
            where the figure takes the runs pair by pair.

    Returns:
        What `usable` made of each chosen group, in the order in which models and tasks appear; its `left_out` says what
        else could have been shown. A group at the paper's settings (those that are not free) is chosen first, then the
        one with the most usable runs, then the one with the most runs, then the first.

    Raises:
        Unavailable: nothing suffices for any model and task.
        InputError: runs of a group are on different problems.
    """
    stand = on_their_own(runs) if "model" in per else runs
    chosen = []
    for own in stand.by(per):
        groups = [(shown, group) for group in comparable(own, free=free) if (shown := usable(group))]
        if not groups:
            continue
        best, around = max(groups, key=lambda one: (at_paper_settings(one[0], free=free), *map(len, one)))
        others = [shown for shown, _ in groups if shown is not best]
        cut = on_same_problems(best) if same_problems else best
        left_out = (*around.left_out, *best.left_out, *_not_shown(others, beside=best, free=free))
        chosen.append(RunSet(tuple(cut), tuple(dict.fromkeys(left_out))))
    if not chosen:
        raise Unavailable(missing)
    return chosen


def framed(groups: Iterable[RunSet], rows_of: Callable[[RunSet], Iterable[pd.DataFrame]]) -> pd.DataFrame:
    """The rows of all groups under each other, with a column `left_out`: what each group leaves out, in words.

    Empty where no group has any.
    """
    frames = [rows.assign(left_out="; ".join(group.left_out)) for group in groups for rows in rows_of(group)]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def comparable(runs: RunSet, *, free: Collection[str]) -> list[RunSet]:
    """The groups of runs that agree on every setting but the free ones, each in the order given.

    A run in AR order is also in the groups that agree with it on all but the block length, which changes nothing for
    it, unless they have a run in AR order of their own; the first by `ar_standing`. Runs that differ only in their
    seed are pooled; each group's `left_out` says what `pooled` left out.
    """
    runs = pooled(runs)
    settings = runs.settings()
    fixed = [name for name in settings.columns if name not in {*free, *EXTENT}]
    key_R, freedom_R = _keys(settings, fixed), _keys(settings, sorted(free))
    loose_R = _keys(settings, [name for name in fixed if name != "block_length"])
    ar = [index for index, run in enumerate(runs) if run.config.order == "ar" and not run.config.sampling.approximate]
    ar.sort(key=lambda index: ar_standing(runs[index]))
    groups = []
    for key in dict.fromkeys(key_R):
        members = [index for index, own in enumerate(key_R) if own == key]
        taken = {freedom_R[index] for index in members if index in ar}
        for index in ar:
            if loose_R[index] == loose_R[members[0]] and freedom_R[index] not in taken:
                members.append(index)
                taken.add(freedom_R[index])
        groups.append(RunSet(tuple(runs[index] for index in sorted(members)), runs.left_out))
    return groups


def of_pair(runs: RunSet, compare: str = ORDERS) -> RunSet:
    """The run in AR order and that in arbitrary order, or those of the first two models; none without both."""
    if compare == ORDERS:
        return of_order(runs, *PAIR)
    models = against_first(runs, compare)
    return RunSet(tuple(models[:2]), tuple(f"model {run.model}" for run in models[2:]))


def of_order(runs: RunSet, *orders: str) -> RunSet:
    """The runs of these orders, in this order; none when one of the orders has none."""
    found = [runs.where(order=order) for order in orders]
    return RunSet(tuple(run for of_one in found for run in of_one) if all(found) else ())


def against_first(runs: RunSet, compare: str = ORDERS) -> RunSet:
    """The run in AR order, then those of the other orders that set no pace of their own; or the run of the first model,
    untrained ones before checkpoints, then those of the others. None without both.
    """
    if compare == MODELS:
        models = sorted(runs, key=lambda run: run.lineage is not None)
        return RunSet(tuple(models)) if len(models) > 1 else RunSet(())
    fixed = at_fixed_pace(runs)
    others = tuple(run for run in fixed if run.config.order != "ar")
    return RunSet((*fixed.where(order="ar"), *others)) if 0 < len(others) < len(fixed) else RunSet(())


def compared(run: Run, compare: str) -> str:
    """What a run is called among those that it is compared with."""
    return run.config.order if compare == ORDERS else run.model


def order_of(run: Run) -> str:
    """The order of a run."""
    return run.config.order


def before_and_after(runs: RunSet, by: Callable[[Run], Hashable] = order_of) -> list[RunSet]:
    """For each recipe of a training and each order: the runs before it, then those of the last checkpoints.

    The trainings of one recipe differ in their seed and have drawn equally many rollouts, those of the last checkpoint
    that all of them have; a training whose recipe was not recorded stands by itself. Seeds ascend, and the orders of a
    recipe follow each other.

    Args:
        runs: of models and of checkpoints; unfinished ones are left out.
        by: what is one order; there may be several runs of it.
    """
    of_model: dict[tuple[str, Hashable], list[Run]] = {}
    for run in runs:
        if run.complete:
            of_model.setdefault((run.model, by(run)), []).append(run)
    found: dict[tuple[object, ...], list[Run]] = {}
    for (base, order), before in of_model.items():
        of_recipe: dict[Hashable, dict[Lineage, dict[int, list[Run]]]] = {}
        for (_, own_order), own in of_model.items():
            lineage = own[0].lineage
            if lineage and lineage.base == base and own_order == order and not before[0].lineage:
                training = lineage.of_training
                recipe: Hashable = training.recipe if training.recipe and training.seed is not None else training
                of_recipe.setdefault(recipe, {}).setdefault(training, {})[lineage.samples] = own
        for of_one, trainings in of_recipe.items():
            common = set.intersection(*map(set, trainings.values()))
            for training, by_rollouts in sorted(trainings.items(), key=lambda one: (one[0].seed or 0, one[0].training)):
                # One that stopped elsewhere is no replicate of the others.
                key = base, of_one if common else training, order
                found.setdefault(key, [*before]).extend(by_rollouts[max(common or by_rollouts)])
    recipes = list(dict.fromkeys(key[:2] for key in found))
    return [RunSet(tuple(found[key])) for key in sorted(found, key=lambda key: recipes.index(key[:2]))]


def recipe_of(family: RunSet) -> str:
    """The names of the trainings in one of `before_and_after`."""
    return ", ".join(dict.fromkeys(run.lineage.training for run in family if run.lineage))


def stages(family: RunSet) -> dict[str, str]:
    """What each model in one of `before_and_after` is called beside the others."""
    trained = {run.model: run.lineage for run in family if run.lineage}
    seeds = [f"after, seed {lineage.seed}" for lineage in trained.values()]
    names = [lineage.training for lineage in trained.values()]
    labels = ["after training"] if len(trained) == 1 else seeds if len(set(seeds)) == len(seeds) else names
    return {family[0].model: "before training", **dict(zip(trained, labels, strict=True))}


def at_fixed_pace(runs: RunSet) -> RunSet:
    """The runs whose order does not decide how many positions a step commits."""
    return RunSet(tuple(run for run in runs if not get_order(run.config.order).own_pace))


def at_least(runs: RunSet, number: int) -> RunSet:
    """The runs, or none when there are fewer."""
    return runs if len(runs) >= number else RunSet(())


def common_ks(runs: RunSet) -> list[int]:
    """The powers of two that every problem of every run has samples for, and the largest such number."""
    return default_ks(fewest_samples(*runs))


def token_rows(run: Run, *columns: str) -> Iterable[pd.DataFrame]:
    """The run's token rows with these columns and their problem, in parts."""
    return run.token_parts(["problem_id", *columns])


_CALLED = {"temperature": "T", "block_length": "block", "gen_length": "length"}


def _not_shown(others: Sequence[RunSet], *, beside: RunSet, free: Collection[str]) -> list[str]:
    """How the groups that are not shown differ from the one that is: one text for each setting.

    As in `at_paper_settings`, the block length of runs in AR order counts only where there are no others.
    """
    if not others:
        return []
    names = [name for name in beside.settings().columns if name not in {*free, *EXTENT, "order", "model", "task"}]
    shown, *rest = (_of_group(group, names) for group in (beside, *others))
    texts = []
    for name in names:
        values = {repr(values[name]): values[name] for values in rest if values[name] != shown[name]}
        if values:
            listed = sorted(values.values(), key=lambda value: (isinstance(value, str), value is None, value))
            texts.append(f"{_CALLED.get(name, name)} = {', '.join(map(_number, listed))}")
    return texts


def _of_group(group: RunSet, names: Sequence[str]) -> dict[str, Any]:
    own = RunSet(tuple(run for run in group if run.config.order != "ar") or tuple(group))
    return dict(own.settings()[names].iloc[0])


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _keys(settings: pd.DataFrame, names: Iterable[str]) -> list[Hashable]:
    return [tuple(map(repr, row)) for row in settings[list(names)].itertuples(index=False)]
