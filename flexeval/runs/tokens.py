"""The token table of a run: one row per committed position, in Parquet shards that are written once and whole.

Knows the columns, their ranges, and how a shard is written and read. Which samples and shards belong to a run, the
caller says.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from flexeval.errors import DamageError, encodable, one_line
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Listed:
    """The samples whose rows are wanted, by number; see `sample_numbers`."""

    problem_ids: Sequence[str]
    """All problems, in order; a sample's number begins with the place of its problem here."""
    number_S: NDArray[np.int64]
    """Ascending."""
    length_S: NDArray[np.int64]
    """The length of each one's text."""

    @classmethod
    def of(cls, samples: pd.DataFrame, problem_ids: Sequence[str]) -> Listed:
        """Of a frame with columns problem_id, sample_index and length."""
        problem_S = pd.Index(problem_ids).get_indexer(pd.Index(samples["problem_id"]))
        number_S = sample_numbers(problem_S, samples["sample_index"])
        order_S = np.argsort(number_S)
        return cls(problem_ids=problem_ids, number_S=number_S[order_S], length_S=samples["length"].to_numpy()[order_S])

    def numbered_from(self, first: int, count: int) -> Listed:
        """Those whose sample index is one of so many from `first` on, counted from there."""
        index_S = self.number_S - sample_numbers(problems_of_numbers(self.number_S), 0)
        own_S = (first <= index_S) & (index_S < first + count)
        return dataclasses.replace(self, number_S=self.number_S[own_S] - first, length_S=self.length_S[own_S])

    def places_of(self, problem_ids: pd.Series[Any]) -> NDArray[np.int64]:
        """Where each problem stands among all; -1 where it does not."""
        return np.asarray(pd.Index(self.problem_ids).get_indexer(pd.Index(problem_ids)), dtype=np.int64)

    def places(self, number_N: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where each number stands among these; -1 where it does not."""
        if not len(self.number_S):
            return np.full(len(number_N), -1)
        place_N = np.searchsorted(self.number_S, number_N).clip(max=len(self.number_S) - 1)
        found_N: NDArray[np.int64] = np.where(self.number_S[place_N] == number_N, place_N, -1)
        return found_N


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredRows:
    """Rows of one shard that are of listed samples: token rows, or of words."""

    table: pa.Table
    number_R: NDArray[np.int64]
    """The sample of each row."""
    seen_S: NDArray[np.int64]
    """The listed samples that the shard holds, also those that have no row here."""

    def where(self, kept_R: NDArray[np.bool_]) -> StoredRows:
        """Some of the rows."""
        if kept_R.all():
            return self
        return dataclasses.replace(self, table=self.table.filter(pa.array(kept_R)), number_R=self.number_R[kept_R])

    def renumbered(self, first: int) -> StoredRows:
        """The same rows, with sample indices that count from `first`."""
        table, name = self.table, "sample_index"
        if first and name in table.column_names:
            indices = pa.array(table[name].to_numpy() + np.int32(first), pa.int32())
            table = table.set_column(table.column_names.index(name), SCHEMA.field(name), indices)
        return StoredRows(table=table, number_R=self.number_R + first, seen_S=self.seen_S + first)


class TokenShard:
    """A shard that was read: which samples it holds is known and checked, its columns are decoded when asked for."""

    def __init__(self, path: Path, listed: Listed, *, sampling: SamplingConfig, key: str, where: Path) -> None:
        """
        Args:
            path: of the shard.
            listed: the samples that are wanted.
            sampling: how the samples were drawn, which says what rows there must be.
            key: of the run's checksums; empty in format 1.
            where: the folder of the shards, for messages.

        Raises:
            DamageError: it is missing or not as it was written, or a sample whose text lacks rows or has rows twice.
        """
        self._path, self._key, self._where = path, key, where
        self._file, held = _opened(path, key, where)
        if held.position_S.max(initial=-1) >= sampling.gen_length:
            raise DamageError(f"{where} holds a position beyond gen_length {sampling.gen_length}; {RESTORE}")
        if not held.in_order:
            raise DamageError(TWICE.format(where=where))
        number_S = sample_numbers(listed.places_of(held.problem_ids)[held.problem_S], held.index_S)
        place_S = listed.places(number_S)
        listed_S = place_S >= 0
        self.seen_S = number_S[listed_S]
        """The listed samples that it holds."""
        self.number_R = np.repeat(np.where(listed_S, number_S, -1), held.rows_S)
        """The sample of each row; -1 where it is not listed."""
        if len(self.seen_S):
            self._require_texts(held, listed_S, listed.length_S[place_S], sampling)

    def table(self, columns: Sequence[str]) -> pa.Table:
        """Columns of all rows. Raises DamageError for an impossible value."""
        return _table(self._file, columns, path=self._path, key=self._key, where=self._where)

    def rows(self, columns: Sequence[str]) -> StoredRows:
        """Columns of the rows of listed samples."""
        if not len(self.seen_S):
            empty = pa.schema([SCHEMA.field(name) for name in columns]).empty_table()
            return StoredRows(table=empty, number_R=self.number_R[:0], seen_S=self.seen_S)
        rows = StoredRows(table=self.table(columns), number_R=self.number_R, seen_S=self.seen_S)
        return rows.where(self.number_R >= 0)

    def _require_texts(
        self, held: _Held, listed_S: NDArray[np.bool_], length_S: NDArray[np.int64], sampling: SamplingConfig
    ) -> None:
        """Every listed sample has the rows of its text."""
        wrong_S = (held.last_in_text_S >= length_S) | (held.first_after_S < length_S)
        if (wrong_S & listed_S).any():
            raise DamageError(f"{self._where} holds a row that is on the wrong side of the end of its text; {RESTORE}")
        # Only where the mask token may be drawn can a position of a text be without a row.
        if sampling.logits_mask_inf:
            lost = int(((held.in_text_S != length_S) & listed_S).sum())
            if lost:
                raise DamageError(LOST.format(where=self._where, lost=lost))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Held:
    """The samples that a shard holds, each in one piece."""

    problem_ids: pd.Series[Any]
    problem_S: NDArray[np.int32]
    """A place in `problem_ids`."""
    index_S: NDArray[np.int32]
    rows_S: NDArray[np.intp]
    position_S: NDArray[np.int32]
    """The largest one."""
    in_order: bool
    """Whether positions rise within each sample."""
    in_text_S: NDArray[np.int32]
    """Rows in the text."""
    last_in_text_S: NDArray[np.int32]
    """Position; -1 where there is none."""
    first_after_S: NDArray[np.int32]
    """Position; `_NO_POSITION` where there is none."""


_CHECKED: dict[tuple[Path, str], tuple[tuple[int, int, int], _Held]] = {}
"""What checked shards hold, with what the file system said of them: while it says the same, the bytes are the same, and
columns are read without the others.
"""
_MOST_CHECKED = 4096
_COARSE = 2_000_000_000
"""Nanoseconds within which a file may change without another time of change."""
_NO_POSITION = np.iinfo(np.int32).max


def _opened(path: Path, key: str, where: Path) -> tuple[pq.ParquetFile, _Held]:
    """A shard's file, and what it holds."""
    version = _version(path)
    known, held = _CHECKED.get((path, key), (None, None))
    if held is not None and known == version:
        with _readable(path):
            # A path as text may be taken for an address, as "eb:gamma=1/..." is, and need not be text.
            return pq.ParquetFile(pa.OSFile(os.fsencode(path))), held
    file = open_table(path, SCHEMA, key=key)
    held = _held(file, path, key, where)
    if version is not None and time.time_ns() - version[-1] > _COARSE:
        if len(_CHECKED) >= _MOST_CHECKED:
            _CHECKED.clear()
        _CHECKED[path, key] = (version, held)
    return file, held


def _version(path: Path) -> tuple[int, int, int] | None:
    """What changes with a file; None where there is none, of which its reader will say so."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns


def _held(file: pq.ParquetFile, path: Path, key: str, where: Path) -> _Held:
    table = _table(file, [*KEYS, "in_text"], path=path, key=key, where=where)
    with _readable(path):
        problems = table["problem_id"].combine_chunks() if len(table) else pa.array([], WORD)
        problem_ids, problem_R = problems.dictionary.to_pandas(), problems.indices.to_numpy()
        index_R, position_R, in_text_R = (table[name].to_numpy() for name in (*KEYS[1:], "in_text"))
    begins_R = np.ones(len(table), dtype=np.bool_)
    begins_R[1:] = (np.diff(problem_R) != 0) | (np.diff(index_R) != 0)
    start_S = np.flatnonzero(begins_R)
    rows_S = np.diff(start_S, append=len(table))

    def of_sample(reduce: np.ufunc, values_R: NDArray[Any]) -> NDArray[np.int32]:
        reduced: NDArray[np.int32] = reduce.reduceat(values_R, start_S) if len(start_S) else values_R
        return reduced

    return _Held(
        problem_ids=problem_ids,
        problem_S=problem_R[start_S],
        index_S=index_R[start_S],
        rows_S=rows_S,
        position_S=of_sample(np.maximum, position_R),
        in_order=not ((np.diff(position_R) <= 0) & ~begins_R[1:]).any(),
        in_text_S=of_sample(np.add, in_text_R.astype(np.int32)),
        last_in_text_S=of_sample(np.maximum, np.where(in_text_R, position_R, np.int32(-1))),
        first_after_S=of_sample(np.minimum, np.where(in_text_R, np.int32(_NO_POSITION), position_R)),
    )


def _table(file: pq.ParquetFile, columns: Sequence[str], *, path: Path, key: str, where: Path) -> pa.Table:
    table = read_columns(file, columns, path=path, key=key)
    require_ranges({name: table[name] for name in columns if name in RANGES}, where, RANGES, MAY_LACK)
    return table


KEYS = ("problem_id", "sample_index", "position")
TWICE = "{where} holds rows of a sample twice; remove the shard that was copied there"
LOST = "{where} has lost token rows of {lost} samples; restore it, or use another folder"


def require_shards(paths: Sequence[Path], *, key: str) -> None:
    """Raise DamageError for a shard that is missing or not as it was written."""
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
        DamageError: it is missing, not as it was written, or another kind of table.
    """
    return read_columns(open_table(path, schema, key=key), columns, path=path, key=key)


def open_table(path: Path, schema: pa.Schema, *, key: str) -> pq.ParquetFile:
    """A Parquet file that is as it was written; arguments and errors as `read_table`."""
    data = read_named_file(path, key=key) if key else read_file(path)
    with _readable(path):
        file = pq.ParquetFile(pa.BufferReader(data))
        if not file.schema_arrow.equals(schema):
            raise DamageError(f"{path}: another table than flexeval writes; {RESTORE}")
    return file


def read_columns(file: pq.ParquetFile, columns: Sequence[str], *, path: Path, key: str) -> pa.Table:
    """Columns of an open file, each in one piece; arguments and errors as `read_table`."""
    with _readable(path):
        # Without what pandas wrote beside the schema: the columns say it all.
        table = file.read(columns=list(columns)).replace_schema_metadata()
        if not key:
            # Nothing says that the bytes are those that were written, and a wrong index reads elsewhere in memory.
            table.validate(full=True)
        table = table.select(list(columns))
        return table.unify_dictionaries().combine_chunks() if len(table) else table


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, MemoryError, OverflowError, UnicodeDecodeError) as error:
        raise DamageError(f"{path}: no table that can be read ({one_line(error)}); {RESTORE}") from None


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


