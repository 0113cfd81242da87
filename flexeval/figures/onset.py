"""At which block length coverage is lost: the planned contrasts of the pre-registered replication."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes

from flexeval.figures.curves import CurveFigure
from flexeval.figures.settings import foot, with_settings
from flexeval.plots.curves import powers_of_two
from flexeval.plots.style import INK
from flexeval.runs.store import Run, RunSet, alike, fewest_samples
from flexeval.stats.onset import adjacent_losses, auc_ks

ALL_TASKS = "all tasks"
LEAST_LENGTHS = 3
"""Block lengths of a task: a reading needs a first step and a later one."""


class BlockOnset(CurveFigure):
    """One row a step from a block length (`shorter`) to the next (`longer`): CoverageAUC lost, as the pre-registered
    replication of arXiv:2601.15165 planned it (`flexeval.stats.onset`). Where several tasks have the same block
    lengths, they are also pooled, counting equally. low and high are of the simultaneous band.
    """

    name = "block-onset"
    title = "Coverage lost from one block length to the next"
    source = "ours, after the pre-registered replication of arXiv:2601.15165"
    needs = "runs of order confidence at three block lengths or more, alike in all else"
    note = (
        "Order confidence, CoverageAUC at a block length minus that at the next, paired by problem. Bands hold all "
        "steps at once with 95 %."
    )
    free = frozenset({"order", "block_length", "task"})
    per = ("model",)
    same_problems = False
    x, by, series = "longer", ("model",), "series"
    labels = ("to block length", "CoverageAUC lost, points")

    def usable(self, group: RunSet) -> RunSet:
        """See `Figure.usable`."""
        return RunSet(tuple(run for own in _by_block(group).values() for run in own.values()))

    def rows(self, group: RunSet) -> Iterable[pd.DataFrame]:
        """See `Figure.rows`."""
        by_task = {task: dict(zip(own, alike(*own.values()), strict=True)) for task, own in _by_block(group).items()}
        found = [_losses([own], task) for task, own in by_task.items()]
        if len(by_task) > 1 and len({tuple(own) for own in by_task.values()}) == 1:
            found.append(_losses(list(by_task.values()), ALL_TASKS))
        return found

    def finish_panel(self, panel: Axes, rows: pd.DataFrame) -> None:
        """Mark where nothing is lost."""
        powers_of_two(panel, rows["longer"])
        panel.axhline(0, color=INK, linewidth=0.7, zorder=1)

    def foot(self, data: pd.DataFrame) -> str:
        """See `Figure.foot`."""
        several = data["model"].nunique() > 1
        read = [
            f"{row['model'] + ', ' if several else ''}{row['series']}: {row['reading']}"
            for row in data.drop_duplicates(["model", "series"]).to_dict("records")
        ]
        return foot(data, f"{self.note} k = {data['ks'].iloc[0]}. Reading: {'; '.join(read)}.")


def _by_block(group: RunSet) -> dict[str, dict[int, Run]]:
    """Task -> block length -> run, ascending, of the tasks with enough block lengths. A run in AR order stands for
    block 1 where `confidence` has none.
    """
    found: dict[str, dict[int, Run]] = {}
    for run in (*group.where(order="ar"), *group.where(order="confidence")):
        block = 1 if run.config.order == "ar" else run.config.sampling.block
        found.setdefault(run.config.task, {})[block] = run
    return {task: dict(sorted(own.items())) for task, own in found.items() if len(own) >= LEAST_LENGTHS}


def _losses(tasks: Sequence[Mapping[int, Run]], series: str) -> pd.DataFrame:
    """The steps of some tasks together: of each, block length -> run, all with the same lengths."""
    counts = {block: _counts([own[block] for own in tasks]) for block in tasks[0]}
    shortest = counts[min(counts)]
    runs = [run for own in tasks for run in own.values()]
    ks = auc_ks(fewest_samples(*runs))
    losses = adjacent_losses(counts, ks, tasks=list(shortest["task"])).rename(
        columns={"low": "interval_low", "high": "interval_high"}
    )
    rows = losses.rename(columns={"difference": "estimate", "band_low": "low", "band_high": "high"})
    names = ", ".join(dict.fromkeys(run.config.task for run in runs))
    return with_settings(rows.assign(series=series, ks=", ".join(map(str, ks))), runs[-1]).assign(
        task=names, block_length=losses["longer"], problems=len(shortest)
    )


def _counts(runs: Sequence[Run]) -> pd.DataFrame:
    """The counts of the problems of several tasks, which may call problems alike, with the task of each."""
    frames = [run.counts().assign(task=place) for place, run in enumerate(runs)]
    joined = pd.concat(frames, ignore_index=True)
    return joined.assign(problem_id=joined["task"].astype(str) + "/" + joined["problem_id"])
