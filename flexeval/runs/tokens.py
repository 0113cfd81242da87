"""The token table of a run: one row per committed position, in Parquet shards that are written once and whole.

Knows the columns and the shards. It does not know which samples a run ought to have: the caller says which count.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from flexeval.errors import InputError, did_you_mean
from flexeval.records import Trajectory
from flexeval.runs.files import replace_file

WORD = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("problem_id", WORD),
        ("sample_index", pa.int32()),
        ("position", pa.int32()),  # of the generated positions, from 0
        ("token_id", pa.int32()),
        ("piece", WORD),  # the text that the token adds
        ("in_text", pa.bool_()),  # before the first end-of-sequence
        ("commit_step", pa.int32()),
        ("entropy", pa.float32()),
        ("prob", pa.float32()),
        ("rank", pa.int32()),
        ("top_prob", pa.float32()),
        ("eligible_entropy", pa.float32()),
        ("frontier_step", pa.int32()),
        ("frontier_entropy", pa.float32()),
        ("passes", pa.int32()),
    ]
)
"""What the measurements mean stands at the fields of `Trajectory`; entropies are in nats."""

Pair = tuple[str, int]
"""Problem id and sample index: the key of a sample."""


def write_shard(folder: Path, trajectories: Sequence[Trajectory], pieces: Sequence[Sequence[str]]) -> Path:
    """Write the token rows of some samples as the next shard; its path.

    Args:
        folder: the run's token folder.
        trajectories: finished samples.
        pieces: of each sample, the text that each of its `gen_length` tokens adds.

    Raises:
        OSError: it could not be written; nothing is left behind.
    """
    taken = [int(path.stem.removeprefix("part-")) for path in shards(folder)]
    path = folder / f"part-{max(taken, default=-1) + 1:05d}.parquet"
    _write_table(path, _rows(trajectories, pieces))
    return path


def read_tokens(
    folder: Path, samples: pd.DataFrame, problem_ids: Sequence[str], columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """The token rows of some samples, sorted by problem (in the order given), sample and position.

    Args:
        folder: the run's token folder.
        samples: columns problem_id, sample_index: the samples whose rows are wanted.
        problem_ids: all problems, in order; the categories of the problem_id column.
        columns: which columns of `SCHEMA`; None for all. Fewer columns are read faster.

    Raises:
        InputError: an unknown column, a shard that cannot be read, or one sample in two shards.
    """
    wanted = list(SCHEMA.names if columns is None else columns)
    for name in wanted:
        if name not in SCHEMA.names:
            raise did_you_mean("column of the token table", name, SCHEMA.names)
    keys = ["problem_id", "sample_index", "position"]
    table = _read(shards(folder), [*keys, *(name for name in wanted if name not in keys)])
    frame: pd.DataFrame = table.to_pandas(self_destruct=True)
    frame["problem_id"] = frame["problem_id"].cat.set_categories(list(problem_ids))
    sample_R = _sample_numbers(frame["problem_id"].cat.codes, frame["sample_index"])
    listed = pd.Categorical(samples["problem_id"], categories=list(problem_ids)).codes
    kept_R = np.flatnonzero(np.isin(sample_R, _sample_numbers(listed, samples["sample_index"])))

    # A shard holds each of its samples in one piece and in order of position, which a stable sort keeps.
    order_R = kept_R[np.argsort(sample_R[kept_R], kind="stable")]
    position_R = frame["position"].to_numpy()[order_R]
    if ((np.diff(sample_R[order_R]) == 0) & (np.diff(position_R) <= 0)).any():
        raise InputError(f"{folder} holds rows of a sample twice; remove the shard that was copied there")
    rows = frame[wanted].iloc[order_R].reset_index(drop=True)
    if "piece" in wanted:
        rows["piece"] = rows["piece"].cat.remove_unused_categories()
    return rows


def shards(folder: Path) -> list[Path]:
    """The shards, oldest first."""
    return sorted(folder.glob("part-*.parquet"))


def drop_orphans(folder: Path, pairs: set[Pair]) -> set[Pair]:
    """Keep only the rows of some samples, and say which samples have rows.

    A kill between writing a shard and listing its samples leaves rows of samples that will be sampled again.
    """
    found: set[Pair] = set()
    for shard in shards(folder):
        keys = _read([shard], ["problem_id", "sample_index"]).group_by(["problem_id", "sample_index"]).aggregate([])
        here = set(zip(keys["problem_id"].to_pylist(), keys["sample_index"].to_pylist(), strict=True))
        found |= here & pairs
        if here <= pairs:
            continue
        table = _read([shard], SCHEMA.names)
        of_rows = zip(table["problem_id"].to_pylist(), table["sample_index"].to_pylist(), strict=True)
        kept = table.filter(pa.array([pair in pairs for pair in of_rows]))
        if kept.num_rows:
            _write_table(shard, kept)
        else:
            shard.unlink()
    return found


def _rows(trajectories: Sequence[Trajectory], pieces: Sequence[Sequence[str]]) -> pa.Table:
    committed = [np.flatnonzero(trajectory.commit_step_G >= 0) for trajectory in trajectories]
    counts = [len(positions) for positions in committed]

    def of_sample(values: Sequence[str] | Sequence[int]) -> NDArray[Any]:
        return np.repeat(np.asarray(values), counts)

    def of_token(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(t, name)[at] for t, at in zip(trajectories, committed, strict=True)])

    position = np.concatenate(committed)
    text = [texts[i] for texts, at in zip(pieces, committed, strict=True) for i in at.tolist()]
    columns = {
        "problem_id": pa.array(of_sample([t.problem_id for t in trajectories])).dictionary_encode(),
        "sample_index": of_sample([t.sample_index for t in trajectories]),
        "position": position,
        "token_id": of_token("token_ids_G"),
        "piece": pa.array(text, pa.string()).dictionary_encode(),
        "in_text": position < of_sample([t.length for t in trajectories]),
    }
    measured = {name: of_token(f"{name}_G") for name in SCHEMA.names if name not in columns}
    return pa.table({**columns, **measured}, schema=SCHEMA)


def _write_table(path: Path, table: pa.Table) -> None:
    """Serialised in memory first, so that the disk sees one write that can be undone."""
    buffer = BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    replace_file(path, buffer.getvalue())


def _read(paths: Sequence[Path], columns: Sequence[str]) -> pa.Table:
    schema = pa.schema([SCHEMA.field(name) for name in columns])
    if not paths:
        return schema.empty_table()
    try:
        dataset = ds.dataset([str(path) for path in paths], schema=SCHEMA, format="parquet")
        return dataset.to_table(columns=list(columns)).unify_dictionaries()
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"cannot read the token table in {paths[0].parent} ({reason}); restore it, or sample into another folder"
        ) from None


def _sample_numbers(problem: ArrayLike, sample_index: ArrayLike) -> NDArray[np.int64]:
    """One integer per (problem, sample), in that order; negative where the problem is (-1)."""
    return np.asarray(problem, np.int64) * 2**31 + np.asarray(sample_index, np.int64)
