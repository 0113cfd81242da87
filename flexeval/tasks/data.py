"""Find and read the rows of a published benchmark: a local file in the upstream format, else the hub.

A local folder comes from the task's `data_dir`, else from the environment variable FLEXEVAL_DATA_DIR.
With neither, the rows come from the hub through `datasets`, which is imported only then. If the folder that
was named lacks the file, that is an error; the hub never replaces it.

What the columns mean is for the tasks, which turn rows into problems.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flexeval.errors import InputError, one_line
from flexeval.reading import COMPRESSED, Row, read_rows, require_text

DATA_DIR_VARIABLE = "FLEXEVAL_DATA_DIR"
HUB_SECONDS = 5
"""How long the hub may take to answer at all."""


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
    adapt: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict
    """Other published layouts of the same rows -> these columns."""


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
class Table:
    """All rows of a split, in file order, and where they came from."""

    source: Source
    rows: tuple[Row, ...]


def read_benchmark(benchmark: Benchmark, data_dir: str | Path | None) -> Table:
    """The rows of a benchmark.

    Args:
        benchmark: what to read.
        data_dir: the folder of local files; None asks FLEXEVAL_DATA_DIR, then the hub.

    Raises:
        InputError: no such folder or file, an empty or unreadable file, a malformed line, a row without one
            of the columns, or a hub that cannot be reached.
    """
    folder = local_folder(data_dir)
    if folder is None:
        return _read_hub(benchmark)
    return _read_file(benchmark, _find_file(benchmark, folder))


def local_folder(data_dir: str | Path | None) -> Path | None:
    """The folder of local files that a task's `data_dir` or the environment names; None stands for the hub."""
    named = os.environ.get(DATA_DIR_VARIABLE, "") if data_dir is None else data_dir
    return Path(named) if named != "" else None


def is_on_hub(task: object) -> bool:
    """Whether the problems of a task would have to come from the hub."""
    return hasattr(task, "data_dir") and local_folder(task.data_dir) is None


def _find_file(benchmark: Benchmark, folder: Path) -> Path:
    if not folder.is_dir():
        raise InputError(f"no data folder {str(folder)!r}; give the folder that holds the benchmark files")
    for path in _candidates(benchmark, folder):
        if path.is_file():
            return path
    names = " or ".join(benchmark.files)
    raise InputError(
        f"no {benchmark.title} in {str(folder)!r}; put {names} there (.json, .parquet and {', '.join(COMPRESSED)} are "
        f"read as well), or the hub's own folder {benchmark.hub_id}"
    )


def _candidates(benchmark: Benchmark, folder: Path) -> Iterator[Path]:
    """Where the file may lie: under its upstream name, or as a copy of the hub's repository has it."""
    for name in benchmark.files:
        for suffix in (".jsonl", ".json", ".parquet"):
            plain = folder / f"{name.removesuffix('.jsonl')}{suffix}"
            yield plain
            yield from (plain.with_name(plain.name + packed) for packed in COMPRESSED)
    owner, _, repository = benchmark.hub_id.partition("/")
    for copy in (folder / owner / repository, folder / repository, folder):
        for inner in (benchmark.hub_config or "data", "data"):
            # One shard: splits of many are no benchmark's of ours.
            yield copy / inner / f"{benchmark.hub_split}-00000-of-00001.parquet"


def _read_file(benchmark: Benchmark, path: Path) -> Table:
    found = read_rows(path, what=benchmark.title)
    source = Source(origin=str(path), fingerprint=found.fingerprint, rows=len(found.rows))
    return Table(source=source, rows=tuple(_checked(row, benchmark) for row in found.rows))


def _read_hub(benchmark: Benchmark) -> Table:
    import datasets

    # Without a network the client would try five times, and print each. What is cached can be had all the same.
    unreachable, offline = _unreachable(), datasets.config.HF_HUB_OFFLINE
    try:
        datasets.config.HF_HUB_OFFLINE = offline or unreachable is not None
        dataset = datasets.load_dataset(benchmark.hub_id, benchmark.hub_config, split=benchmark.hub_split)
    except (OSError, datasets.exceptions.DatasetsError) as error:
        reason = unreachable or one_line(str(error).strip().partition("\n")[0] or type(error).__name__)
        raise InputError(
            f"cannot get {benchmark.title} from the hub ({reason}); put {benchmark.files[0]} in a folder and name it "
            f"with --data-dir or {DATA_DIR_VARIABLE}"
        ) from error
    finally:
        datasets.config.HF_HUB_OFFLINE = offline

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


def _unreachable() -> str | None:
    """Why the hub cannot be reached; None where it can."""
    import huggingface_hub
    from huggingface_hub import constants

    try:
        huggingface_hub.get_session().head(constants.ENDPOINT, timeout=HUB_SECONDS)
    except Exception as error:  # of whichever HTTP library the client was built on
        return one_line(error)
    return None


def _revision(checksums: Mapping[str, Any] | None) -> str:
    """`@revision` out of the addresses that `datasets` recorded, or nothing where it recorded none."""
    for address in checksums or ():
        _, at, rest = address.partition("@")
        if at:
            return f"@{rest.partition('/')[0]}"
    return ""


def _checked(row: Row, benchmark: Benchmark) -> Row:
    row = Row(place=row.place, values=benchmark.adapt(row.values))
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
