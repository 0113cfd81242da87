"""The measurement of speed, small: that it draws what it says and divides what it measured."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[2] / "analyses" / "speed.py"))


def test_the_table_has_both_entries_beside_the_loop(tmp_path):
    SCRIPT["main"](["--quick", "--out", str(tmp_path / "speed.md")])
    lines = (tmp_path / "speed.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| bundled")]
    assert [tuple(row[1:3]) for row in rows] == [("`ar`", "3"), ("`confidence`", "3")]
    for row in rows:
        samples = int(row[2])
        loop, python = float(row[3]), float(row[4])
        assert float(row[6].split()[0]) == pytest.approx(python / loop, rel=0.02, abs=0.06)
        theirs, ours = map(int, row[8].split(" / "))
        # The loop takes every step of every sample; equal canvases and early ends spare flexeval some.
        assert theirs == 6 * samples and 1 <= ours <= theirs


def test_two_versions_take_turns_and_say_whether_they_draw_the_same(tmp_path):
    """Against itself, since no other version is at hand."""
    root = Path(__file__).resolve().parents[2]
    SCRIPT["main"](["--quick", "--before", str(root), "--out", str(tmp_path / "speed.md")])
    rows = [line for line in (tmp_path / "speed.md").read_text().splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    assert [row[0] for row in cells] == ["`ar`", "`confidence`"]
    for row in cells:
        before, after = float(row[2]), float(row[3])
        assert float(row[4].split()[0]) == pytest.approx(after / before, rel=0.02, abs=0.06)
        assert row[5] == "equal"


def test_versions_that_draw_other_texts_are_told(monkeypatch, capsys):
    texts = iter(["one", "other"])
    timing = SCRIPT["Timing"](seconds=1.0)
    monkeypatch.setitem(SCRIPT["before_and_after"].__globals__, "drawn_by", lambda *_: (timing, next(texts)))
    case = SimpleNamespace(order="ar", samples=2, problems=1)
    assert SCRIPT["before_and_after"](Path(), [case], 1)[-1].endswith("| differ |")
