"""Which of many runs belong into one panel: those that differ in nothing but what the panel compares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable

import pandas as pd

from flexeval.figures.figure import Unavailable
from flexeval.orders import get_order
from flexeval.runs.store import Run, RunSet, on_same_problems, on_their_own
from flexeval.stats import default_ks

_EXTENT = {"num_samples", "problems"}
"""How much of a run there is decides nothing about what it is."""


def largest_groups(
    runs: RunSet,
    *,
    free: Collection[str],
    usable: Callable[[RunSet], RunSet],
    missing: str,
    per: Collection[str] = ("model", "task"),
    same_problems: bool = True,
) -> list[RunSet]:
    """For each model and task, the runs to compare: the largest group that agrees on every setting but the free ones.

    Where models stand apart from each other, checkpoints of a training do not stand beside the model before it.

    Args:
        runs: all there are.
        free: the settings that may differ within a group.
        usable: which runs of a group the figure would show; none when they do not suffice.
        missing: what to say when no group suffices: which runs the figure needs.
        per: one group for each combination of these.
        same_problems: cut each group to the problems that all of its runs have, as curves in one panel must be. False
            where the figure takes the runs pair by pair.

    Returns:
        What `usable` made of each chosen group, in the order in which models and tasks appear. The group with the most
        usable runs is chosen; of equal ones the one with the most runs, then the first.

    Raises:
        Unavailable: nothing suffices for any model and task.
        InputError: runs of a group are on different problems.
    """
    best: dict[Hashable, RunSet] = {}
    sizes: dict[Hashable, tuple[int, int]] = {}
    for group in comparable(on_their_own(runs) if "model" in per else runs, free=free):
        key = tuple(group.settings().iloc[0][list(per)])
        shown = usable(group)
        size = (len(shown), len(group))
        if shown and size > sizes.get(key, (0, 0)):
            best[key], sizes[key] = shown, size
    if not best:
        raise Unavailable(missing)
    return [on_same_problems(group) if same_problems else group for group in best.values()]


def comparable(runs: RunSet, *, free: Collection[str]) -> list[RunSet]:
    """The groups of runs that agree on every setting but the free ones, each in the order given.

    A run in AR order is also in the groups that agree with it on all but the block length, which changes nothing for
    it, unless they have their own. Of two runs that agree on everything the one with more samples is kept.
    """
    runs = _without_duplicates(runs)
    settings = runs.settings()
    fixed = [name for name in settings.columns if name not in {*free, *_EXTENT}]
    key_R, freedom_R = _keys(settings, fixed), _keys(settings, sorted(free))
    loose_R = _keys(settings, [name for name in fixed if name != "block_length"])
    ar = [index for index, run in enumerate(runs) if run.config.order == "ar"]
    groups = []
    for key in dict.fromkeys(key_R):
        members = [index for index, own in enumerate(key_R) if own == key]
        taken = {freedom_R[index] for index in members if index in ar}
        for index in ar:
            if loose_R[index] == loose_R[members[0]] and freedom_R[index] not in taken:
                members.append(index)
                taken.add(freedom_R[index])
        groups.append(RunSet(tuple(runs[index] for index in sorted(members))))
    return groups


def of_order(runs: RunSet, *orders: str) -> RunSet:
    """The runs of these orders, in this order; none when one of the orders has none."""
    found = [runs.where(order=order) for order in orders]
    return RunSet(tuple(run for of_one in found for run in of_one) if all(found) else ())


def against_ar(runs: RunSet) -> RunSet:
    """The run in AR order, then those of the other orders that set no pace of their own; none without both."""
    fixed = at_fixed_pace(runs)
    others = tuple(run for run in fixed if run.config.order != "ar")
    return RunSet((*fixed.where(order="ar"), *others)) if 0 < len(others) < len(fixed) else RunSet(())


def at_fixed_pace(runs: RunSet) -> RunSet:
    """The runs whose order does not decide how many positions a step commits."""
    return RunSet(tuple(run for run in runs if not get_order(run.config.order).adaptive))


def several_temperatures(runs: RunSet) -> RunSet:
    """The runs above temperature 0 of the orders that have two or more of them."""
    above = [run for run in runs if run.config.sampling.temperature > 0]
    per_order = Counter(run.config.order for run in above)
    return RunSet(tuple(run for run in above if per_order[run.config.order] > 1))


def at_least(runs: RunSet, number: int) -> RunSet:
    """The runs, or none when there are fewer."""
    return runs if len(runs) >= number else RunSet(())


def smallest_n(runs: RunSet) -> int:
    """Samples of the problem that has the fewest, in any of the runs."""
    return min(int(run.counts()["n"].min()) for run in runs)


def common_ks(runs: RunSet) -> list[int]:
    """The powers of two that every problem of every run has samples for, and the largest such number."""
    return default_ks(smallest_n(runs))


def token_rows(run: Run, *columns: str) -> pd.DataFrame:
    """The run's token rows with these columns, and those that say which problem, sample and position a row is."""
    return run.tokens(["problem_id", "sample_index", "position", *columns])


def _without_duplicates(runs: RunSet) -> RunSet:
    settings = runs.settings()
    best: dict[Hashable, Run] = {}
    for run, key in zip(runs, _keys(settings, settings.columns.difference(list(_EXTENT))), strict=True):
        if key not in best or len(run.samples) > len(best[key].samples):
            best[key] = run
    return RunSet(tuple(best.values()))


def _keys(settings: pd.DataFrame, names: Iterable[str]) -> list[Hashable]:
    return [tuple(map(repr, row)) for row in settings[list(names)].itertuples(index=False)]
