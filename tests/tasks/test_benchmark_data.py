"""Reading benchmark files: every fault of a file is one line that names the place."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import types
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from flexeval.errors import InputError
from flexeval.tasks.data import DATA_DIR_VARIABLE, Benchmark, read_benchmark

BENCHMARK = Benchmark(
    title="Toy test",
    files=("toy_test.jsonl", "test.jsonl"),
    hub_id="someone/toy",
    hub_config=None,
    hub_split="test",
    columns={"question": str, "level": int},
)
ROWS = [{"question": "How many?", "level": 1}, {"question": "line\u2028separator", "level": 2}]
TEXT = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATA_DIR_VARIABLE, raising=False)


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_benchmark(BENCHMARK, folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_plain_and_compressed_files_are_the_same_source(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "packed").mkdir()
    (tmp_path / "plain" / "test.jsonl").write_text(TEXT, encoding="utf-8")
    (tmp_path / "packed" / "toy_test.jsonl.gz").write_bytes(gzip.compress(TEXT.encode(), mtime=0))
    plain = read_benchmark(BENCHMARK, tmp_path / "plain")
    packed = read_benchmark(BENCHMARK, tmp_path / "packed")
    assert [dict(row.values) for row in plain.rows] == [dict(row.values) for row in packed.rows] == ROWS
    assert plain.source.fingerprint == packed.source.fingerprint == hashlib.sha256(TEXT.encode()).hexdigest()
    assert plain.source.origin == str(tmp_path / "plain" / "test.jsonl")
    assert plain.source.rows == 2


def test_the_first_name_wins_and_blank_lines_do_not_shift_the_numbers(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text("not read\n")
    (tmp_path / "toy_test.jsonl").write_text("\n\n" + TEXT)
    table = read_benchmark(BENCHMARK, tmp_path)
    assert [row.place for row in table.rows] == ["toy_test.jsonl line 3", "toy_test.jsonl line 4"]


def test_the_environment_names_the_folder_unless_the_task_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test.jsonl").write_text(TEXT)
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(tmp_path))
    assert len(read_benchmark(BENCHMARK, None).rows) == 2
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no Toy test in" in refusal(empty)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ["empty"]),
        (b"\n \n", ["empty"]),
        (TEXT.encode() + b'{"question": "cut\n', ["line 3", "not JSON"]),
        (b"[1, 2]\n", ["item 1", "object"]),
        (TEXT.encode() + b"[1, 2]\n", ["line 3", "object"]),
        (b'[{"question": "cut"', ["not JSON"]),
        (b'{"question": "no level"}\n', ["line 1", "'level'"]),
        (b'{"question": "q", "level": "two"}\n', ["line 1", "'level'", "int"]),
        (b"\xff\xfe\n", ["cannot read"]),
    ],
)
def test_a_faulty_file_is_named_with_its_line(tmp_path: Path, content: bytes, parts: list[str]) -> None:
    (tmp_path / "test.jsonl").write_bytes(content)
    message = refusal(tmp_path)
    assert all(part in message for part in ["test.jsonl", *parts])


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(TEXT.encode(), mtime=0)[:-9], gzip.compress(b"x" * 999, mtime=0)[:20]],
    ids=["no archive", "no end", "a start"],
)
def test_a_damaged_archive_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "test.jsonl.gz").write_bytes(content)
    assert "cannot read" in refusal(tmp_path)


def test_a_missing_folder_and_a_missing_file_say_what_to_give(tmp_path: Path) -> None:
    assert "no data folder" in refusal(tmp_path / "nowhere")
    assert "toy_test.jsonl or test.jsonl" in refusal(tmp_path)


class FakeHub:
    """What `datasets` offers, as far as it is used."""

    class exceptions:
        class DatasetsError(Exception):
            pass

    def __init__(self, rows: list[dict[str, object]] | Exception, checksums: dict[str, object] | None = None) -> None:
        self.rows, self.checksums = rows, checksums
        self.config = types.SimpleNamespace(HF_HUB_OFFLINE=False)

    def load_dataset(self, hub_id: str, config: str | None, *, split: str) -> object:
        assert (hub_id, config, split) == ("someone/toy", None, "test")
        self.offline_when_asked = self.config.HF_HUB_OFFLINE
        if isinstance(self.rows, Exception):
            raise self.rows

        class Rows(list):  # type: ignore[type-arg]
            info = types.SimpleNamespace(download_checksums=self.checksums)

        return Rows(self.rows)


def with_hub(monkeypatch: pytest.MonkeyPatch, hub: FakeHub) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", hub)


def test_without_a_folder_the_rows_come_from_the_hub_with_their_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    with_hub(monkeypatch, FakeHub(ROWS, {"hf://datasets/someone/toy@abc123/data/test.parquet": {}}))
    table = read_benchmark(BENCHMARK, None)
    assert [dict(row.values) for row in table.rows] == ROWS
    assert table.source.origin == "hub:someone/toy@abc123"
    with_hub(monkeypatch, FakeHub(ROWS[::-1]))
    assert read_benchmark(BENCHMARK, None).source.fingerprint != table.source.fingerprint
    assert read_benchmark(BENCHMARK, None).source.origin == "hub:someone/toy"


def test_an_unreachable_hub_says_how_to_give_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flexeval.tasks.data._unreachable", lambda: None)
    with_hub(monkeypatch, FakeHub(ConnectionError("Couldn't reach 'someone/toy' on the Hub\nmore lines")))
    with pytest.raises(InputError, match=f"Couldn't reach.*toy_test.jsonl.*--data-dir or {DATA_DIR_VARIABLE}"):
        read_benchmark(BENCHMARK, None)


def test_without_a_network_the_hub_is_not_tried_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client is told to look into the cache alone, and the reason is the network's."""
    monkeypatch.setattr("flexeval.tasks.data._unreachable", lambda: "no route")
    hub = FakeHub(ConnectionError("not cached"))
    with_hub(monkeypatch, hub)
    with pytest.raises(InputError, match=r"cannot get Toy test from the hub \(no route\); put"):
        read_benchmark(BENCHMARK, None)
    assert hub.offline_when_asked and not hub.config.HF_HUB_OFFLINE
    cached = FakeHub(ROWS)
    with_hub(monkeypatch, cached)
    assert len(read_benchmark(BENCHMARK, None).rows) == 2 and cached.offline_when_asked


