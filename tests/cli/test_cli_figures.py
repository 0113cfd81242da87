"""`flexeval figures` from stored runs to files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flexeval.cli.main import main

PASSK = ["passk", "--num-samples", "2", "--limit", "3", "--gen-length", "8"]


def test_files_of_the_figures_that_were_asked_for(
    bigram: list[str], in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*PASSK, "--order", "ar", "--order", "confidence"]) == 0
    capsys.readouterr()
    assert main(["figures", "runs", "-o", "drawn", "--only", "coverage"]) == 0
    printed = capsys.readouterr()
    assert printed.out.split() == [f"drawn/coverage.{suffix}" for suffix in ("png", "pdf", "csv")]
    assert printed.err == ""
    assert all((in_tmp / path).stat().st_size > 100 for path in printed.out.split())


def test_bad_input_is_one_line(bigram: list[str], in_tmp: Path, refused: Callable[..., str]) -> None:
    assert "there is no run in 'nowhere'" in refused("figures", "nowhere")
    assert "Did you mean 'pass-at-k'" in refused("figures", "nowhere", "--only", "pass_at_k")
    (in_tmp / "taken").write_text("")
    assert "'taken' is a file; give a folder" in refused("figures", "nowhere", "-o", "taken")


def test_a_figure_without_its_runs(
    bigram: list[str], in_tmp: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    assert main([*PASSK, "--order", "ar"]) == 0
    capsys.readouterr()
    line = refused("figures", "runs", "--only", "pass-at-k")
    assert "needs a run of order ar and one of order confidence" in line
