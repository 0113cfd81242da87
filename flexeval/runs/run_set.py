"""Several runs side by side: read from folders, picked by their settings, named by what tells them apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import pandas as pd

from flexeval.errors import InputError, did_you_mean
from flexeval.runs.layout import EFFORT, PROBLEMS, SAMPLES
from flexeval.runs.reader import Run, read_run


@dataclass(frozen=True, eq=False)
class RunSet(Sequence[Run]):
    """Runs in the order they were given."""

    runs: tuple[Run, ...]

    def settings(self) -> pd.DataFrame:
        """One row a run: model, task, order, every field of `SamplingConfig`, num_samples, and how many problems.

        `block_length` is the one in force, never None.
        """
        return pd.DataFrame([_settings(run) for run in self.runs]).astype(object)

    def where(self, **wanted: Any) -> RunSet:
        """The runs whose settings have these values, as in `where(order="ar", temperature=0.6)`.

        Raises:
            InputError: not the name of a setting.
        """
        known = list(_settings(self.runs[0])) if self.runs else list(wanted)
        for name in wanted:
            if name not in known:
                raise did_you_mean("setting", name, known)
        kept = [run for run in self.runs if all(_settings(run)[name] == value for name, value in wanted.items())]
        return RunSet(tuple(kept))

    def varying(self) -> list[str]:
        """The settings that have more than one value among these runs."""
        settings = self.settings()
        return [name for name in settings.columns if settings[name].map(repr).nunique() > 1]

    def labels(self) -> list[str]:
        """A short name for each run: its order, and what else differs among them ("ar", "eb:gamma=0.5 T=1.0")."""
        names = [name for name in self.varying() if name not in ("order", "problems")]
        return [" ".join([run.config.order, *(_said(name, _settings(run)[name]) for name in names)]) for run in self]

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> RunSet: ...
    def __getitem__(self, index: int | slice) -> Run | RunSet:
        return RunSet(self.runs[index]) if isinstance(index, slice) else self.runs[index]

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)


def read_runs(folders: Sequence[Path]) -> RunSet:
    """Read run folders; a folder that is not one stands for all run folders anywhere below it, sorted by path.

    Raises:
        InputError: a folder with no run in it, or a run that cannot be read.
    """
    found: list[Path] = []
    for folder in folders:
        inside = [folder] if any((folder / name).exists() for name in _LINES) else _runs_below(folder)
        if not inside:
            raise InputError(f"there is no run in {str(folder)!r}; give a folder that `flexeval passk` wrote")
        found += [path for path in inside if path not in found]
    return RunSet(tuple(read_run(folder) for folder in found))


_LINES = (PROBLEMS, SAMPLES, EFFORT)
"""What tells a run folder, also one that has lost a file: to pass it over would be to show other numbers."""


def _runs_below(folder: Path) -> list[Path]:
    return sorted({path.parent for path in folder.rglob("*.jsonl") if path.name in _LINES})


def _settings(run: Run) -> dict[str, Any]:
    config = run.config
    sampling = {field.name: getattr(config.sampling, field.name) for field in dataclasses.fields(config.sampling)}
    return {
        "model": run.model,
        "task": config.task,
        "order": config.order,
        **sampling,
        "block_length": config.sampling.block,
        "num_samples": config.num_samples,
        "problems": len(run.problems),
    }


def on_same_problems(runs: Sequence[Run]) -> RunSet:
    """The same runs, cut to the first problems, as many as all of them have.

    Raises:
        InputError: runs on different problems.
    """
    fewest = min((len(run.problems) for run in runs), default=0)
    cut = [run.part(num_samples=run.config.num_samples, limit=fewest) for run in runs]
    if len({tuple(run.problems["problem_id"]) for run in cut}) > 1:
        raise InputError("needs runs on the same problems")
    return RunSet(tuple(cut))


def alike(*runs: Run) -> list[Run]:
    """The same runs, cut to the problems and the number of samples that all of them have.

    Raises:
        InputError: runs on different problems.
    """
    cut = on_same_problems(runs)
    num_samples = min(int(run.counts()["n"].min()) for run in cut)
    return [run.part(num_samples=num_samples, limit=len(run.problems)) for run in cut]


def on_their_own(runs: RunSet) -> RunSet:
    """The runs, less those of trained models whose base was run on the same task, too.

    These are there to be compared with their base, before and after; where orders are compared they would only repeat
    it, once for each checkpoint.
    """
    bases = {(run.config.model, run.config.task) for run in runs if run.lineage is None}
    return RunSet(tuple(run for run in runs if not run.lineage or (run.lineage.base, run.config.task) not in bases))


_SHORT = {"temperature": "T", "block_length": "block", "num_samples": "n"}


def _said(name: str, value: Any) -> str:
    if name in ("model", "task"):
        return str(value)
    return f"{_SHORT.get(name, name)}={value}"
