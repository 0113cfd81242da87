"""The shards of a run -> one run folder, as an undivided run would have left it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from flexeval.errors import InputError
from flexeval.runs.checksums import End, first_checksum, line_bytes
from flexeval.runs.counterfactual_table import KEYS, rows_in, samples_of, write_rows
from flexeval.runs.files import TEMPORARY_SUFFIX, replace_file, sync
from flexeval.runs.identity import differing_settings
from flexeval.runs.joining import begun_shards, is_begun, joined
from flexeval.runs.layout import CONFIG, DERIVED, JOURNAL, LOCK, PROBLEMS, SAMPLES, SUMMARY, TOKENS, Flush
from flexeval.runs.reader import Contents, read_contents, read_header
from flexeval.runs.run import Run, read_run
from flexeval.runs.shards import WHOLE, shard_named, shards_below
from flexeval.runs.tokens import require_shards
from flexeval.runs.writer import RunWriter, header_bytes, lock_run, problem_bytes, require_checksums, sorted_keys

_FILES = {CONFIG, PROBLEMS, SAMPLES, JOURNAL, SUMMARY, LOCK, TOKENS}
"""What a run folder consists of, apart from what is made of its token rows."""


def find_shards(path: Path) -> list[Path]:
    """The shards that a path stands for: itself, those of a run, or those of all runs below it.

    Raises:
        InputError: there is none.
    """
    if (path / CONFIG).exists() and read_header(path).shard != WHOLE:
        return [path]
    runs = [path, *sorted({found.parent for found in path.rglob("shard-*-of-*") if shard_named(found)} - {path})]
    # Beside a whole run lie shards where a merge was stopped at its end.
    found = [shard for run in runs for shard in (shards_below(run).values() if _is_run(run) else begun_shards(run))]
    if not found:
        raise InputError(f"there is no shard in {str(path)!r}; give a folder that `flexeval passk --shard I/N` wrote")
    return found


def _is_run(folder: Path) -> bool:
    return (folder / CONFIG).exists()


def require_apart(runs: Mapping[Path, Sequence[Path]]) -> None:
    """Check that no two folders would each become a part of one run.

    Args:
        runs: the shards that go into each folder.

    Raises:
        InputError: the shards of a run lie in two of them.
    """
    headers = {out: [read_header(shard) for shard in shards if _is_run(shard)] for out, shards in runs.items()}
    for (one, own), (other, theirs) in itertools.combinations(headers.items(), 2):
        alike = [
            (first.shard, second.shard)
            for first, second in itertools.product(own, theirs)
            if first.key == second.key and not differing_settings(first.config, second.config)
        ]
        # A run that was made twice is two.
        if alike and not any(first.overlaps(second) for first, second in alike):
            raise InputError(
                f"shards of one run lie in {one} and in {other}; name the folder that they are to become with --out"
            )


def merge(shards: Sequence[Path], *, out: Path) -> Run:
    """Make one run folder of shards, finished or not, with the AR counterfactuals that they have. Those that lie below
    it are removed once it is whole; of those that are linked there, the links.

    A kill at any moment loses nothing, and the same call goes on.

    Args:
        shards: folders of shards of one run; at least one.
        out: the folder: that of the run in which they lie, a new or an empty one.

    Returns:
        The run. What no shard has is missing in it, and is drawn when it is continued.

    Raises:
        InputError: shards of different runs or with the same samples, a shard or the folder in use, damage, or a folder
            or a shard to be removed that holds something else.
        OSError: the folder cannot be written; the shards are untouched.
    """
    removed = [shard for shard in shards if shard.parent.resolve() == out.resolve()]
    for shard in removed:
        _require_own(shard)
    with contextlib.ExitStack() as held:
        # Of a shard that an earlier merge was about to remove, config.json is gone.
        there = [shard for shard in shards if _is_run(shard)] if _is_run(out) else shards
        for shard in there:
            require_checksums(read_header(shard).key, folder=shard)
            held.enter_context(lock_run(shard))
        parts = {shard: read_contents(shard) for shard in there}
        stored = [rows_in([shard], key=part.header.key) for shard, part in parts.items()]
        for shard, part in parts.items():
            require_shards([*part.shards(shard), *part.revised(shard)], key=part.header.key)
        whole = joined(parts, folder=out) if parts else None
        _claim(out, shards)
        held.enter_context(lock_run(out))
        if whole is not None:
            _finish(out, whole) if _is_run(out) else _write(out, parts, whole)
        run = read_run(out)
        if any(map(len, stored)):
            _keep_counterfactuals(run, stored)
        for shard in removed:
            _remove(shard)
    return run


def _keep_counterfactuals(run: Run, stored: Sequence[pd.DataFrame]) -> None:
    """Give the run the AR counterfactuals that were computed of its shards."""
    own = rows_in([run.folder], key=run.key)
    known = samples_of(own)
    new = [rows for rows in stored if not samples_of(rows) <= known]
    if new:
        rows = pd.concat([own, *new], ignore_index=True).drop_duplicates(KEYS, ignore_index=True)
        write_rows(run, rows.astype({"problem_id": "category"}))


def _require_own(shard: Path) -> None:
    """Raise InputError where a shard that is to be removed holds what is no part of a run."""
    if shard.is_symlink():
        return
    for path in sorted(shard.rglob("*")):
        inside = path.parent == shard / TOKENS and path.suffix in (".parquet", TEMPORARY_SUFFIX)
        if not inside and (path.parent != shard or not (path.name in _FILES or _is_by_the_way(path))):
            raise InputError(f"{path} is no part of a shard, which is removed once it is merged; move it elsewhere")


def _is_by_the_way(path: Path) -> bool:
    """Whether a file is made of a run's own, or was left by a kill."""
    return path.name.endswith(TEMPORARY_SUFFIX) or path.name.startswith(DERIVED)


