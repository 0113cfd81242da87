"""Every figure has a script in analyses/ that shows how it is made, and the script works."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from flexeval.figures import FIGURES
from flexeval.runs import store

ANALYSES = Path(__file__).resolve().parents[2] / "analyses"


def test_each_figure_has_a_script():
    imported = [line for path in ANALYSES.glob("fig*.py") for line in path.read_text().splitlines()]
    for name in FIGURES:
        figure = FIGURES.get(name)
        assert f"from {figure.__module__} import {figure.__name__}" in imported


def test_a_script_prints_the_numbers_and_draws(enough, tmp_path, monkeypatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(store, "read_runs", lambda folders: enough)
    runpy.run_path(str(ANALYSES / "fig02_coverage.py"))["main"](["runs"])
    assert "confidence_only" in capsys.readouterr().out
    assert (tmp_path / "coverage.png").read_bytes().startswith(b"\x89PNG")
