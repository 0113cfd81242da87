"""`flexeval passk` with a model of a few words: what is printed is what the run folders hold."""

from __future__ import annotations

import csv
import dataclasses
import errno
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flexeval.cli.main import main
from flexeval.records import SamplingConfig
from flexeval.runs import files
from flexeval.runs.store import read_run
from flexeval.stats.votes import majority_table
from flexeval.tasks import TASKS
from flexeval.tasks.word_problems import WordProblems

pytestmark = pytest.mark.usefixtures("in_tmp")
SMALL = ("--task", "word-problems", "--limit", "6", "--num-samples", "4", "--gen-length", "8")


@pytest.fixture
def passk(bigram: list[str], capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Runs a small `flexeval passk --json -`; the JSON, with what was written on stderr under "err"."""

    def run(*argv: str) -> dict[str, Any]:
        assert main(["passk", *SMALL, "--json", "-", *argv]) == 0
        captured = capsys.readouterr()
        result: dict[str, Any] = json.loads(captured.out)
        return {**result, "err": captured.err}

    return run


def drawn(result: dict[str, Any]) -> list[str]:
    return [line for line in result["err"].splitlines() if line.endswith("samples to draw")]


def test_numbers_are_those_of_the_run_folders(passk: Callable[..., dict[str, Any]]) -> None:
    result = passk("--order", "ar", "--order", "top_prob")
    for made in result["runs"]:
        run = read_run(Path(made["folder"]))
        assert run.complete
        assert (run.config.order, run.config.num_samples, run.config.limit) == (made["order"], 4, 6)
        rows = {row["k"]: row for row in result["pass_at_k"] if row["order"] == made["order"]}
        assert list(rows) == [1, 2, 4]
        counts = run.counts()
        assert 0 < counts["c"].sum() < 24, "a comparison of empty or full counts would show nothing"
        assert rows[1]["pass_percent"] == pytest.approx(100 * (counts["c"] / 4).mean())
        assert rows[4]["pass_percent"] == pytest.approx(100 * (counts["c"] > 0).mean())
        assert rows[1]["nfe"] == pytest.approx(run.samples["nfe"].mean())


def test_differences_are_to_the_first_order(passk: Callable[..., dict[str, Any]]) -> None:
    result = passk("--order", "ar", "--order", "random", "--order", "top_prob", "--temperature", "1", "--k", "4,1")
    passed = {(row["order"], row["k"]): row["pass_percent"] for row in result["pass_at_k"]}
    assert [(row["first"], row["second"], row["k"]) for row in result["differences"]] == [
        ("random", "ar", 1),
        ("random", "ar", 4),
        ("top_prob", "ar", 1),
        ("top_prob", "ar", 4),
    ]
    for row in result["differences"]:
        expected = passed[row["first"], row["k"]] - passed["ar", row["k"]]
        assert row["difference_points"] == pytest.approx(expected, abs=1e-9)


def test_endings_are_those_of_the_texts(passk: Callable[..., dict[str, Any]]) -> None:
    result = passk("--order", "random", "--gen-length", "4", "--temperature", "1.5")
    run = read_run(Path(result["runs"][0]["folder"]))
    endings = run.endings()
    assert endings["budget_exhausted"].tolist() == [length == 4 for length in run.samples["length"]]
    assert endings["answer_started"].tolist() == ["answer is" in text for text in run.samples["text"]]
    assert 0 < endings["answer_started"].mean() < 1, "where all or none started, nothing would be told apart"
    shares = {row["ending"]: row["percent"] for row in result["endings"]}
    cut = endings["budget_exhausted"] & ~endings["answer_started"]
    assert shares["exhausted before an answer"] == pytest.approx(100 * cut.mean())


def test_votes_are_those_of_the_run_folders(passk: Callable[..., dict[str, Any]]) -> None:
    result = passk("--order", "ar", "--order", "random", "--votes")
    assert passk("--order", "ar")["votes"] is None
    for made in result["runs"]:
        run = read_run(Path(made["folder"]))
        rows = {(row["measure"], row["k"]): row for row in result["votes"] if row["order"] == made["order"]}
        assert list(rows) == [("maj", 1), ("maj", 2), ("maj", 4), ("all", 1), ("all", 2), ("all", 4)]
        assert rows["all", 4]["estimate_percent"] == pytest.approx(100 * (run.counts()["c"] == 4).mean())
        majority = majority_table(run.samples, [4])[4].mean()
        assert rows["maj", 4]["estimate_percent"] == pytest.approx(100 * majority)
    assert "maj@4" in result["err"] and "all@4" in result["err"]


def test_one_model_for_all_orders_and_none_for_a_finished_run(
    passk: Callable[..., dict[str, Any]], bigram: list[str]
) -> None:
    first = passk("--order", "ar", "--order", "entropy")
    assert bigram == ["tiny"]
    again = passk("--order", "entropy", "--order", "ar")
    assert bigram == ["tiny"]
    assert drawn(first) == ["ar: 24 of 24 samples to draw", "entropy: 24 of 24 samples to draw"]
    assert drawn(again) == []
    assert sorted(map(str, again["pass_at_k"])) == sorted(map(str, first["pass_at_k"]))


def test_more_samples_draw_only_what_is_missing(passk: Callable[..., dict[str, Any]]) -> None:
    passk()
    assert drawn(passk("--num-samples", "6", "--limit", "7")) == ["ar: 18 of 42 samples to draw"]
    smaller = passk("--num-samples", "5", "--limit", "2")
    assert drawn(smaller) == []
    assert (smaller["problems"], smaller["num_samples"]) == (2, 5)


def test_a_finished_run_is_not_shown_for_another_dtype(bigram: list[str]) -> None:
    for dtype in ("auto", "float32", "bfloat16"):
        assert main(["passk", *SMALL, "--dtype", dtype]) == 0
    # Once to sample, and once for the type that the finished run does not have.
    assert bigram == ["tiny", "tiny"]


def test_settings_not_given_are_the_defaults_of_task_and_records(passk: Callable[..., dict[str, Any]]) -> None:
    result = passk("--task", "word-problems:size=3", "--limit", "none", "--gen-length", "64", "--num-samples", "1")
    assert result["problems"] == 3
    assert result["sampling"] == dataclasses.asdict(SamplingConfig(gen_length=64, block_length=32))


def test_gen_length_is_the_tasks(bigram: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for task in ("forks", "word-problems"):
        assert main(["passk", "--task", task, "--limit", "2", "--num-samples", "1", "--json", "-"]) == 0
        assert json.loads(capsys.readouterr().out)["sampling"]["gen_length"] == TASKS.get(task).gen_length


def test_tables_say_what_they_are_about(bigram: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["passk", *SMALL, "--order", "ar", "--order", "threshold:tau=0.5", "--top-k", "5"]) == 0
    printed = capsys.readouterr().out
    for words in (
        "pass@4",
        "NFE per sample",
        "tokens per forward",
        "budget exhausted, %",
        "canvases saved, %",
        "samples per second",
        "threshold:tau=0.5 − ar",
        "unresolved",
        "model tiny, task word-problems, 6 problems, n = 4, T = 0.6, gen_length 8, block_length 8",
        "seed 0, top_k 5",
        "float32 on cpu",
    ):
        assert words in printed
    for folder in Path("runs").rglob("config.json"):
        assert str(folder.parent) in printed


def test_files_hold_the_same_numbers(passk: Callable[..., dict[str, Any]], in_tmp: Path) -> None:
    printed = passk("--order", "ar", "--order", "random")
    assert main(["passk", *SMALL, "--order", "ar", "--order", "random", "--json", "a.json", "--csv", "a.csv"]) == 0
    stored = json.loads(Path("a.json").read_text())
    assert stored == {key: value for key, value in printed.items() if key != "err"}
    rows = list(csv.DictReader(Path("a.csv").read_text().splitlines()))
    assert [(row["order"], int(row["k"])) for row in rows] == [(row["order"], row["k"]) for row in stored["pass_at_k"]]
    assert [float(row["high_percent"]) for row in rows] == pytest.approx(
        [row["high_percent"] for row in stored["pass_at_k"]]
    )
    assert {path.name for path in in_tmp.iterdir()} == {"runs", "a.json", "a.csv"}


def test_a_stopped_run_continues_with_the_same_command(
    passk: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    undisturbed = passk("--out", "other")
    graded, grade = itertools.count(1), WordProblems.grade

    def stop(self: WordProblems, problem: Any, text: str) -> Any:
        if next(graded) == 10:
            raise KeyboardInterrupt
        return grade(self, problem, text)

    with monkeypatch.context() as patch:
        patch.setattr(WordProblems, "grade", stop)
        assert main(["passk", *SMALL]) == 130
    assert "same command" in capsys.readouterr().err
    continued = passk()
    # Graders run side by side, so the tenth to begin need not be the tenth sample.
    assert drawn(continued)[0] in [f"ar: {missing} of 24 samples to draw" for missing in range(24 - 9 - 8, 24)]
    keep = ("order", "k", "pass_percent", "low_percent", "high_percent", "nfe")
    for mine, theirs in zip(continued["pass_at_k"], undisturbed["pass_at_k"], strict=True):
        assert {key: mine[key] for key in keep} == {key: theirs[key] for key in keep}


def test_a_full_disk_is_one_line_and_the_run_continues(
    passk: Callable[..., dict[str, Any]], refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "write", full)
        assert "no space left on the device" in refused("passk", *SMALL)
    assert read_run(Path(passk()["runs"][0]["folder"])).complete


# ----- before it starts -----


def test_a_dry_run_says_what_it_takes_and_draws_nothing(
    bigram: list[str], capsys: pytest.CaptureFixture[str], in_tmp: Path
) -> None:
    argv = ["--model", "some/where", "--parameters", "8e9", "--task", "word-problems", "--limit", "6"]
    argv += ["--num-samples", "8", "--gen-length", "8", "--order", "ar", "--order", "parallel-2", "--dry-run"]
    assert main(["passk", *argv, "--workers", "4", "--prompt-tokens", "92", "--json", "-"]) == 0
    captured = capsys.readouterr()
    ar, parallel = json.loads(captured.out)["runs"]
    assert (ar["samples"], ar["nfe_at_most"], parallel["nfe_at_most"]) == (48, 48 * 8, 48 * 4)
    assert ar["operations_at_most"] == 2 * 8e9 * 100 * 48 * 8
    hours = (ar["gpu_hours"] + parallel["gpu_hours"]) / 4
    assert ar["disk_bytes"] == 48 * (300 + 8 * 32)
    assert ar["minutes_here"] is None and not bigram
    assert f"With 4 workers with such a GPU each: at most {hours:.1g} hours" in captured.err
    assert list(in_tmp.iterdir()) == []


def test_a_dry_run_of_a_shard_is_about_its_problems(bigram: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--task", "word-problems", "--limit", "7", "--num-samples", "2", "--gen-length", "8", "--dry-run"]
    assert main(["passk", *argv, "--shard", "0/2", "--json", "-"]) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert (run["problems"], run["samples"]) == (4, 8)
    assert (run["minutes_here"] > 0 and bigram == ["forks"]) or bigram == ["tiny"]


@pytest.mark.parametrize(("size", "said"), [("big", "--parameters"), ("-3", "as in 8e9"), ("inf", "as in 8e9")])
def test_what_is_no_size_is_refused(refused: Callable[..., str], size: str, said: str) -> None:
    assert said in refused("passk", "--dry-run", "--limit", "2", f"--parameters={size}")


def test_a_run_that_was_forecast_says_how_far_it_was_off(
    bigram: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from flexeval.cli import progress
    from flexeval.runs import runner

    monkeypatch.setattr(runner, "forecast", lambda *_, missing: 90.0)
    assert main(["passk", "--task", "word-problems", "--limit", "2", "--num-samples", "2", "--gen-length", "8"]) == 0
    said = capsys.readouterr().err
    assert "ar: 4 of 4 samples to draw, in about 2 min" in said
    assert "the forecast, 1.5 min, was " in said and "% too long" in said
    assert progress.forecast_line(120.0, 90.0) == "took 2.0 min; the forecast, 1.5 min, was 25 % too short"
    assert progress.forecast_line(120.0, 120.1) == "took 2.0 min; the forecast, 2.0 min, was right"