def _remove(shard: Path) -> None:
    """Remove a shard below the run; of a shard that lies elsewhere, the link to it."""
    if shard.is_symlink():
        shard.unlink()
        return
    (shard / CONFIG).unlink(missing_ok=True)
    shutil.rmtree(shard)


def _claim(out: Path, shards: Sequence[Path]) -> None:
    """Create the folder, and refuse one that holds anything but these shards and what a merge has begun."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; name a folder to write the run to")
    out.mkdir(parents=True, exist_ok=True)
    if _is_run(out):
        return
    known = {LOCK, TOKENS, PROBLEMS, SAMPLES, JOURNAL}
    given = {shard.resolve() for shard in shards}
    for path in sorted(out.iterdir()):
        if path.name in known or _is_by_the_way(path):
            continue
        if path.resolve() not in given and not (path.is_dir() and shard_named(path) and not is_begun(path)):
            raise InputError(f"{out} holds {path.name!r}, which is not among the shards; use another --out")


def _finish(out: Path, whole: Contents) -> None:
    """Seal the run that an earlier merge has written. Raises InputError unless it has every sample of the shards."""
    stored = read_contents(out)
    if any(stored.samples.get(key) != row for key, row in whole.samples.items()):
        raise InputError(f"run folder {out} is of a whole run, which lacks samples of the shards; use another --out")
    RunWriter(out, stored, whole.header.record["environment"]).finish()


def _write(out: Path, parts: dict[Path, Contents], whole: Contents) -> None:
    """Write the files of the whole run; config.json, which makes a run of them, comes before the seal only."""
    # Token rows, under the numbers that they have in the whole run.
    tokens = out / TOKENS
    tokens.mkdir(exist_ok=True)
    for kind in ("part", "revised"):
        for left in tokens.glob(f"{kind}-*.parquet*"):
            left.unlink()
    journal: list[Flush] = []
    for folder, part in parts.items():
        for flush in part.journal:
            shard, revised = (
                None if name is None else _renamed(folder / TOKENS / name, tokens, len(journal))
                for name in (flush.shard, flush.revised)
            )
            journal.append(dataclasses.replace(flush, shard=shard, revised=revised))

    # The names of the token files must be on the disk before the shards that have them are removed.
    sync(tokens)

    # Lines, and then the configuration.
    key, samples = whole.header.key, {sample: whole.samples[sample] for sample in sorted_keys(whole)}
    ends = {}
    for name, lines in ((SAMPLES, samples.values()), (JOURNAL, (flush.as_dict() for flush in journal))):
        data, checksum = line_bytes(lines, first_checksum(key, name))
        replace_file(out / name, data)
        ends[name] = End(checksum=checksum, size=len(data))
    data, ends[PROBLEMS] = problem_bytes(whole.problems, key)
    replace_file(out / PROBLEMS, data)
    replace_file(out / CONFIG, header_bytes(whole.header))
    merged = dataclasses.replace(whole, samples=samples, journal=journal, ends=ends)
    RunWriter(out, merged, whole.header.record["environment"]).finish()


def _renamed(path: Path, tokens: Path, number: int) -> str:
    """Give a token file the number of its flush in the whole run; its name there."""
    kind, _, digest = path.name.split("-", 2)
    name = f"{kind}-{number:05d}-{digest}"
    _link(path, tokens / name)
    return name


def _link(path: Path, to: Path) -> None:
    """A second name for a file that never changes; a copy where the file system has no such names."""
    try:
        os.link(path, to)
    except OSError:
        # So that an error names the disk that is full, and not the one that is read.
        replace_file(to, path.read_bytes())
