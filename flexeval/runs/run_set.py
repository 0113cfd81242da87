"""Several runs side by side: read from folders, selected by their settings, labelled by what differs among them.

`flexeval.runs.pooling` makes one run of those that differ only in their seed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import pandas as pd

from flexeval.errors import InputError, InputTypeError, did_you_mean
from flexeval.fields import require_path
from flexeval.models.names import model_name
from flexeval.orders import get_order
from flexeval.records import PACE
from flexeval.runs.frames import labelled, run_set_html, settings_of
from flexeval.runs.joining import begun_shards
from flexeval.runs.layout import JOURNAL, PROBLEMS, SAMPLES
from flexeval.runs.run import Run, read_run
from flexeval.runs.shards import shard_named

EXTENT = ("num_samples", "problems", "seed")
"""The settings that say how many samples a run has, and which; all others say what is sampled."""
TEMPERATURE = 0.6
BLOCK = 32
"""The paper's settings (arXiv:2601.15165); the block is at most the canvas, see `paper_block`."""


@dataclass(frozen=True, eq=False, repr=False)
class RunSet(Sequence[Run]):
    """Runs in the order they were given."""

    runs: tuple[Run, ...]
    left_out: tuple[str, ...] = ()
    """Runs that were read and are not among these, with the reason, in words; see `pooled`."""

    def settings(self) -> pd.DataFrame:
        """One row a run: model, task, order, every field of `SamplingConfig`, num_samples, and how many problems; also
        `counted`, the verdict that counts.

        `block_length` is the one in force, never None. What says how much a step commits is None where that is one
        token, however it was given.
        """
        return pd.DataFrame([setting_values(run) for run in self.runs]).astype(object)

    def where(self, **wanted: Any) -> RunSet:
        """The runs whose settings have these values, as in `where(order="ar", temperature=0.6)`; of several values in a
        list, any one of them.

        An order goes by any of its names, and its parameters are written in any way. No run is of an unknown one.

        Raises:
            InputError: not the name of a setting.
        """
        self._require_settings(wanted)
        values = {
            name: list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
            for name, value in wanted.items()
        }
        for place, order in enumerate(values.get("order", [])):
            if isinstance(order, str) and all(run.config.order != order for run in self):
                with contextlib.suppress(InputError):
                    values["order"][place] = get_order(order).spec
        kept = [run for run in self.runs if all(setting_values(run)[name] in few for name, few in values.items())]
        return RunSet(tuple(kept), self.left_out)

    def by(self, names: Collection[str]) -> list[RunSet]:
        """For each combination of values of these settings, the runs that have it, in order of appearance.

        Raises:
            InputError: not the name of a setting.
        """
        self._require_settings(names)
        found: dict[Hashable, list[Run]] = {}
        for run in self:
            values = setting_values(run)
            found.setdefault(tuple(repr(values[name]) for name in names), []).append(run)
        return [RunSet(tuple(own), self.left_out) for own in found.values()]

    def _require_settings(self, names: Iterable[str]) -> None:
        known = list(setting_values(self.runs[0])) if self.runs else list(names)
        for name in names:
            if name not in known:
                raise did_you_mean("setting", name, known)

    def counting(self, verdict: str) -> RunSet:
        """As `Run.counting`, of each run. Raises InputError for one whose samples lack the verdict."""
        return dataclasses.replace(self, runs=tuple(run.counting(verdict) for run in self))

    def other_verdicts(self) -> list[str]:
        """The verdicts on every sample of every run that do not count, sorted."""
        shared = set.intersection(*(set(run.tally()) for run in self)) if len(self) else set()
        return sorted(shared - {run.counted for run in self})

    def varying(self) -> list[str]:
        """The settings that have more than one value among these runs."""
        settings = self.settings()
        return [name for name in settings.columns if settings[name].map(repr).nunique() > 1]

    def labels(self) -> list[str]:
        """A short name for each run: its order, and what else differs among them ("ar", "eb:gamma=0.5 T=1.0").

        No two are equal: runs that these settings do not tell apart (copies, another machine) are numbered ("ar (2)").
        """
        # The model's name says which adapter and which cache it had.
        names = [name for name in self.varying() if name not in ("order", "problems", "adapter", "cache")]
        labels = []
        for run in self:
            # Of the settings that say how much a step commits, one at most is given.
            own = {
                name: value for name in names if (value := setting_values(run)[name]) is not None or name not in PACE
            }
            labels.append(" ".join([run.config.order, *(_shown(name, value) for name, value in own.items())]))
        return _numbered(labels)

    def to_frame(self) -> pd.DataFrame:
        """One row a sample: `run` (its label), and the columns of `Run.to_frame`."""
        return labelled([run.to_frame() for run in self], self.labels())

    def tokens(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """One row a committed position: `run` (its label), model, task, order, temperature, and the columns that are
        asked for, as of `Run.tokens`. Imported runs, which have no token rows, are an error there.
        """
        frames = []
        for run in self:
            rows = run.tokens(columns)
            values = {name: value for name, value in settings_of(run).items() if name in _OF_TOKENS}
            frames.append(pd.concat([pd.DataFrame(values, index=rows.index), rows], axis=1))
        return labelled(frames, self.labels())

    def __repr__(self) -> str:
        listed = "".join(f"\n  {label}: {run!r}" for label, run in zip(self.labels(), self, strict=True))
        return f"RunSet of {len(self)} runs{listed}"

    def _repr_html_(self) -> str:
        return run_set_html(self.runs, self.labels())

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> RunSet: ...
    def __getitem__(self, index: int | slice) -> Run | RunSet:
        return dataclasses.replace(self, runs=self.runs[index]) if isinstance(index, slice) else self.runs[index]

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)


