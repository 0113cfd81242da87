"""Whatever a program leaves in its folder is gone afterwards, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flexeval.grading.sandbox.scratch import Scratch, remove

pytestmark = pytest.mark.linux


def test_everything_goes_and_nothing_outside_does(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    scratch = Scratch(str(tmp_path / "scratch"))
    scratch.renew(None)
    work = Path(scratch.folder)
    (work / "a\nb").write_text("x")
    (work / "link").symlink_to(outside)
    os.link(outside / "kept", work / "hard")
    os.mkfifo(work / "pipe")
    (work / "closed" / "inner").mkdir(parents=True)
    (work / "closed").chmod(0)
    scratch.clear()
    assert os.listdir(scratch.parent) == []
    assert (outside / "kept").read_text() == "kept"
    scratch.renew(None)
    assert os.listdir(scratch.folder) == []


def test_folders_deeper_than_any_path_go_too(tmp_path: Path) -> None:
    scratch = Scratch(str(tmp_path / "scratch"))
    scratch.renew(None)
    folder = os.open(scratch.folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deeper", dir_fd=folder)
        inner = os.open("deeper", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    assert scratch.clear(seconds=60)
    assert os.listdir(scratch.parent) == []


def test_a_program_that_reaches_the_parent_cannot_get_in_the_way(tmp_path: Path) -> None:
    """As it could where it runs as the user that grades, without a filter."""
    scratch = Scratch(str(tmp_path / "scratch"))
    scratch.renew(None)
    for name in ("0", "1", "work-0"):
        (Path(scratch.parent) / name / "full").mkdir(parents=True)
    os.chmod(scratch.parent, 0)
    scratch.clear()
    assert os.listdir(scratch.parent) == []


def test_clearing_gives_up_in_time_and_says_so(tmp_path: Path) -> None:
    scratch = Scratch(str(tmp_path / "scratch"))
    scratch.renew(None)
    for n in range(100):
        (Path(scratch.folder) / str(n)).mkdir()
    assert not scratch.clear(seconds=0)
    assert scratch.clear()
    assert os.listdir(scratch.parent) == []


def test_what_takes_long_is_removed_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "workers" / "worker"
    (folder / "full").mkdir(parents=True)
    monkeypatch.setattr("flexeval.grading.sandbox.scratch._AT_ONCE_S", -1.0)
    remove(str(folder), aside=str(tmp_path))
    # The helper was waited for, and everything is gone.
    assert [path.name for path in tmp_path.rglob("*")] == ["workers"]
    remove(str(folder), aside=str(tmp_path))
