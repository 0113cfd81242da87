"""A result goes into what is there, as with the shell's `>`; a regular file is whole or absent."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from flexeval.errors import InputError
from flexeval.runs import target
from flexeval.runs.target import check_target, identity, write_target

DATA = b"a result of several kilobytes\n" * 5000
"""More than a pipe holds."""


def read_all(path_or_descriptor: Path | int) -> tuple[threading.Thread, list[bytes]]:
    """A thread that reads to the end, and where it puts what it got."""
    got: list[bytes] = []

    def read() -> None:
        with open(path_or_descriptor, "rb") as file:
            got.append(file.read())

    thread = threading.Thread(target=read)
    thread.start()
    return thread, got


def written(path: Path | str) -> None:
    check_target(str(path))
    write_target(path, DATA)


def test_a_fifo_stays_one_and_its_reader_gets_everything(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader, got = read_all(fifo)
    written(fifo)
    reader.join()
    assert got == [DATA]
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["fifo"]


def test_a_reader_that_leaves_is_a_broken_pipe(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: os.close(os.open(fifo, os.O_RDONLY)))
    reader.start()
    with pytest.raises(BrokenPipeError):
        written(fifo)
    reader.join()


@pytest.mark.parametrize("spelled", ["/dev/fd/{}", "/proc/self/fd/{}", "link"])
def test_an_open_pipe_is_written_to(tmp_path: Path, spelled: str) -> None:
    end, descriptor = os.pipe()
    name = spelled.format(descriptor)
    if spelled == "link":
        name = str(tmp_path / "link")
        os.symlink(f"/dev/fd/{descriptor}", name)
    reader, got = read_all(end)
    written(name)
    os.close(descriptor)
    reader.join()
    assert got == [DATA]


def test_an_open_file_goes_on_where_it_is(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"before\n")
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    written(f"/dev/fd/{descriptor}")
    os.close(descriptor)
    assert log.read_bytes() == b"before\n" + DATA


def test_standard_output_keeps_its_order(capfd: pytest.CaptureFixture[str]) -> None:
    print("first")
    write_target("/dev/stdout", b"second\n")
    print("third")
    assert capfd.readouterr().out == "first\nsecond\nthird\n"


def test_a_device_stays_one(tmp_path: Path) -> None:
    null = tmp_path / "null"
    try:
        os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        null.read_bytes()
    except PermissionError:
        pytest.skip("only root may make device nodes, and not everywhere")
    written(null)
    assert stat.S_ISCHR(null.stat().st_mode)
    assert identity(str(null)) is None, "any number of results may go there"


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_is_followed(tmp_path: Path, exists: bool) -> None:
    real, link = tmp_path / "folder/real", tmp_path / "link"
    real.parent.mkdir()
    if exists:
        real.write_bytes(b"old")
    (tmp_path / "second").symlink_to("folder/real")
    link.symlink_to("second")
    assert identity(str(link)) == identity(str(real))
    written(link)
    assert link.is_symlink() and real.read_bytes() == DATA
    assert [path.name for path in real.parent.iterdir()] == ["real"]


def test_permissions_stay(tmp_path: Path) -> None:
    private, new = tmp_path / "private", tmp_path / "new"
    private.write_bytes(b"old")
    private.chmod(0o640)
    written(private)
    written(new)
    assert stat.S_IMODE(private.stat().st_mode) == 0o640
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(new.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "fchmod"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()], ids=["full", "interrupt"])
def test_a_regular_file_is_whole_or_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: BaseException
) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(target.os, call, fail)
    with pytest.raises(type(error)) as raised:
        written(path)
    if isinstance(raised.value, OSError):
        assert raised.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert [left.name for left in tmp_path.iterdir()] == ["result.json"]


def make_folder(folder: Path) -> str:
    (folder / "it").mkdir()
    return "it"


def make_far(folder: Path) -> str:
    return "missing/it"


def make_below_a_file(folder: Path) -> str:
    (folder / "file").touch()
    return "file/it"


def make_dangling(folder: Path) -> str:
    (folder / "it").symlink_to("missing/it")
    return "it"


def make_loop(folder: Path) -> str:
    (folder / "it").symlink_to("other")
    (folder / "other").symlink_to("it")
    return "it"


def make_long(folder: Path) -> str:
    return 300 * "x"


def make_link_to_folder(folder: Path) -> str:
    (folder / "it").symlink_to("..")
    return "it"


REFUSED = [
    (make_folder, "it is a folder"),
    (make_far, "there is no folder"),
    (make_below_a_file, "there is no folder"),
    (make_dangling, "there is no folder"),
    (make_loop, "links never end"),
    (make_long, "too long"),
    (make_link_to_folder, "which is a folder"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_what_cannot_be_written_is_refused_at_once(tmp_path: Path, make: Callable[[Path], str], message: str) -> None:
    name = str(tmp_path / make(tmp_path))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=message):
        check_target(name)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_descriptor_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    closed, descriptor = os.pipe()
    os.close(descriptor)
    for number in (closed, descriptor):
        with pytest.raises(InputError, match="not open for writing"):
            check_target(f"/dev/fd/{number}")
    os.close(closed)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_write_protection_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept").touch(0o444)
    (tmp_path / "folder").mkdir(0o555)
    for name in ("kept", "folder/new"):
        with pytest.raises(InputError, match="cannot write"):
            check_target(str(tmp_path / name))
