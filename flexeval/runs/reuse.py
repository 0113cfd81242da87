"""What is stored of a run that is asked for: where it lies, how much there is, whether it can be taken as it is, and
what forbids to go on with it. Imports no torch; reads samples.jsonl only where config.json and the journal do not tell.
"""

from __future__ import annotations

import dataclasses
import math
import os
from dataclasses import dataclass
from pathlib import Path

from flexeval.errors import InputError
from flexeval.fields import require_path
from flexeval.records import RunConfig
from flexeval.runs.identity import (
    canonical_config,
    codes,
    default_folder_name,
    made_by,
    require_continuable,
    require_same_code,
    require_same_run,
    run_prompt,
)
from flexeval.runs.joining import begun_shards
from flexeval.runs.layout import CONFIG, SUMMARY, Header, data_hash
from flexeval.runs.reader import read_contents, read_header, read_journal
from flexeval.runs.run import Run, read_run
from flexeval.runs.shards import WHOLE, Shard
from flexeval.runs.writer import require_checksums, require_place
from flexeval.tasks import Task
from flexeval.tasks.task import problems_of


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What is there of a run that is asked for."""

    samples: int = 0
    """Of those that are asked for."""
    problems: int | None = None
    """That the limit admits of all problems, where it has been reached before; None where that is not known."""
    divided: bool = False
    """Whether the whole run is asked for and lies there in shards, which continue it."""


def run_folder(out: Path, config: RunConfig) -> Path:
    """Where a run is to go below a folder, or where it is: under the name of today, or the one that it got when the
    folder of its model lay elsewhere.

    Raises:
        InputError: as `canonical_config`.
    """
    config = canonical_config(config)
    folder = out / default_folder_name(config)
    moves = any(Path(place).is_absolute() for place in (config.model, config.adapter) if place is not None)
    if moves and not folder.exists():
        task, settings = folder.parent.name, folder.name.rpartition("-")[0]
        for other in sorted(out.glob(f"*/{task}/{settings}-*")):
            if _was_elsewhere(other, config):
                return other
    return folder


def _was_elsewhere(folder: Path, config: RunConfig) -> bool:
    """Whether a folder holds the run, made when its model lay elsewhere."""
    try:
        header = read_header(next(iter(begun_shards(folder)), folder))
        require_same_run(header.config, config, folder=folder)
    except InputError:
        # Whoever reads that folder says why it cannot be read.
        return False
    return made_by(header.record, config)


def stored_extent(run: Path, config: RunConfig, *, shard: Shard = WHOLE, dtype: str = "auto") -> Stored:
    """Look for a run where a command would continue it.

    Args:
        run: the folder of the whole run; it need not exist.
        config: which run, and how much of it.
        shard: which part of it.
        dtype: of the weights that are to continue it; "auto" takes any.

    Raises:
        InputError: what the command would refuse as far as the folder tells: another run or dtype, a folder of
            something else, the whole run beside its shards, damage.
    """
    config, own = canonical_config(config), shard.folder(run)
    shards = begun_shards(own) if shard == WHOLE else []
    if not shards:
        require_place(own, shard)
    samples, problems = 0, None
    for folder in shards or [own] * os.path.lexists(own / CONFIG):
        header = read_header(folder)
        require_same_run(header.config, config, folder=folder)
        require_checksums(header.key, folder=folder)
        require_same_code(header.record, codes(config.order, None), folder=f"run folder {folder}")
        require_continuable(header.record, dtype=dtype, folder=f"run folder {folder}")
        assert header.problems is not None  # as in every folder with checksums
        if (header.config.limit or math.inf) >= (config.limit or math.inf):
            problems = min(header.problems, config.limit or header.problems)
        samples += _samples(folder, header, header.problems, config)
    return Stored(samples=samples, problems=problems, divided=bool(shards))


def read_finished_run(folder: str | Path, config: RunConfig) -> Run | None:
    """The part of a folder that a configuration asks for, when nothing of it is missing; None when sampling is needed.

    Raises:
        InputError: the folder holds a run of another configuration, or cannot be read.
    """
    config, folder = canonical_config(config), require_path(folder, what="a run folder")
    if begun_shards(folder):
        together = read_run(folder)
        require_same_run(together.config, config, folder=folder)
        part = together.part(num_samples=config.num_samples, limit=config.limit)
        enough = together.config.limit is None or (config.limit or math.inf) <= together.config.limit
        return part if part.complete and enough else None
    if not os.path.lexists(folder / CONFIG):
        return None

    # config.json and the journal usually tell that samples are missing; then samples.jsonl need not be read for it.
    header = read_header(folder)
    stored = header.config
    require_same_run(stored, config, folder=folder)
    if stored.limit is not None and (config.limit is None or config.limit > stored.limit):
        return None
    if header.problems is not None:
        problems = len(header.shard.of(range(min(header.problems, config.limit or header.problems))))
        journal, _ = read_journal(folder, header)
        if sum(flush.samples for flush in journal) < problems * config.num_samples:
            return None

    part = read_run(folder).part(num_samples=config.num_samples, limit=config.limit)
    return part if part.complete else None


def reusable_run(
    folder: str | Path, config: RunConfig, task: Task, *, dtype: str = "auto", shard: Shard = WHOLE
) -> Run | None:
    """The stored run, if going on with it would change nothing: all that is wanted, and the same model, type and data;
    where it is complete, its seal as well.

    Args:
        folder: where the run would be; it need not exist.
        config: which run, and how much of it.
        task: the task of `config.task`, with the data of today.
        dtype: of the weights, by name; "auto" takes any.
        shard: which part of the run, in its folder below.

    Raises:
        InputError: the folder holds a run of another configuration or of other code, or cannot be read.
    """
    own = shard.folder(Path(folder))
    now = codes(config.order, task)
    places = begun_shards(own) or [own] * os.path.lexists(own / CONFIG)
    for place in places if now else ():
        require_same_code(read_header(place).record, now, folder=f"run folder {place}")
    run = read_finished_run(own, config)
    if run is None or dtype not in ("auto", run.record["environment"]["dtype"]) or not made_by(run.record, config):
        return None
    if places == [own] and not os.path.lexists(own / SUMMARY) and read_run(own).complete:
        return None  # all is there but the end of its last write: it has no seal and may be out of order
    problems = problems_of(task)[: config.limit]
    data = [(problem.id, data_hash(problem)) for problem in shard.of(problems)]
    stored = run.problems[["problem_id", "data_hash"]].itertuples(index=False, name=None)
    same_prompt = dataclasses.asdict(run_prompt(config, task, problems[0])) == run.record.get("first_prompt")
    return run if same_prompt and list(stored) == data else None


def _samples(folder: Path, header: Header, problems: int, config: RunConfig) -> int:
    """How many of the samples that are asked for a folder has, which is for so many problems of the whole run."""

    def extent(limit: int | None, num_samples: int) -> int:
        return len(header.shard.of(range(min(problems, limit or problems)))) * num_samples

    journal, _ = read_journal(folder, header)
    stored, most = sum(flush.samples for flush in journal), extent(None, header.config.num_samples)
    wanted = extent(config.limit, min(config.num_samples, header.config.num_samples))
    if most in (stored, wanted):  # all is there, or all that is there is asked for
        return min(stored, wanted)
    return read_contents(folder).count(num_samples=config.num_samples, limit=config.limit)
