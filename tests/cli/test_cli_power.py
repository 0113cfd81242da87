"""`flexeval power` from published accuracies and from runs of a model of a few words."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flexeval.cli.main import main
from flexeval.runs.store import read_run
from flexeval.stats.power import TwoRuns

pytestmark = pytest.mark.usefixtures("bigram", "in_tmp")
SMALL = ("--problems", "20,40", "--samples", "2,4", "--simulations", "10")


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Runs `flexeval power` with --json -; the JSON, with what the terminal shows under "shown"."""

    def run(*argv: str) -> dict[str, Any]:
        assert main(["power", *argv, *SMALL, "--json", "-"]) == 0
        captured = capsys.readouterr()
        return {**json.loads(captured.out), "shown": captured.err}

    return run


@pytest.fixture
def pilot(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The folders of two runs."""
    given = "--task word-problems --limit 12 --num-samples 16 --gen-length 8 --temperature 1"
    assert main(["passk", "--order", "ar", "--order", "random", *given.split(), "--json", "-"]) == 0
    return [run["folder"] for run in json.loads(capsys.readouterr().out)["runs"]]


def test_published_accuracies(printed: Callable[..., Any]) -> None:
    result = printed("--pass-at", "1=78.5,128=97.7", "--csv", "rows.csv")
    at = [(row["problems"], row["n"], row["k"]) for row in result["power"]]
    assert at == [(problems, n, k) for problems in (20, 40) for n in (2, 4) for k in (1, n)]
    first, second = result["chances"]
    assert first["pass_at_1_percent"] - second["pass_at_1_percent"] == pytest.approx(5)
    assert result["correlation_from"] == "assumed" and result["runs"] is None and result["pilot"] is None
    rows = list(csv.DictReader(Path("rows.csv").read_text().splitlines()))
    assert [float(row["half_width_points"]) for row in rows] == pytest.approx(
        [row["half_width_points"] for row in result["power"]]
    )
    assert {"band_half_width_points", "difference_points", "power_percent"} <= set(rows[0])


def test_accuracies_of_both_runs_and_what_one_alone_leaves_open(printed: Callable[..., Any]) -> None:
    result = printed("--pass-at", "1=40", "--pass-at", "1=30,16=70", "--correlation", "0.5", "--k", "1,2")
    assert [run["pass_at_1_percent"] for run in result["chances"]] == pytest.approx([40, 30], abs=0.1)
    assert (result["correlation"], result["correlation_from"]) == (0.5, "given")
    (note,) = result["notes"]
    assert "alpha + beta = 0.7 is assumed" in note and note in result["shown"]
    assert {row["k"] for row in result["power"]} == {1, 2}


def test_a_pilot_of_both_runs(pilot: list[str], printed: Callable[..., Any]) -> None:
    result = printed(*pilot)
    two = TwoRuns.of_pilot(*(read_run(Path(folder)).counts() for folder in pilot))
    assert result["correlation"] == pytest.approx(two.correlation) and result["correlation_from"] == "that of the pilot"
    assert [run["run"] for run in result["chances"]] == ["ar", "random"]
    assert [run["alpha"] for run in result["chances"]] == pytest.approx([two.a.alpha, two.b.alpha])
    assert [row["k"] for row in result["pilot"]] == [1, 16]
    assert "The pilot's own half-width at pass@16" in result["shown"]


def test_pilots_on_other_problems_are_refused_with_what_power_can_do(
    pilot: list[str], refused: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    given = "--task word-problems --limit 3 --num-samples 2 --gen-length 8 --seed 1"
    assert main(["passk", *given.split(), "--json", "-"]) == 0
    fewer = json.loads(capsys.readouterr().out)["runs"][0]["folder"]
    line = refused("power", pilot[0], fewer)
    assert "one has 12, the other 3" in line and line.endswith("; sample both with the same --limit")


def test_a_pilot_of_one_run(pilot: list[str], printed: Callable[..., Any]) -> None:
    result = printed(pilot[0], "--difference", "-2")
    first, second = result["chances"]
    assert second["pass_at_1_percent"] - first["pass_at_1_percent"] == pytest.approx(2)
    assert result["counted"] == "correct" and result["pilot"] is None


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("", "one or two run folders, or published accuracies"),
        ("run --pass-at 1=50", "one or two run folders, or published accuracies"),
        ("a b c", "3 are given"),
        ("missing", "missing"),
        ("--pass-at 1=50 --verdict sound", "--verdict is for run folders"),
        ("--pass-at 50", "takes K=PERCENT"),
        ("--pass-at 1=x", "must be a number"),
        ("--pass-at x=50", "must be a whole number"),
        ("--pass-at 0=50", "at least 1"),
        ("--pass-at 1=50,1=60", "k = 1 twice"),
        ("--pass-at 1=150", "between 0 and 100"),
        ("--pass-at 1=nan", "must be a number"),
        ("--pass-at 1=0", "between 0 and 100 %"),
        ("--pass-at 1=50 --pass-at 1=100", "second run is always right"),
        ("--pass-at 1=100 --difference 0", "between 0 and 100 %"),
        ("--pass-at 1=1e-300 --difference 0", "so near to 0 or 100 %"),
        ("--pass-at 1=1e-300,2=50 --difference 0", "cannot have this curve"),
        ("--pass-at 1=50 --difference 49.99999999999999", "so near to 0 or 100 %"),
        ("--pass-at 8=50", "two values of k"),
        ("--pass-at 1=50,8=40", "must not fall"),
        ("--pass-at 1=3", "second run would solve -2.0 %"),
        ("--pass-at 1=50 --difference inf", "between -100 and 100"),
        ("--pass-at 1=50 --pass-at 1=40 --difference 3", "leave it out"),
        ("--pass-at 1=50 --correlation 2", "between -1 and 1"),
        ("--pass-at 1=50 --pass-at 1=5 --correlation 1", "cannot have a correlation of 1"),
        ("--pass-at 1=50 --problems 1", "--problems takes numbers from 2"),
        ("--pass-at 1=50 --problems 10,9999999", "--problems takes numbers from 2"),
        ("--pass-at 1=50 --problems ten", "--problems must be a whole number"),
        ("--pass-at 1=50 --samples 0", "--samples"),
        ("--pass-at 1=50 --samples 99999", "--samples takes numbers from 1"),
        ("--pass-at 1=50 --samples 4,8 --k 8", "use k <= 4"),
        ("--pass-at 1=50 --simulations 1", "--simulations must be at least 10"),
        ("--pass-at 1=50 --seed -1", "--seed must be at least 0"),
        ("--pass-at 1=50 --csv gone/rows.csv", "gone"),
    ],
)
def test_bad_input_is_one_line(refused: Callable[..., str], argv: str, message: str) -> None:
    assert message in refused("power", *argv.split())
