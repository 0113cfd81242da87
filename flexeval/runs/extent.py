"""Where a run is stored, how much of it, and what forbids the rest, by config.json and the journal; samples.jsonl is
read only where they do not tell. Imports no torch.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from flexeval.errors import InputError
from flexeval.records import RunConfig
from flexeval.runs.identity import (
    canonical_config,
    codes,
    default_folder_name,
    made_by,
    require_continuable,
    require_same_code,
    require_same_run,
)
from flexeval.runs.joining import begun_shards
from flexeval.runs.layout import CONFIG, Header
from flexeval.runs.reader import read_contents, read_header, read_journal
from flexeval.runs.shards import WHOLE, Shard
from flexeval.runs.writer import require_checksums, require_place


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
    if not folder.exists():
        settings = folder.name.rpartition("-")[0]
        for other in sorted(folder.parent.glob(f"{settings}-*")):
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