def require_ranges(
    columns: Mapping[str, Any], where: Path, ranges: Mapping[str, tuple[float, float]], may_lack: Collection[str]
) -> None:
    """Raise DamageError for a number that no measurement can be.

    Args:
        columns: of a table or a frame, by name.
        where: what messages call them.
        ranges: least and largest value of columns, infinity excluded.
        may_lack: the columns that may be NaN.
    """
    for name, column in columns.items():
        values_R = column.to_numpy()
        if len(values_R):
            low, high = ranges[name]
            slack = _ROUNDING if values_R.dtype.kind == "f" else 0
            # Of NaN, min and max are NaN; the others skip it.
            reduce = (np.fmin, np.fmax) if name in may_lack else (np.minimum, np.maximum)
            least, largest = (ufunc.reduce(values_R) for ufunc in reduce)
            lacks_all = name in may_lack and np.isnan(largest)
            if not lacks_all and not (low - slack <= least and largest <= high + slack and largest < np.inf):
                value = largest if low - slack <= least else least
                raise DamageError(f"{where} holds {name} {value:g}, which cannot be; {RESTORE}")


def problems_of_numbers(number_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each sample's problem; see `sample_numbers`."""
    return number_N >> 31


def sample_numbers(problem: ArrayLike, sample_index: ArrayLike) -> NDArray[np.int64]:
    """One integer per (problem, sample), in that order; negative where the problem is (-1)."""
    return np.asarray(problem, np.int64) * 2**31 + np.asarray(sample_index, np.int64)
