"""What the verbs that take two runs share: reading them, and refusing two that cannot be compared."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flexeval.errors import InputError

if TYPE_CHECKING:
    from flexeval.runs.store import Run, RunSet


def add_pair(parser: argparse.ArgumentParser) -> None:
    """RUN RUN."""
    parser.add_argument("runs", metavar="RUN", nargs=2, type=Path, help="A run folder; two of them.")


def read_pair(folders: Sequence[Path]) -> RunSet:
    """Read two runs on the same problems.

    Raises:
        InputError: not two run folders, one run given twice, or runs on other tasks or problems.
    """
    from flexeval.runs.store import read_runs

    if folders[0].resolve() == folders[1].resolve():
        raise InputError(f"{str(folders[0])!r} is given twice; give two runs")
    pair = read_runs(folders)
    if len(pair) != 2:
        raise InputError(f"two runs are compared, but there are {len(pair)} in the folders given; name two of them")
    _require_same_problems(*pair)
    return pair


def _require_same_problems(a: Run, b: Run) -> None:
    if a.config.task != b.config.task:
        raise InputError(
            f"the runs are on different tasks, {a.config.task!r} and {b.config.task!r}; compare runs of one task"
        )
    ours, theirs = (run.problems.set_index("problem_id")[["question", "target"]] for run in (a, b))
    unpaired = ours.index.symmetric_difference(theirs.index)
    if len(unpaired):
        raise InputError(
            f"the runs are not on the same problems: {len(ours)} in one, {len(theirs)} in the other, {unpaired[0]!r} "
            "is in one only; sample both with the same --limit"
        )
    changed = ours.index[(ours != theirs.loc[ours.index]).any(axis=1)]
    if len(changed):
        raise InputError(
            f"the runs call different problems {changed[0]!r}: the data changed between them; sample one of them again"
        )