def packed(data: bytes, codec: str) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, codec) as stream:
        stream.write(data)
    return bytes(sink.getvalue())


def parquet(rows: list[dict[str, object]]) -> bytes:
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue())


ARRAY = json.dumps(ROWS, indent=1).encode()
FORMS = {
    "test.jsonl": TEXT.encode(),
    "test.jsonl.zst": packed(TEXT.encode(), "zstd"),
    "test.jsonl.bz2": packed(TEXT.encode(), "bz2"),
    "test.json": ARRAY,
    "test.json.gz": gzip.compress(ARRAY),
    "toy_test.jsonl": b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode(),
    "test.parquet": parquet(ROWS),
    # As a copy of the hub's repository has it, from the folder above, or inside.
    "someone/toy/data/test-00000-of-00001.parquet": parquet(ROWS),
    "toy/data/test-00000-of-00001.parquet": parquet(ROWS),
    "data/test-00000-of-00001.parquet": parquet(ROWS),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_file_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(FORMS[name])
    table = read_benchmark(BENCHMARK, tmp_path)
    assert [dict(row.values) for row in table.rows] == ROWS
    assert table.source.origin == str(tmp_path / name)


@pytest.mark.parametrize("name", ["test.parquet", "test.jsonl.zst", "test.jsonl.bz2"])
def test_a_file_that_is_not_what_its_name_says_is_one_line(tmp_path: Path, name: str) -> None:
    for content in (b"", b"something else", FORMS[name][:-9]):
        (tmp_path / name).write_bytes(content)
        message = refusal(tmp_path)
        assert name in message and ("cannot read" in message or "is empty" in message)


def test_other_published_layouts_are_adapted_to_the_columns(tmp_path: Path) -> None:
    benchmark = dataclasses.replace(BENCHMARK, adapt=lambda row: {"question": row["ask"], "level": 1})
    (tmp_path / "test.jsonl").write_text('{"ask": "How many?"}\n')
    assert [dict(row.values) for row in read_benchmark(benchmark, tmp_path).rows] == ROWS[:1]
