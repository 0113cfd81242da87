"""The token table of a run: one row per committed position, in Parquet shards that are written once and whole.

Knows the columns, their ranges, and how a shard is written and read. Which samples and shards belong to a run, the
caller says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from flexeval.errors import InputError, did_you_mean, encodable, one_line
from flexeval.records import SamplingConfig
from flexeval.runs.checksums import named_by_content, read_named_file
from flexeval.runs.files import RESTORE, read_file, replace_file
from flexeval.runs.layout import GradedSample

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
"""The fields of `Trajectory` say what the measurements mean; entropies are in nats."""

RANGES: dict[str, tuple[float, float]] = {
    "sample_index": (0, np.inf),
    "position": (0, np.inf),
    "token_id": (0, np.inf),
    "commit_step": (0, np.inf),
    "entropy": (0, np.inf),
    "prob": (0, 1),
    "rank": (0, np.inf),
    "top_prob": (0, 1),
    "eligible_entropy": (0, np.inf),
    "frontier_step": (-1, np.inf),
    "frontier_entropy": (0, np.inf),
    "passes": (0, np.inf),
}
"""Least and largest value of each number, infinity excluded."""
MAY_LACK = ("eligible_entropy", "frontier_entropy")
"""The measurements that are NaN where a position has none."""
_ROUNDING = 1e-5
"""How far rounding may put a probability or an entropy in float32 outside its range."""


def write_shard(folder: Path, number: int, samples: Sequence[GradedSample], *, key: str) -> Path:
    """Write the token rows of some samples as a shard; its path, which says what the shard holds.

    Args:
        folder: the run's token folder.
        number: of the shard in the run, from 0.
        samples: finished.
        key: of the run's checksums.

    Raises:
        OSError: it could not be written; nothing is left behind.
    """
    data = table_bytes(_rows(samples))
    path = folder / named_by_content(f"part-{number:05d}", ".parquet", data, key=key)
    replace_file(path, data)
    return path


def read_tokens(
    paths: Sequence[Path],
    samples: pd.DataFrame,
    problem_ids: Sequence[str],
    columns: Sequence[str] | None = None,
    *,
    sampling: SamplingConfig,
    key: str,
    where: Path,
) -> pd.DataFrame:
    """The token rows of some samples, sorted by problem (in the order given), sample and position.

    Args:
        paths: the run's shards.
        samples: columns problem_id, sample_index, length: the samples whose rows are wanted.
        problem_ids: all problems, in order; the categories of the problem_id column.
        columns: which columns of `SCHEMA`; None for all. Fewer columns are read faster.
        sampling: how the samples were drawn, which says what rows there must be.
        key: of the run's checksums; empty in format 1.
        where: the folder of the shards, for messages.

    Raises:
        InputError: an unknown column, a shard that is missing or not as it was written, an impossible value, or a
            sample whose text lacks rows or has rows twice.
    """
    wanted = list(SCHEMA.names if columns is None else columns)
    for name in wanted:
        if name not in SCHEMA.names:
            raise did_you_mean("column of the token table", name, SCHEMA.names)
    keys = ["problem_id", "sample_index", "position"]
    frame = _read(paths, [*keys, *(name for name in wanted if name not in keys)], key=key)
    require_ranges(frame, where, RANGES, MAY_LACK)
    frame["problem_id"] = frame["problem_id"].cat.set_categories(list(problem_ids))
    sample_R = sample_numbers(frame["problem_id"].cat.codes, frame["sample_index"])
    listed = pd.Categorical(samples["problem_id"], categories=list(problem_ids)).codes
    listed_S = sample_numbers(listed, samples["sample_index"])
    length_S = samples["length"].to_numpy()[np.argsort(listed_S)]
    listed_S.sort()
    kept_R = np.flatnonzero(np.isin(sample_R, listed_S))

    # A shard holds each of its samples in one piece and in order of position, which a stable sort keeps.
    order_R = kept_R[np.argsort(sample_R[kept_R], kind="stable")]
    sample_R, position_R = sample_R[order_R], frame["position"].to_numpy()[order_R]
    if (position_R >= sampling.gen_length).any():
        raise InputError(f"{where} holds a position beyond gen_length {sampling.gen_length}; {RESTORE}")
    if ((np.diff(sample_R) == 0) & (np.diff(position_R) <= 0)).any():
        raise InputError(f"{where} holds rows of a sample twice; remove the shard that was copied there")
    rows = frame[wanted].iloc[order_R].reset_index(drop=True)
    _require_texts(rows, sample_R, position_R, listed_S, length_S, sampling, where)
    if "piece" in wanted:
        rows["piece"] = rows["piece"].cat.remove_unused_categories()
    return rows


def require_shards(paths: Sequence[Path], *, key: str) -> None:
    """Raise InputError for a shard that is missing or not as it was written."""
    for path in paths:
        read_named_file(path, key=key)


def table_bytes(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file, so that it reaches the disk in one write that can be undone."""
    buffer = BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def read_table(path: Path, schema: pa.Schema, columns: Sequence[str], *, key: str) -> pa.Table:
    """Columns of a Parquet file.

    Args:
        path: written with `table_bytes` under a name of `named_by_content`.
        schema: what the file must have.
        columns: which of its columns.
        key: of the run's checksums; empty in format 1.

    Raises:
        InputError: it is missing, not as it was written, or another kind of table.
    """
    data = read_named_file(path, key=key) if key else read_file(path)
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        if not file.schema_arrow.equals(schema):
            raise InputError(f"{path}: another table than flexeval writes; {RESTORE}")
        # Without what pandas wrote beside the schema: the columns say it all.
        table = file.read(columns=list(columns)).replace_schema_metadata()
        if not key:
            # Nothing says that the bytes are those that were written, and a wrong index reads elsewhere in memory.
            table.validate(full=True)
    except (pa.ArrowException, OSError, MemoryError, OverflowError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: no table that can be read ({one_line(error)}); {RESTORE}") from None
    return table


def _rows(samples: Sequence[GradedSample]) -> pa.Table:
    trajectories = [sample.trajectory for sample in samples]
    committed = [np.flatnonzero(trajectory.commit_step_G >= 0) for trajectory in trajectories]
    counts = [len(positions) for positions in committed]

    def of_sample(values: Sequence[str] | Sequence[int]) -> NDArray[Any]:
        return np.repeat(np.asarray(values), counts)

    def of_token(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(t, name)[at] for t, at in zip(trajectories, committed, strict=True)])

    position = np.concatenate(committed)
    pieces = [encodable(sample.pieces[i]) for sample, at in zip(samples, committed, strict=True) for i in at.tolist()]
    columns = {
        "problem_id": pa.array(of_sample([t.problem_id for t in trajectories])).dictionary_encode(),
        "sample_index": of_sample([t.sample_index for t in trajectories]),
        "position": position,
        "token_id": of_token("token_ids_G"),
        "piece": pa.array(pieces, pa.string()).dictionary_encode(),
        "in_text": position < of_sample([t.length for t in trajectories]),
    }
    measured = {name: of_token(f"{name}_G") for name in SCHEMA.names if name not in columns}
    return pa.table({**columns, **measured}, schema=SCHEMA)


