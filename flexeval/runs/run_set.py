"""Several runs side by side: read from folders, selected by their settings, labelled by what differs among them.

Runs that differ only in their seed are more samples of the same settings, and `pooled` merges them into one run.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import pandas as pd

from flexeval.errors import InputError, InputTypeError, did_you_mean
from flexeval.fields import require_path
from flexeval.models.names import model_name
from flexeval.records import PACE
from flexeval.runs.environment import distinct
from flexeval.runs.files import to_json
from flexeval.runs.frames import labelled, run_set_html, settings_of, stacked
from flexeval.runs.joining import begun_shards
from flexeval.runs.layout import JOURNAL, PROBLEMS, SAMPLES, total_effort
from flexeval.runs.run import Run, read_run
from flexeval.runs.shards import shard_named
from flexeval.runs.tokens import Listed, StoredRows

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
        return RunSet(tuple(kept), self.left_out)

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
        """A short name for each run: its order, and what else differs among them ("ar", "eb:gamma=0.5 T=1.0")."""
        # The model's name says which adapter and which cache it had.
        names = [name for name in self.varying() if name not in ("order", "problems", "adapter", "cache")]
        labels = []
        for run in self:
            # Of the settings that say how much a step commits, one at most is given.
            own = {name: value for name in names if (value := _settings(run)[name]) is not None or name not in PACE}
            labels.append(" ".join([run.config.order, *(_shown(name, value) for name, value in own.items())]))
        return labels

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


def _settings(run: Run) -> dict[str, Any]:
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


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PooledRun(Run):
    """Several runs of one setting as one: its samples are theirs, numbered on from run to run.

    Configuration, record and folder are those of the first; `num_samples` and the effort are sums.
    """

    parts: tuple[Run, ...]
    """Whole, in the order in which their samples are numbered."""

    @property
    def seed(self) -> int | str:
        """See `Run.seed`."""
        return "+".join(str(part.seed) for part in self.parts)

    def numbered_parts(self) -> Iterator[tuple[int, Run]]:
        """Each part with the number that its first sample has here."""
        first = 0
        for part in self.parts:
            yield first, part
            first += part.config.num_samples

    def _stored_tokens(self, listed: Listed, columns: Sequence[str]) -> Iterator[StoredRows]:
        return self._stored(listed, lambda part, own: part._stored_tokens(own, columns))

    def _stored_words(self, listed: Listed, columns: Sequence[str]) -> Iterator[StoredRows]:
        return self._stored(listed, lambda part, own: part._stored_words(own, columns))

    def _stored(self, listed: Listed, read: Callable[[Run, Listed], Iterator[StoredRows]]) -> Iterator[StoredRows]:
        """The shards of all parts, numbered as they are here, and in turns, so that a problem's samples come near each
        other.
        """
        streams, turns = [], list[tuple[float, int]]()
        for place, (first, part) in enumerate(self.numbered_parts()):
            streams.append((first, read(part, listed.numbered_from(first, part.config.num_samples))))
            turns += [((i + 0.5) / len(part.shards), place) for i in range(len(part.shards))]
        for _, place in sorted(turns):
            first, stream = streams[place]
            yield next(stream).renumbered(first)
        # To their ends, where they keep what they found.
        for first, stream in streams:
            for rest in stream:
                yield rest.renumbered(first)

    def revisions(self) -> pd.DataFrame:
        """See `Run.revisions`."""
        frames = []
        for first, part in self.numbered_parts():
            samples = self.samples[self.samples["sample_index"].between(first, first + part.config.num_samples - 1)]
            samples = samples.assign(sample_index=samples["sample_index"] - first)
            rows = dataclasses.replace(part, problems=self.problems, samples=samples).revisions()
            frames.append(rows.assign(sample_index=rows["sample_index"] + first))
        return _joined_rows(frames)


def pooled(runs: RunSet) -> RunSet:
    """The same runs, with those that differ only in their seed merged, so that each setting has one run.

    More seeds are more samples of the same problems. Runs are pooled if they are complete and agree in settings,
    problems, prompts, model and data (in all of their records but the machine). Equal seeds draw equal samples, so of
    two runs with one seed the larger is kept. Of runs that do not agree, those with most samples are kept, drawn ones
    before imported ones, and `left_out` names the others.
    """
    by_setting: dict[Hashable, list[Run]] = {}
    for run in runs:
        settings = {name: value for name, value in _settings(run).items() if name not in EXTENT}
        by_setting.setdefault((*map(repr, settings.values()), run.lineage), []).append(run)
    kept, left_out = [], list(runs.left_out)
    for alternatives in by_setting.values():
        whole, others = _pool(alternatives)
        kept.append(whole)
        left_out += [f"{_description(run)} ({why})" for run, why in others]
    return RunSet(tuple(kept), tuple(left_out))


def _pool(alternatives: Sequence[Run]) -> tuple[Run, list[tuple[Run, str]]]:
    """One run of all that can be pooled, and the others with the reason. They differ in extent and seed."""
    if len(alternatives) > 1:
        # What was pooled before counts by its parts.
        alternatives = [part for run in alternatives for part in (run.parts if isinstance(run, PooledRun) else (run,))]
    # Only runs that agree can be pooled; of groups that do not, the one with most samples is kept.
    by_origin: dict[Hashable, list[Run]] = {}
    for run in alternatives:
        by_origin.setdefault(_origin(run), []).append(run)
    # Of as many samples, those that have token rows.
    chosen = max(
        by_origin.values(),
        key=lambda own: (any(run.complete for run in own), _distinct_samples(own), not own[0].imported),
    )
    left_out = [(run, _difference(run, chosen[0])) for own in by_origin.values() if own is not chosen for run in own]
    complete = [run for run in chosen if run.complete] or [max(chosen, key=lambda run: len(run.samples))]
    left_out += [(run, "not finished") for run in chosen if not any(run is one for one in complete)]

    by_seed: dict[int, Run] = {}
    for run in sorted(complete, key=lambda run: (-len(run.samples), run.imported)):
        if run.config.sampling.seed in by_seed:
            left_out.append((run, "the same seed again"))
        else:
            by_seed[run.config.sampling.seed] = run
    parts = [by_seed[seed] for seed in sorted(by_seed)]
    return (parts[0] if len(parts) == 1 else _merged(parts)), left_out


def _merged(parts: Sequence[Run]) -> PooledRun:
    frames, first = [], 0
    for part in parts:
        frames.append(part.samples.assign(sample_index=part.samples["sample_index"] + first))
        first += part.config.num_samples
    samples = pd.concat(frames, ignore_index=True)
    place = pd.Categorical(samples["problem_id"], categories=list(parts[0].problems["problem_id"]))
    order = np.argsort(place.codes, kind="stable")
    fields = {field.name: getattr(parts[0], field.name) for field in dataclasses.fields(Run)}
    return PooledRun(
        **{
            **fields,
            "config": dataclasses.replace(parts[0].config, num_samples=first),
            "samples": samples.iloc[order].reset_index(drop=True),
            "effort": total_effort(part.effort for part in parts),
            "environments": distinct([environment for part in parts for environment in part.environments]),
        },
        parts=tuple(parts),
    )


def _joined_rows(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Rows of several parts, sorted by problem and sample; words stay categories."""
    joined = stacked(frames)
    problem, sample = joined["problem_id"].cat.codes.to_numpy(), joined["sample_index"].to_numpy()
    return joined.iloc[np.lexsort((sample, problem))].reset_index(drop=True)


