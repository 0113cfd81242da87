"""Files are whole or absent, and say where they are damaged."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from flexeval.errors import InputError
from flexeval.runs.files import append_lines, locked, read_file, read_lines, read_object, replace_file, to_json


@pytest.fixture
def full_disk(monkeypatch):
    """From the second write on, half of the data fits."""
    write, calls = os.write, []

    def filling(descriptor, data):
        calls.append(len(data))
        if len(calls) % 2:
            return write(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", filling)


def test_a_file_that_does_not_fit_leaves_the_old_one(tmp_path, full_disk):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    with pytest.raises(OSError) as error:
        replace_file(path, b"new and longer")
    assert error.value.errno == errno.ENOSPC and error.value.filename == f"{path}.tmp"
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.json"]


def test_lines_that_do_not_fit_leave_the_old_ones(tmp_path, full_disk):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n')
    with pytest.raises(OSError) as error:
        append_lines(path, [{"a": 2}, {"a": 3}])
    assert error.value.errno == errno.ENOSPC and error.value.filename == str(path)
    assert path.read_bytes() == b'{"a": 1}\n'


def test_short_writes_are_continued(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    append_lines(tmp_path / "a.jsonl", [{"text": "a line of more than three bytes"}])
    assert list(read_lines(tmp_path / "a.jsonl")) == [(1, {"text": "a line of more than three bytes"})]


@pytest.mark.parametrize(
    "text", ["two\nlines", "half \ud800 and \\\udfff", "\u2028 \x85 \x1c", "π ≈ 3", '"\\', "\ufffd"]
)
def test_any_text_stays_on_its_line(tmp_path, text):
    path = tmp_path / "a.jsonl"
    append_lines(path, [{"text": text}])
    append_lines(path, [{"text": "next"}])
    assert [row["text"] for _, row in read_lines(path)] == [text, "next"]


@pytest.mark.parametrize("half", [b"", b"{", b'{"a": "\xcf', b'{"a": {}'])
def test_half_a_line_does_not_count(tmp_path, half):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n' + half)
    assert list(read_lines(path)) == [(1, {"a": 1})]


def test_a_whole_line_without_its_end_counts(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 2}')
    assert list(read_lines(path)) == [(1, {"a": 1}), (2, {"a": 2})]


@pytest.mark.parametrize(
    "line",
    [b"{oops}", b"", b"[1]", b"\xff", b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1, "a": 2}', b'{"a": ' + b"9" * 5000],
)
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n' + line + b'\n{"a": 3}\n')
    with pytest.raises(InputError, match=r"a\.jsonl, line 2: not (JSON|a JSON object)") as error:
        list(read_lines(path))
    assert "\n" not in str(error.value)


def test_a_file_that_is_nested_too_deeply_is_named(tmp_path):
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"config\.json: nested too deeply"):
        read_object(tmp_path / "config.json")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(InputError, match=r"cannot read .*folder\.json \(Is a directory\); restore it"):
        read_object(tmp_path / "folder.json")
    with pytest.raises(InputError, match=r"none\.json is missing; restore it"):
        read_object(tmp_path / "none.json")
    with pytest.raises(InputError, match=r"folder\.json is a folder, where a lock"):
        locked(tmp_path / "folder.json", busy="x").__enter__()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError, match=r"fifo is no regular file, as a lock"):
        locked(tmp_path / "fifo", busy="x").__enter__()


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json: not JSON"):
        read_object(tmp_path / "config.json")


def test_nan_is_not_json():
    with pytest.raises(ValueError, match="JSON"):
        to_json({"a": float("nan")})


def test_a_lock_excludes_and_names_its_owner(tmp_path):
    path = tmp_path / ".lock"
    in_use = f"run folder x is in use by process {os.getpid()}; wait"
    with locked(path, busy="run folder x"), pytest.raises(InputError, match=in_use):
        locked(path, busy="run folder x").__enter__()
    with locked(path, busy="run folder x"):
        pass


def test_a_lock_ends_with_its_process(tmp_path):
    path = tmp_path / ".lock"
    code = (
        "import os, signal, sys; from pathlib import Path; from flexeval.runs.files import locked\n"
        "with locked(Path(sys.argv[1]), busy='x'): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"in use by process {process.pid}"):
            locked(path, busy="x").__enter__()
        process.kill()
    with locked(path, busy="x"):
        pass


def test_nobody_waits_for_a_fifo(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(InputError, match="no regular file"):
        read_file(tmp_path / "config.json")
