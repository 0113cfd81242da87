"""`flexeval grade` replaces verdicts and says what changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flexeval.cli.main import main
from flexeval.runs.store import read_run

pytestmark = pytest.mark.usefixtures("in_tmp")


def test_wrong_verdicts_are_put_right(bigram: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["passk", "--limit", "5", "--num-samples", "4", "--gen-length", "8"]) == 0
    (config,) = Path("runs").rglob("config.json")
    folder = config.parent
    right = read_run(folder).samples
    lines = (folder / "samples.jsonl").read_text().splitlines()
    flipped = [json.loads(line) for line in lines[:3]]
    for row in flipped:
        row["correct"] = not row["correct"]
    (folder / "samples.jsonl").write_text("\n".join([*map(json.dumps, flipped), *lines[3:], ""]))
    before = read_run(folder).samples["correct"].sum()
    capsys.readouterr()

    assert main(["grade", str(folder)]) == 0
    assert capsys.readouterr().out == (
        f"{folder}: {before} of 20 correct before, {right['correct'].sum()} of 20 correct now; 3 verdicts changed\n"
    )
    assert read_run(folder).samples.equals(right)
    # The model is not asked.
    assert bigram == ["tiny"]


def test_a_task_that_does_not_fit_the_run_is_refused(
    bigram: list[str], refused: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["passk", "--limit", "2", "--num-samples", "1", "--gen-length", "8"]) == 0
    (config,) = Path("runs").rglob("config.json")
    capsys.readouterr()
    line = refused("grade", str(config.parent), "--task", "countdown")
    assert "is of task 'word-problems', not 'countdown'" in line
    assert main(["grade", str(config.parent), "--task", "word_problems"]) == 0