def read_runs(folders: str | Path | Iterable[str | Path]) -> RunSet:
    """Read run folders; a folder that is not one stands for all run folders anywhere below it, sorted by path.

    `read_runs("runs")` and `read_runs(["runs/tiny/ar", "runs/tiny/confidence"])` are the two ways to call it. Symbolic
    links are followed, and a run is read once, whatever it is called.

    Where models of one name differ, each gets a mark, so that they are not taken for one.

    Raises:
        InputError: a folder with no run in it, or a run that cannot be read.
    """
    given: Iterable[Any] = (
        [folders] if isinstance(folders, str | bytes | Mapping) or not isinstance(folders, Iterable) else folders
    )
    found: dict[Path, Path] = {}
    for folder in (require_path(one, what="a run folder") for one in given):
        itself = begun_shards(folder) or any((folder / name).exists() for name in _LINES)
        inside = [folder] if itself else _runs_below(folder)
        if not inside:
            raise InputError(f"there is no run in {str(folder)!r}; give a folder that `flexeval passk` wrote")
        for path in inside:
            found.setdefault(path.resolve(), path)
    return RunSet(tuple(_marked([read_run(folder) for folder in found.values()])))


def as_runs(runs: object) -> RunSet:
    """The runs that somebody gave, several or one. Raises InputTypeError for anything else."""
    if isinstance(runs, Run):
        return RunSet((runs,))
    if not isinstance(runs, RunSet):
        raise InputTypeError(f"runs must be what flexeval.read_runs(...) gives, not a {type(runs).__name__}")
    return runs


def _marked(runs: Sequence[Run]) -> list[Run]:
    """The same runs, marked where models of one name differ: with their weights, and their network where several have
    the same weights, as under several attention rules.
    """
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(run.model, []).append(run)
    several = {name for name, own in by_name.items() if not all(_same_model(own[0], run) for run in own)}
    telling = {name: _telling([run.fingerprint for run in by_name[name] if run.fingerprint]) for name in several}
    return [
        dataclasses.replace(run, mark=f" ({', '.join(run.fingerprint[part][:8] for part in telling[run.model])})")
        if run.model in several and run.fingerprint
        else run
        for run in runs
    ]


_CHECKSUMS = ("weights", "network", "vocabulary")
"""The parts of a model's fingerprint that say which model it is."""


def _telling(fingerprints: Sequence[Mapping[str, Any]]) -> list[str]:
    """The fewest first parts that tell these models apart."""

    def distinct_by(parts: Sequence[str]) -> int:
        return len({tuple(one[part] for part in parts) for one in fingerprints})

    telling: list[str] = []
    for part in _CHECKSUMS:
        if distinct_by([*telling, part]) > distinct_by(telling):
            telling.append(part)
    return telling


def _same_model(run: Run, other: Run) -> bool:
    """Whether two runs are of one model, whatever the type of its weights; assumed of format 1, which does not say."""
    a, b = run.fingerprint, other.fingerprint
    if not (a and b):
        return True
    return (a.get("files") or "") == b.get("files") or all(a[part] == b[part] for part in _CHECKSUMS)


_OF_TOKENS = ("model", "task", "order", "temperature")
"""The settings that token rows carry: a row is short, and there are millions of them."""
_LINES = (PROBLEMS, SAMPLES, JOURNAL)
"""A folder with one of these is a run folder, even if it lost another file: to skip it would change the numbers."""


def _runs_below(folder: Path) -> list[Path]:
    found: set[Path] = set()
    met: set[Path] = set()
    # Links are followed: large runs often lie on another disk. One that leads back up ends where it leads.
    walk = os.walk(folder, followlinks=True, onerror=_refuse) if folder.is_dir() else ()
    for name, below, files in walk:
        path = Path(name)
        place = path.resolve()
        if place in met:
            below.clear()
            continue
        met.add(place)
        below.sort()
        if not set(_LINES).isdisjoint(files):
            # The shards of a run are read together.
            found.add(path.parent if shard_named(path) else place.parent if shard_named(place) else path)
    return sorted(found)


def _refuse(error: OSError) -> None:
    """A folder that cannot be read may hold a run."""
    raise InputError(f"cannot read {error.filename}: {error.strerror}; make it readable, or name the run folders")


