"""`--verdict`: every verb that counts samples counts them by the verdict that is asked for, and says which."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from flexeval.cli.main import main
from flexeval.records import Grade, Problem
from flexeval.runs.store import Run, read_runs
from flexeval.stats.coverage import coverage
from flexeval.stats.nfe import pass_at_nfe_table
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.tasks import TASKS
from flexeval.tasks.word_problems import WordProblems

pytestmark = pytest.mark.usefixtures("bigram", "in_tmp")
SMALL = ("--limit", "8", "--num-samples", "8", "--gen-length", "8", "--temperature", "1")


@dataclass(frozen=True, kw_only=True)
class Large(WordProblems):
    """The bigram model answers with a number and no steps: correct is a large one, and `sound` a larger one."""

    name: ClassVar[str] = "word-problems"
    verdicts: ClassVar[tuple[str, ...]] = ("sound",)

    def grade(self, problem: Problem, text: str) -> Grade:
        last = int([0, *re.findall("[0-9]+", text)][-1])
        return Grade(correct=last > 11, extracted=str(last), verdicts={"sound": last > 13})


@pytest.fixture(autouse=True)
def _easier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TASKS, "get", lambda name: Large)


@pytest.fixture
def runs(capsys: pytest.CaptureFixture[str]) -> list[Run]:
    """A run of ar and one of random."""
    assert main(["passk", *SMALL, "--order", "ar", "--order", "random"]) == 0
    capsys.readouterr()
    found = list(read_runs([Path("runs")]))
    for run in found:
        assert 0 < run.tally()["sound"] < run.tally()["correct"], "equal verdicts would show nothing"
    return found


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[dict[str, Any], str]]:
    """Runs a command with --json -; the JSON, and the tables."""

    def run(*argv: str) -> tuple[dict[str, Any], str]:
        assert main([*argv, "--json", "-"]) == 0
        captured = capsys.readouterr()
        return json.loads(captured.out), " ".join(captured.err.split())

    return run


def rows_of(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


Printed = Callable[..., tuple[dict[str, Any], str]]


@pytest.mark.parametrize("verdict", ["correct", "sound"])
def test_passk_counts_it_and_gives_the_other_beside(runs: list[Run], printed: Printed, verdict: str) -> None:
    asked = () if verdict == "correct" else ("--verdict", verdict)
    result, tables = printed(
        "passk", *SMALL, "--order", "ar", "--order", "random", *asked, "--votes", "--csv", "all.csv"
    )
    assert result["counted"] == verdict
    for run, about in zip(runs, result["runs"], strict=True):
        assert about["verdicts"] == run.tally()
        expected = 100 * pass_at_k_table(run.counting(verdict).counts(), [1, 8]).mean()
        found = {row["k"]: row["pass_percent"] for row in result["pass_at_k"] if row["order"] == run.config.order}
        assert [found[k] for k in (1, 8)] == pytest.approx(expected.tolist())
        votes = [row for row in result["votes"] if row["order"] == run.config.order and row["k"] == 1]
        assert [row["estimate_percent"] for row in votes] == pytest.approx([found[1]] * 2), "maj@1 and all@1"
        other = {"correct": "sound", "sound": "correct"}[verdict]
        assert f"{100 * run.tally()[other] / len(run.samples):.1f}" in tables.partition(f"{other}, %")[2]
    assert ("counted: sound" in tables) == (verdict == "sound")
    assert {row["counted"] for row in rows_of("all.csv")} == {verdict}


def test_compare_coverage_and_sweep_count_it(runs: list[Run], printed: Printed) -> None:
    folders = [str(run.folder) for run in runs]
    a, b = sound = [run.counting("sound") for run in runs]
    result, tables = printed("compare", *folders, "--verdict", "sound", "--votes", "--csv", "all.csv")
    assert result["counted"] == "sound" and "counted: sound" in tables
    shares = [100 * run.tally()["sound"] / len(run.samples) for run in runs]
    for measure in ("pass_at_k", "maj_at_k", "all_at_k"):
        at_1 = result[measure][0]
        assert [at_1["a_percent"], at_1["b_percent"]] == pytest.approx(shares)
    row = result["pass_at_nfe"][-1]
    expected = [100 * pass_at_nfe_table(run.outcomes(), [row["nfe"]]).mean().iloc[0] for run in sound]
    assert [row["a_percent"], row["b_percent"]] == pytest.approx(expected)
    assert {row["counted"] for row in rows_of("all.csv")} == {"sound"}
    assert f"({runs[0].tally()['correct']} correct, {runs[0].tally()['sound']} sound)" in tables

    result, tables = printed("coverage", *folders, "--verdict", "sound", "--csv", "all.csv")
    found = coverage(a.counts(), b.counts())
    assert (result["counted"], result["a_only"], result["both"]) == ("sound", found.a_only, found.both)
    assert {row["counted"] for row in rows_of("all.csv")} == {"sound"} and "counted: sound" in tables

    orders = ("--order", "ar", "--order", "random")
    assert main(["sweep", *orders, *SMALL, "--verdict", "sound", "--csv", "all.csv"]) == 0
    at_1 = [float(row["pass_percent"]) for row in rows_of("all.csv") if row["k"] == "1"]
    assert at_1 == pytest.approx(shares)
    correct = [100 * run.tally()["correct"] / len(run.samples) for run in runs]
    others = [float(row["correct_of_samples_percent"]) for row in rows_of("all.csv") if row["k"] == "1"]
    assert others == pytest.approx(correct)
    assert {row["counted"] for row in rows_of("all.csv")} == {"sound"}


def test_claims_figures_and_the_page_are_made_by_it_and_name_it(runs: list[Run], printed: Printed) -> None:
    result, tables = printed("claims", "runs", "--verdict", "sound", "--csv", "all.csv")
    assert result["counted"] == "sound" and {row["counted"] for row in result["claims"] if row["task"]} == {"sound"}
    assert "Counted: sound. A sample solves its problem when this verdict on it is true." in tables
    assert len(rows_of("all.csv")) == len(result["claims"])
    plain, tables = printed("claims", "runs")
    assert plain["counted"] == "correct" and "Counted" not in tables

    figure = ("figures", "runs", "--only", "samplers")
    assert main([*figure, "--verdict", "sound"]) == 0
    rows = rows_of("figures/samplers.csv")
    assert {row["counted"] for row in rows} == {"sound"}
    share = {run.config.order: run.tally()["sound"] / len(run.samples) for run in runs}
    assert {row["order"]: float(row["estimate"]) for row in rows if row["k"] == "1"} == pytest.approx(share)

    assert main(["report", "runs", "--verdict", "sound", "-o", "page.html"]) == 0
    page = Path("page.html").read_text()
    assert "of which those with the verdict sound count as solving their problem" in page
    for run in runs:
        # The outcome of the samples has both.
        assert f'<td class="number">{run.tally()["correct"]}</td><td class="number">{run.tally()["sound"]}</td>' in page


def test_an_unknown_verdict_is_refused_before_anything_is_made(refused: Callable[..., str], bigram: list[str]) -> None:
    says = "unknown verdict of task 'word-problems': 'sond'. Did you mean 'sound'? Known: correct, sound."
    for verb in ("passk", "sweep"):
        assert says in refused(verb, *SMALL, "--order", "ar", "--verdict", "sond")
    assert not Path("runs").exists() and bigram == []


def test_stored_runs_without_the_verdict_say_how_to_get_it(
    runs: list[Run], refused: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(run.folder) for run in runs]
    for command in (["compare", *folders], ["coverage", *folders], ["claims", "runs"], ["figures", "runs"],
                    ["report", "runs"]):  # fmt: skip
        line = refused(*command, "--verdict", "tidy")
        assert "'tidy'. Known: correct, sound. `flexeval grade" in line
    assert main(["grade", folders[0]]) == 0
    sound = runs[0].tally()["sound"]
    assert f"sound: {sound} before, {sound} of 64 now" in capsys.readouterr().out
