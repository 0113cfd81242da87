"""One run of several that differ only in their seed: more seeds are more samples of the same settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from flexeval.runs.environment import distinct
from flexeval.runs.files import to_json
from flexeval.runs.frames import stacked
from flexeval.runs.layout import total_effort
from flexeval.runs.run import Run
from flexeval.runs.run_set import EXTENT, RunSet, setting_values
from flexeval.runs.tokens import Listed, StoredRows


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
        settings = {name: value for name, value in setting_values(run).items() if name not in EXTENT}
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
    return "another model, data, code or dtype"


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
