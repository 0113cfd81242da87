"""The words of a run: found once in its token rows, and kept beside them in one Parquet file, a row group a shard.

The file's name holds a checksum of the names of the shards, which hold those of their bytes, and one of its own bytes.
So words of other token rows are never taken for a run's: when it grows, they are found anew. A folder that cannot be
written, and one of format 1, has its words found each time. Nothing else depends on the file, and it may be removed at
any time.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from flexeval.errors import InputError
from flexeval.hashing import json_hash
from flexeval.runs.checksums import named_by_content
from flexeval.runs.files import replace_file
from flexeval.runs.layout import WORDS
from flexeval.runs.tokens import KEYS, WORD, StoredRows, TokenShard, open_table
from flexeval.stats.words import word_places

RULE = 1
"""Of what words and connectors are (`flexeval.stats.words`); grows when that changes, and all are found anew."""
SCHEMA = pa.schema(
    [
        ("row", pa.int32()),  # of the shard, where the word's first token is
        ("word", WORD),
        ("connector", pa.bool_()),
    ]
)
_ENCODED = {"compression": "zstd", "use_dictionary": ["word"], "column_encoding": {"row": "DELTA_BINARY_PACKED"}}


def stored_words(
    folder: Path, shards: Sequence[Path], read: Callable[[Path], TokenShard], columns: Sequence[str], *, key: str
) -> Iterator[StoredRows]:
    """The words of listed samples, shard by shard, with measurements of each one's first token.

    Args:
        folder: of the run.
        shards: of its token rows.
        read: reads one.
        columns: of the token table.
        key: of the run's checksums; where it is empty, words are not kept.

    Returns:
        Tables with word, connector, and the columns.
    """
    kept = _kept(folder, shards, key)
    if kept is not None:
        for place, path in enumerate(shards):
            yield _rows(read(path), kept.read_row_group(place), columns)
        return
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, SCHEMA, **_ENCODED) as writer:
        for path in shards:
            shard = read(path)
            words = _found(shard)
            if key:
                writer.write_table(words, row_group_size=max(1, len(words)))
            yield _rows(shard, words, columns)
    if key and shards:
        content = buffer.getvalue()
        _keep(folder, named_by_content(_stem(shards, key), ".parquet", content, key=key), content)


def _found(shard: TokenShard) -> pa.Table:
    rows = shard.table([*KEYS, "piece", "in_text"]).to_pandas()
    row_W, word_W, connector_W = word_places(rows)
    indices = pa.array(word_W.codes, pa.int32())
    words = pa.DictionaryArray.from_arrays(indices, pa.array(word_W.categories, pa.string()))
    return pa.table({"row": pa.array(row_W, pa.int32()), "word": words, "connector": connector_W}, schema=SCHEMA)


def _rows(shard: TokenShard, words: pa.Table, columns: Sequence[str]) -> StoredRows:
    """The words with columns of their rows, those of listed samples only."""
    row_W = words["row"].combine_chunks()
    table = shard.table(columns).take(row_W) if columns else words.select([])
    for name in ("word", "connector"):
        table = table.append_column(SCHEMA.field(name), words[name])
    rows = StoredRows(table=table, number_R=shard.number_R[row_W.to_numpy()], seen_S=shard.seen_S)
    return rows.where(rows.number_R >= 0)


# ----- the file -----


def _stem(shards: Sequence[Path], key: str) -> str:
    return f"{WORDS}-{json_hash([RULE, key, *(path.name for path in shards)])[:16]}"


def _kept(folder: Path, shards: Sequence[Path], key: str) -> pq.ParquetFile | None:
    """The words of exactly these shards; None where they are not there whole."""
    for path in folder.glob(f"{_stem(shards, key)}-*.parquet") if key else ():
        # What is damaged is found again.
        with contextlib.suppress(InputError):
            file = open_table(path, SCHEMA, key=key)
            if file.num_row_groups == len(shards):
                return file
    return None


def _keep(folder: Path, name: str, words: bytes) -> None:
    """Put the file in place and remove older ones. Where the folder cannot be written, or is full, nothing is kept."""
    older = set(folder.glob(f"{WORDS}-*.parquet"))
    with contextlib.suppress(OSError):
        replace_file(folder / name, words)
        for path in older - {folder / name}:
            path.unlink(missing_ok=True)
