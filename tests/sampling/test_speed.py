"""The measurement of speed, small: that it draws what it says and divides what it measured."""

from __future__ import annotations

import runpy
from pathlib import Path

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