_PLACE = ("files", "revision")
_MACHINE = ("environment", "isolation", "imported")
"""Parts of a run's record that say where it was made, not what it is."""
_IN_THE_NETWORK = ("attention_rule",)
"""Those that the checksum of the network covers; runs of earlier versions lack them."""
_PROBLEM = ("problem_id", "question", "target", "prompt_hash")


def _origin(run: Run) -> Hashable:
    """Everything but settings and seed that decides the samples of a run: problems, prompts, model, data, dtype."""
    columns = [name for name in _PROBLEM if name in run.problems]
    record = {name: value for name, value in sorted(run.record.items()) if name not in (*_MACHINE, *_IN_THE_NETWORK)}
    # A model is its weights, network and vocabulary, wherever its files lie.
    record["model"] = {name: value for name, value in run.record.get("model", {}).items() if name not in _PLACE}
    # Whatever fields a lineage had when it was stored.
    record["lineage"] = run.lineage and run.lineage.as_dict()
    dtype = run.record.get("environment", {}).get("dtype")
    return to_json({"problems": run.problems[columns].to_numpy().tolist(), "record": record, "dtype": dtype})


def _difference(run: Run, other: Run) -> str:
    """The first thing in which the origins of two runs of one setting differ, in words."""
    if len(run.problems) != len(other.problems):
        return f"{len(run.problems)} problems, not {len(other.problems)}"
    columns = [name for name in _PROBLEM if name in run.problems]
    if run.problems[columns].to_numpy().tolist() != other.problems[columns].to_numpy().tolist():
        return "other problems or prompts"
    return "another model, data or dtype"


def _distinct_samples(runs: Sequence[Run]) -> int:
    """Samples, each seed counted once."""
    largest: dict[int, int] = {}
    for run in runs:
        seed = run.config.sampling.seed
        largest[seed] = max(largest.get(seed, 0), len(run.samples))
    return sum(largest.values())


def _description(run: Run) -> str:
    sampling = run.config.sampling
    return (
        f"a run of {run.config.order} at T = {sampling.temperature:g}, block {sampling.block}, length "
        f"{sampling.gen_length}, seed {run.seed}"
    )


def paper_block(run: Run) -> int:
    """The paper's block length in a run: 32, or the whole canvas, or the block of the model, where that is shorter."""
    return min(BLOCK, run.config.sampling.gen_length, run.attention.block or BLOCK)


def ar_standing(run: Run) -> tuple[bool, bool, int]:
    """By which of several runs in AR order, whose block length changes nothing, one is taken; the least.

    Finished ones come first, then those at the paper's block length, then those with most samples.
    """
    return not run.complete, run.config.sampling.block != paper_block(run), -len(run.samples)


def on_same_problems(runs: Sequence[Run]) -> RunSet:
    """The same runs, cut to the first problems, as many as all of them have.

    Raises:
        InputError: runs on different problems.
    """
    fewest = min((len(run.problems) for run in runs), default=0)
    cut = [run.first(fewest) if fewest else run for run in runs]
    if len({tuple(run.problems["problem_id"]) for run in cut}) > 1:
        raise InputError("needs runs on the same problems")
    return RunSet(tuple(cut), runs.left_out if isinstance(runs, RunSet) else ())


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
