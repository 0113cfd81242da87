"""Shards of a run: equal shares of its problems, each in a run folder of its own below the folder of the run.

    <run>/shard-0-of-4/
    <run>/shard-1-of-4/ ...

They need nothing of each other, so that tasks of a job array can make them. `flexeval.runs.joining` reads them as one
run, `flexeval.runs.merge` makes one folder of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from flexeval.errors import InputError
from flexeval.fields import require_types
from flexeval.records import MOST

T = TypeVar("T")

_FOLDER = re.compile(r"shard-(\d+)-of-(\d+)")
_ARRAY = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP")


@dataclass(frozen=True, kw_only=True)
class Shard:
    """The problems whose place in the task's order is `index` modulo `count`."""

    index: int
    count: int

    def __post_init__(self) -> None:
        require_types(self, owner="Shard.")
        if not 1 <= self.count <= MOST:
            raise InputError(f"a run has 1 to {MOST} shards, not {self.count}; write I/N, as in 0/4")
        if not 0 <= self.index < self.count:
            raise InputError(
                f"there is no shard {self}: shards are counted from 0, so the last of {self.count} is "
                f"{self.count - 1}/{self.count}"
            )

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """Its share of what all problems have, in their order."""
        return items[self.index :: self.count]

    def require_problems(self, problems: int) -> None:
        """Raise InputError where none of so many problems is in it."""
        if self.index >= problems:
            raise InputError(
                f"shard {self} has no problem, since the run has {problems}; divide it into at most {problems} shards"
            )

    def overlaps(self, other: Shard) -> bool:
        """Whether a long list has an item that is in both."""
        return (self.index - other.index) % math.gcd(self.count, other.count) == 0

    def folder(self, run: Path) -> Path:
        """Where it lies; the whole run's own folder for the whole run."""
        return run if self == WHOLE else run / f"shard-{self.index}-of-{self.count}"

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


WHOLE = Shard(index=0, count=1)
"""Not divided."""


def parse_shard(text: str) -> Shard:
    """The shard that a user means by I/N. Raises InputError for anything else."""
    found = re.fullmatch(r"(\d{1,10})/(\d{1,10})", text.strip())
    if found is None:
        raise InputError(f"cannot read the shard {text!r}; write I/N, as in 0/4 for the first of four")
    return Shard(index=int(found[1]), count=int(found[2]))


def shard_of_array(environment: Mapping[str, str]) -> Shard | None:
    """The shard of a task of a Slurm job array, by its place in the array; None outside of an array.

    Raises:
        InputError: a task cannot know its place: variables of the array are missing or no numbers, or its task ids are
            not evenly spaced.
    """
    if _ARRAY[0] not in environment:
        return None
    said = {_ARRAY[-1]: "1"} | {name: environment[name] for name in _ARRAY if name in environment}
    unread = [
        f"{name} is {'not set' if name not in said else f'{said[name]!r}, which is no whole number'}"
        for name in _ARRAY
        if not re.fullmatch(r"\d{1,10}", said.get(name, ""))
    ]
    why = ", and ".join(unread) or "the ids of this array are not evenly spaced"
    if not unread:
        task, count, least, step = (int(said[name]) for name in _ARRAY)
        place, rest = divmod(task - least, step or 1)
        if step and not rest and 0 <= place < count:
            return Shard(index=place, count=count)
    raise InputError(
        f"cannot tell the shard from the Slurm job array, since {why}; give --shard I/N, or --shard none for the whole "
        "run"
    )


def shard_named(folder: Path) -> Shard | None:
    """The shard that a folder's name says, or None."""
    found = _FOLDER.fullmatch(folder.name)
    if found is None:
        return None
    try:
        return Shard(index=int(found[1]), count=int(found[2]))
    except InputError:
        return None


def shards_below(run: Path) -> dict[Shard, Path]:
    """The folders of a run's shards, by index; also those in which nothing is stored yet."""
    found = {shard: path for path in run.glob("shard-*-of-*") if path.is_dir() and (shard := shard_named(path))}
    return {shard: found[shard] for shard in sorted(found, key=lambda shard: (shard.count, shard.index))}