def _read(paths: Sequence[Path], columns: Sequence[str], *, key: str) -> pd.DataFrame:
    schema = pa.schema([SCHEMA.field(name) for name in columns])
    tables = [read_table(path, SCHEMA, columns, key=key) for path in paths]
    table = pa.concat_tables(tables).select(list(columns)).unify_dictionaries() if tables else schema.empty_table()
    del tables
    frame: pd.DataFrame = table.to_pandas(self_destruct=True)
    return frame


def require_ranges(
    frame: pd.DataFrame, where: Path, ranges: Mapping[str, tuple[float, float]], may_lack: Collection[str]
) -> None:
    """Raise InputError for a number that no measurement can be.

    Args:
        frame: rows of a table.
        where: what messages call them.
        ranges: least and largest value of columns, infinity excluded.
        may_lack: the columns that may be NaN.
    """
    for name in frame.columns.intersection(list(ranges)):
        values_R = frame[name].to_numpy()
        if len(values_R):
            low, high = ranges[name]
            slack = _ROUNDING if values_R.dtype.kind == "f" else 0
            # Of NaN, min and max are NaN; the others skip it.
            reduce = (np.fmin, np.fmax) if name in may_lack else (np.minimum, np.maximum)
            least, largest = (ufunc.reduce(values_R) for ufunc in reduce)
            lacks_all = name in may_lack and np.isnan(largest)
            if not lacks_all and not (low - slack <= least and largest <= high + slack and largest < np.inf):
                value = largest if low - slack <= least else least
                raise InputError(f"{where} holds {name} {value:g}, which cannot be; {RESTORE}")


def _require_texts(
    rows: pd.DataFrame,
    sample_R: NDArray[np.int64],
    position_R: NDArray[np.int32],
    listed_S: NDArray[np.int64],
    length_S: NDArray[np.int64],
    sampling: SamplingConfig,
    where: Path,
) -> None:
    """Raise InputError unless every sample has the rows of its text.

    Args:
        rows: the rows that are wanted, any columns.
        sample_R: the sample of each, ascending.
        position_R: and its position.
        listed_S: the samples, ascending.
        length_S: the length of each one's text.
        sampling: a position of a text can only be without a row where the mask token may be drawn.
        where: what messages call the rows.
    """
    of_R = np.searchsorted(listed_S, sample_R)
    in_text_R = position_R < length_S[of_R]
    if "in_text" in rows and (rows["in_text"].to_numpy() != in_text_R).any():
        raise InputError(f"{where} holds a row that is on the wrong side of the end of its text; {RESTORE}")
    if sampling.logits_mask_inf:
        counted_S = np.bincount(of_R[in_text_R], minlength=len(listed_S))
        lost = int((counted_S != length_S).sum())
        if lost:
            raise InputError(f"{where} has lost token rows of {lost} samples; restore it, or use another folder")


def sample_numbers(problem: ArrayLike, sample_index: ArrayLike) -> NDArray[np.int64]:
    """One integer per (problem, sample), in that order; negative where the problem is (-1)."""
    return np.asarray(problem, np.int64) * 2**31 + np.asarray(sample_index, np.int64)
