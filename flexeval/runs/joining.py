"""The shards of a run, read as one run. Changes nothing on the disk."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path

from flexeval.errors import InputError
from flexeval.runs.identity import CODES, differing_settings, larger_extent, require_same_problems
from flexeval.runs.layout import CONFIG, SAMPLES, SampleKey
from flexeval.runs.reader import Contents
from flexeval.runs.shards import WHOLE, Shard, shards_below


def begun_shards(run: Path) -> list[Path]:
    """The folders of a run's shards that hold something; none where the whole run has been made of them."""
    if os.path.lexists(run / CONFIG):
        return []
    return [path for path in shards_below(run).values() if is_begun(path)]


def is_begun(shard: Path) -> bool:
    """Whether a folder would be a loss. It becomes a run folder with its config.json, the last of its first files."""
    samples = shard / SAMPLES
    return os.path.lexists(shard / CONFIG) or (samples.exists() and samples.stat().st_size > 0)


def joined(parts: Mapping[Path, Contents], *, folder: Path) -> Contents:
    """The contents of several shards as those of one folder. The names of the token files stay as they are.

    Args:
        parts: the folder of each shard, and what it holds; at least one.
        folder: what messages call the whole.

    Raises:
        InputError: shards of different runs, or with the same samples.
    """
    # They are of one run, as large as the largest of them asks for.
    (first, begun), *others = parts.items()
    for path, part in others:
        for setting, one, other in differing_settings(begun.header.config, part.header.config):
            raise InputError(
                f"{first} and {path} are shards of different runs, with {setting} {one!r} and {other!r}; join those of "
                "one run"
            )
        if part.header.key != begun.header.key:
            raise InputError(
                f"{first} and {path} are shards of runs with other weights or dtypes; join those of one run"
            )
        require_same_problems(begun.problems, part.problems, part.header.config.limit, folder=first)
    codes = _codes(parts)
    config = functools.reduce(larger_extent, (part.header.config for part in parts.values()))
    problems = max((part.problems for part in parts.values()), key=len)

    # No sample is there twice.
    samples, owner = {}, dict[SampleKey, Path]()
    for path, part in parts.items():
        for key, row in part.samples.items():
            if key in owner:
                raise InputError(
                    f"sample {key[1]} of problem {key[0]!r} is in two shards, {owner[key]} and {path}; leave one out"
                )
            owner[key], samples[key] = path, row
    return Contents(
        header=dataclasses.replace(
            begun.header,
            config=config,
            problems=len(problems),
            shard=WHOLE,
            record={**begun.header.record, **codes},
        ),
        problems=problems,
        samples=samples,
        journal=[flush for part in parts.values() for flush in part.journal],
        ends={},
    )


def _codes(parts: Mapping[Path, Contents]) -> dict[str, str]:
    """What shards say of others' code; those of earlier versions do not. Raises InputError where it differs."""
    found: dict[str, str] = {}
    told: dict[str, Path] = {}
    for path, part in parts.items():
        for name in CODES.keys() & part.header.record.keys():
            code = part.header.record[name]
            if found.setdefault(name, code) != code:
                setting, instead = CODES[name][0], "join those of one run"
                if name == "task_code":
                    instead = "have `flexeval grade` give all of them verdicts by the code of now"
                raise InputError(f"{told[name]} and {path} were made with other code of their {setting}; {instead}")
            told.setdefault(name, path)
    return found


def lacking(parts: Mapping[Path, Contents], whole: Contents) -> str:
    """What a run lacks that is read from these shards, in words; empty where nothing is missing."""
    shards = [part.header.shard for part in parts.values()]
    places = range(len(whole.problems))
    left = set(places).difference(*(shard.of(places) for shard in shards))
    said = []
    if left and len({shard.count for shard in shards}) == 1:
        count = shards[0].count
        names = [str(Shard(index=index, count=count)) for index in sorted({place % count for place in left})]
        said.append(f"shard{'s' if len(names) > 1 else ''} {', '.join(names)}")
    elif left:
        said.append(f"the shards of {len(left)} problems")
    for shard, part in zip(shards, parts.values(), strict=True):
        expected = len(shard.of(places)) * whole.header.config.num_samples
        if missing := expected - len(part.samples):
            said.append(f"{missing} of {expected} samples of shard {shard}")
    return ", ".join(said)
