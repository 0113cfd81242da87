"""`flexeval grade` replaces verdicts and says what changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flexeval.cli.main import main
from flexeval.records import Grade
from flexeval.runs.store import read_run, reopen_run

pytestmark = pytest.mark.usefixtures("in_tmp")


def test_wrong_verdicts_are_put_right(bigram: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["passk", "--task", "word-problems", "--limit", "5", "--num-samples", "4", "--gen-length", "8"]) == 0
    (config,) = Path("runs").rglob("config.json")
    folder = config.parent
    right = read_run(folder).samples
    verdicts = [not correct if place < 3 else correct for place, correct in enumerate(right["correct"])]
    texts = list(right[["problem_id", "text"]].itertuples(index=False, name=None))
    wrong = dict(zip(texts, verdicts, strict=True))
    with reopen_run(folder) as writer:
        stored = writer.contents.samples.values()
        writer.replace_grades([Grade(correct=wrong[row["problem_id"], row["text"]]) for row in stored])
        writer.finish()
    changed = (read_run(folder).samples["correct"] != right["correct"]).sum()
    assert changed >= 3
    before = read_run(folder).samples["correct"].sum()
    capsys.readouterr()

    assert main(["grade", str(folder)]) == 0
    assert capsys.readouterr().out == (
        f"{folder}: {before} of 20 correct before, {right['correct'].sum()} of 20 correct now; "
        f"{changed} verdicts changed\n"
        f"  sound: not known before, {read_run(folder).tally()['sound']} of 20 now\n"
    )
    assert read_run(folder).samples.equals(right)
    # The model is not asked.
    assert bigram == ["tiny"]


def test_a_task_that_does_not_fit_the_run_is_refused(
    bigram: list[str], refused: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["passk", "--task", "word-problems", "--limit", "2", "--num-samples", "1", "--gen-length", "8"]) == 0
    (config,) = Path("runs").rglob("config.json")
    capsys.readouterr()
    line = refused("grade", str(config.parent), "--task", "countdown")
    assert "is of task 'word-problems', not 'countdown'" in line
    assert main(["grade", str(config.parent), "--task", "word_problems"]) == 0


def test_the_rules_of_published_numbers_change_no_run(bigram: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["passk", "--task", "countdown:size=4", "--limit", "2", "--num-samples", "2", "--gen-length", "8"]) == 0
    (config,) = Path("runs").rglob("config.json")
    folder = config.parent
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    capsys.readouterr()
    assert main(["grade", str(folder), "--grader", "paper"]) == 0
    printed = capsys.readouterr().out
    assert f"{folder}: 0 of 4 correct as stored, and unchanged" in printed
    assert "by the rules of published numbers 0.00 %: 0 of 4 correct" in printed
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_task_without_published_numbers_has_no_such_rules(
    bigram: list[str], refused: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["passk", "--task", "word-problems", "--limit", "1", "--num-samples", "1", "--gen-length", "8"]) == 0
    (config,) = Path("runs").rglob("config.json")
    capsys.readouterr()
    line = refused("grade", str(config.parent), "--grader", "paper")
    assert "no published numbers of task 'word-problems' are known; leave out --grader paper" in line


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["missing"], "no run in missing"),
        (["missing.jsonl", "--task", "word-problems"], "cannot read 'missing.jsonl'"),
        (["answers.jsonl"], "say which task"),
        (["--task", "countdown"], "is of task 'word-problems', not 'countdown'"),
        (["--grader", "paper"], "no published numbers of task 'word-problems'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_graded_is_refused_before_the_first_verdict(
    bigram: list[str],
    refused: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    argv: list[str],
    said: str,
) -> None:
    assert main(["passk", "--task", "word-problems", "--limit", "1", "--num-samples", "1", "--gen-length", "8"]) == 0
    (config,) = Path("runs").rglob("config.json")
    Path("answers.jsonl").write_text("{}")
    capsys.readouterr()
    monkeypatch.setattr("flexeval.cli.grade._regrade", None)
    monkeypatch.setattr("flexeval.cli.grade._compare_with_paper", None)
    assert said in refused("grade", str(config.parent), *argv)