def setting_values(run: Run) -> dict[str, Any]:
    """Setting -> its value, by the names that `RunSet.where` takes."""
    config = run.config
    sampling = {field.name: getattr(config.sampling, field.name) for field in dataclasses.fields(config.sampling)}
    if config.sampling.schedule == "even" and config.sampling.per_step == 1:
        sampling |= dict.fromkeys(PACE)
    return {
        "model": run.model,
        "task": config.task,
        "order": config.order,
        "attention": config.attention,
        "adapter": config.adapter,
        "prompt_date": config.prompt_date,
        **sampling,
        "block_length": config.sampling.block,
        "seed": run.seed,
        "num_samples": config.num_samples,
        "problems": len(run.problems),
        "counted": run.counted,
    }


def paper_block(run: Run) -> int:
    """The paper's block length in a run: 32, or the whole canvas, or the block of the model, where that is shorter."""
    return min(BLOCK, run.config.sampling.gen_length, run.attention.block or BLOCK)


def at_paper_settings(runs: Sequence[Run], *, free: Collection[str] = ()) -> bool:
    """Whether a run has the paper's temperature and block length, as far as these are not free.

    The block length of AR order says nothing where there are other orders.
    """
    others = [run for run in runs if run.config.order != "ar"]
    return any(
        ("temperature" in free or run.config.sampling.temperature == TEMPERATURE)
        and ("block_length" in free or run.config.sampling.block == paper_block(run))
        for run in others or runs
    )


def ar_standing(run: Run) -> tuple[bool, bool, int]:
    """By which of several runs in AR order, whose block length changes nothing, one is taken; the least.

    Finished ones come first, then those at the paper's block length, then those with most samples.
    """
    return not run.complete, run.config.sampling.block != paper_block(run), -len(run.samples)


def on_same_problems(runs: Sequence[Run]) -> RunSet:
    """The same runs, cut to the first problems, as many as all of them have.

    Raises:
        InputError: runs on different problems, or on problems of one name that ask different things.
    """
    fewest = min((len(run.problems) for run in runs), default=0)
    cut = [run.first(fewest) if fewest else run for run in runs]
    if len({tuple(run.problems["problem_id"]) for run in cut}) > 1:
        raise InputError("needs runs on the same problems")
    if (changed := changed_problem(cut)) is not None:
        raise InputError(f"needs runs on the same problems; {changed_text(changed)}")
    return RunSet(tuple(cut), runs.left_out if isinstance(runs, RunSet) else ())


def changed_problem(runs: Iterable[Run]) -> str | None:
    """The id of a problem of which two runs have another question or target; None where there is none.

    As when a file of data changed between the runs: equal ids are then no reason to pair them.
    """
    asked: dict[str, tuple[object, ...]] = {}
    for run in runs:
        content = (run.problems[name] for name in _CONTENT if name in run.problems)
        for problem_id, *own in zip(run.problems["problem_id"], *content, strict=True):
            if asked.setdefault(problem_id, tuple(own)) != tuple(own):
                return str(problem_id)
    return None


def changed_text(problem_id: str) -> str:
    """What to say of a `changed_problem`."""
    return f"{problem_id!r} is not the same problem in all runs: the data changed between them; sample one run again"


_CONTENT = ("question", "target")
"""What makes a problem of a name this problem."""


def fewest_samples(*runs: Run) -> int:
    """Samples of the problem that has the fewest, in any of the runs; 0 where there is no problem."""
    return min(int(run.counts()["n"].min()) if len(run.problems) else 0 for run in runs)


def alike(*runs: Run) -> list[Run]:
    """The same runs, cut to the problems and the number of samples that all of them have.

    Raises:
        InputError: runs on different problems, or one that has no sample of a problem yet.
    """
    cut = on_same_problems(runs)
    num_samples = fewest_samples(*cut)
    if num_samples == 0:
        unfinished = next(run for run in cut if fewest_samples(run) == 0)
        raise InputError(f"the run of order {unfinished.config.order} has problems without a sample yet; let it finish")
    return [run.first(len(run.problems), num_samples=num_samples) for run in cut]


def on_their_own(runs: RunSet) -> RunSet:
    """The runs without those of trained models whose base model was run on the same task, too.

    Such checkpoints are compared with their base, before and after training. Where orders are compared, each of them
    would only repeat the comparison.
    """
    bases = {(model_name(run.config.model, run.config.adapter), run.config.task) for run in runs if run.lineage is None}
    kept = (run for run in runs if not run.lineage or (run.lineage.base, run.config.task) not in bases)
    return RunSet(tuple(kept), runs.left_out)


_SHORT = {"temperature": "T", "block_length": "block", "num_samples": "n"}


def _shown(name: str, value: Any) -> str:
    if name in ("model", "task"):
        return str(value)
    return f"{_SHORT.get(name, name)}={value}"


def _numbered(labels: Sequence[str]) -> list[str]:
    """The labels, with a number behind those that an earlier run has."""
    return [
        label if label not in labels[:place] else f"{label} ({labels[:place].count(label) + 1})"
        for place, label in enumerate(labels)
    ]
