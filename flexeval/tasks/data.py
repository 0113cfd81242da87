"""Find and read the rows of a published benchmark: a local file in the upstream format, else the hub.

A local folder comes from the task's `data_dir`, else from the environment variable FLEXEVAL_DATA_DIR.
With neither, the rows come from the hub through `datasets`, which is imported only then. If the folder that
was named lacks the file, that is an error; the hub never replaces it.

What the columns mean is for the tasks, which turn rows into problems.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flexeval.errors import InputError
from flexeval.reading import decode, parse_object, read_bytes, require_text

DATA_DIR_VARIABLE = "FLEXEVAL_DATA_DIR"


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One split of a published benchmark: where its rows are found and what each must hold."""

    title: str
    """Its name in messages ("GSM8K test")."""
    files: tuple[str, ...]
    """Names of the local file, also with `.gz`; the first that exists is read."""
    hub_id: str
    """Dataset id on the hub."""
    hub_config: str | None
    """Configuration on the hub; None for the only one."""
    hub_split: str
    """Split on the hub."""
    columns: Mapping[str, type]
    """Column -> type of its values; other columns are kept as they are."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a task's problems came from; stored with every run."""

    origin: str
    """Path of the file, or `hub:id@revision`."""
    fingerprint: str
    """SHA-256 of the uncompressed file, or of the rows as canonical JSON."""
    rows: int
    """Rows read, before a task selects among them."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row, and where it stands, for error messages."""

    place: str
    values: Mapping[str, Any]

    def __getitem__(self, column: str) -> Any:
        return self.values[column]


@dataclass(frozen=True, kw_only=True)
class Table:
    """All rows of a split, in file order, and where they came from."""

    source: Source
    rows: tuple[Row, ...]


def read_benchmark(benchmark: Benchmark, data_dir: Path | None) -> Table:
    """The rows of a benchmark.

    Args:
        benchmark: what to read.
        data_dir: the folder of local files; None asks FLEXEVAL_DATA_DIR, then the hub.

    Raises:
        InputError: no such folder or file, an empty or unreadable file, a malformed line, a row without one
            of the columns, or a hub that cannot be reached.
    """
    folder = data_dir if data_dir is not None else _folder_of_environment()
    if folder is None:
        return _read_hub(benchmark)
    return _read_file(benchmark, _find_file(benchmark, folder))


def _folder_of_environment() -> Path | None:
    value = os.environ.get(DATA_DIR_VARIABLE, "")
    return Path(value) if value else None


def _find_file(benchmark: Benchmark, folder: Path) -> Path:
    if not folder.is_dir():
        raise InputError(f"no data folder {str(folder)!r}; give the folder that holds the benchmark files")
    for name in benchmark.files:
        for candidate in (folder / name, folder / f"{name}.gz"):
            if candidate.is_file():
                return candidate
    names = " or ".join(benchmark.files)
    raise InputError(f"no {benchmark.title} in {str(folder)!r}; put {names} (or the same with .gz) there")


def _read_file(benchmark: Benchmark, path: Path) -> Table:
    content, rows = read_json_lines(path, title=benchmark.title)
    source = Source(origin=str(path), fingerprint=hashlib.sha256(content).hexdigest(), rows=len(rows))
    return Table(source=source, rows=tuple(_checked(row, benchmark) for row in rows))


def read_json_lines(path: Path, *, title: str) -> tuple[bytes, list[Row]]:
    """The uncompressed content of a JSONL file, and its rows; blank lines are skipped.

    Args:
        path: with the suffix `.gz` if it is compressed.
        title: what it should hold, for messages ("GSM8K test").

    Raises:
        InputError: an empty or unreadable file, or a line that is not a JSON object, with its number.
    """
    content = read_bytes(path, what=f"{title}, one JSON object a line")
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"cannot read {str(path)!r}: no gzip file ({error}); it should hold {title}") from error
    text = decode(content, where=repr(str(path)))

    rows = []
    # Not splitlines(): a JSON string may hold U+2028 and other characters that it takes for line ends.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            place = f"{path.name} line {number}"
            rows.append(Row(place=place, values=parse_object(line, where=place)))
    if not rows:
        raise InputError(f"{str(path)!r} is empty; it should hold {title}, one JSON object a line")
    return content, rows


def _read_hub(benchmark: Benchmark) -> Table:
    import datasets

    try:
        dataset = datasets.load_dataset(benchmark.hub_id, benchmark.hub_config, split=benchmark.hub_split)
    except (OSError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"cannot get {benchmark.title} from the hub ({reason}); put {benchmark.files[0]} in a folder and name it "
            f"with --data-dir or {DATA_DIR_VARIABLE}"
        ) from error

    values = [dict(row) for row in dataset]
    place = f"{benchmark.hub_id} row"
    rows = tuple(_checked(Row(place=f"{place} {i}", values=row), benchmark) for i, row in enumerate(values))
    canonical = json.dumps(values, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    source = Source(
        origin=f"hub:{benchmark.hub_id}{_revision(dataset.info.download_checksums)}",
        fingerprint=hashlib.sha256(canonical.encode()).hexdigest(),
        rows=len(rows),
    )
    return Table(source=source, rows=rows)


def _revision(checksums: Mapping[str, Any] | None) -> str:
    """`@revision` out of the addresses that `datasets` recorded, or nothing where it recorded none."""
    for address in checksums or ():
        _, at, rest = address.partition("@")
        if at:
            return f"@{rest.partition('/')[0]}"
    return ""


def _checked(row: Row, benchmark: Benchmark) -> Row:
    # JSON can hold half a surrogate pair, which no tokenizer takes and no file in UTF-8 can hold.
    require_text(json.dumps(row.values, ensure_ascii=False, default=str), what=row.place)
    for column, kind in benchmark.columns.items():
        if column not in row.values:
            raise InputError(f"{row.place} has no field {column!r}, which {benchmark.title} needs")
        if not isinstance(row[column], kind):
            raise InputError(
                f"{row.place}: field {column!r} should be a {kind.__name__}, not a {type(row[column]).__name__}"
            )
    return row
