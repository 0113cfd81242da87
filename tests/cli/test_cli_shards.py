"""`--shard` and `flexeval merge`, with a model of a few words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flexeval.cli import dry_run
from flexeval.cli.main import main
from flexeval.runs import runner
from flexeval.runs.store import read_runs

pytestmark = pytest.mark.usefixtures("in_tmp", "bigram")
SMALL = ("--order", "ar", "--limit", "5", "--num-samples", "2", "--gen-length", "8")


@pytest.fixture(autouse=True)
def _same_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "environment", lambda **about: about)


def passk(*argv: str, out: str = "runs") -> int:
    return main(["passk", *SMALL, "--out", out, *argv])


def folder(out: str) -> Path:
    """The only run below."""
    (run,) = read_runs([Path(out)])
    return run.folder


def test_shards_of_an_array_become_the_undivided_run(monkeypatch, capsys):
    assert passk(out="whole") == 0
    table = capsys.readouterr().out.replace("whole", "runs")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "1")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")

    # The first of the two says what is missing, the last one prints the table.
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    assert passk("--json", "first.json") == 0
    said = capsys.readouterr()
    assert "shard 0/2 of each run, by the place in the Slurm job array" in said.err
    assert "lacks shard 1/2" in said.err and "tables come with the last" in said.err
    assert said.out.startswith("shard 0/2: 6 samples") and not Path("first.json").exists()
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    assert passk("--json", "last.json") == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0].startswith("shard 1/2: 4 samples") and Path("last.json").exists()

    # Without --shard, and without the model: everything is there.
    monkeypatch.setattr("flexeval.cli.options.load_model", None)
    assert passk("--shard", "none") == 0
    without_time = [line for line in table.splitlines() if "per second" not in line]
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if "per second" not in line] == without_time

    # Graded as they are; then one folder.
    assert main(["grade", str(folder("runs"))]) == 0
    assert capsys.readouterr().out.count("0 verdicts changed") == 2
    assert main(["merge", "runs"]) == 0
    assert capsys.readouterr().out.endswith("2 shards, 10 samples, complete\n")
    for name in ("config.json", "problems.jsonl", "samples.jsonl"):
        assert (folder("runs") / name).read_bytes() == (folder("whole") / name).read_bytes()


def planned(capsys, *argv: str) -> dict[str, Any]:
    capsys.readouterr()
    assert passk("--dry-run", "--json", "-", *argv) == 0
    (row,) = json.loads(capsys.readouterr().out)["runs"]
    return {name: row[name] for name in ("problems", "samples", "stored_samples", "stored")}


def test_a_dry_run_counts_what_is_stored_and_refuses_what_the_command_would(monkeypatch, capsys):
    monkeypatch.setattr(dry_run, "MOST_WEIGHTS", 0)  # nothing is timed
    assert passk("--shard", "0/2") == 0
    half = {"problems": 5, "samples": 10, "stored_samples": 6, "stored": False}
    assert planned(capsys) == half
    assert planned(capsys, "--num-samples", "1", "--limit", "1")["stored"]
    assert passk("--shard", "1/2") == 0
    assert planned(capsys) == {**half, "stored_samples": 10, "stored": True}

    assert passk(out="whole") == 0
    assert planned(capsys, "--num-samples", "3", "--out", "whole")["stored_samples"] == 10
    assert planned(capsys, "--limit", "3", "--num-samples", "3", "--out", "whole")["stored_samples"] == 6
    assert planned(capsys, "--limit", "100000", "--task", "sudoku4:size=7")["problems"] == 7
    for argv, words in (
        (("--shard", "0/2", "--out", "whole"), "continue it without --shard"),
        (("--dtype", "bfloat16", "--out", "whole"), "was made with dtype float32, not bfloat16; use another --out"),
        (("--shard", "6/9", "--out", "new"), "divide it into at most 5 shards"),
        (("--ray-address", "ray://head:10001"), "--ray-address auto"),
        (("--workers", "2", "--device", "cuda:1"), "--device is auto, cpu or cuda"),
    ):
        capsys.readouterr()
        assert passk("--dry-run", *argv) == 2
        assert words in capsys.readouterr().err


def test_readers_say_what_is_missing(capsys):
    assert passk("--shard", "2/3") == 0
    capsys.readouterr()
    assert main(["report", "runs", "-o", "page.html"]) == 0
    assert "lacks shards 0/3, 1/3" in capsys.readouterr().err


def test_a_sweep_in_shards(capsys):
    grid = ("sweep", "--over", "temperature=0.6,1", *SMALL, "--out", "runs")
    assert main([*grid, "--shard", "0/2", "--csv", "none.csv"]) == 0
    assert not Path("none.csv").exists() and "Pass@k" not in capsys.readouterr().out
    assert main([*grid, "--shard", "1/2", "--csv", "all.csv"]) == 0
    assert Path("all.csv").exists() and "Pass@k" in capsys.readouterr().out
    assert len(read_runs([Path("runs")])) == 2
    assert main(["merge", "runs"]) == 0
    assert not list(Path("runs").rglob("shard-*"))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--shard", "3/2"), "the last of 2 is 1/2"),
        (("--shard", "half"), "write I/N"),
        (("--shard", "6/9"), "divide it into at most 5 shards"),
        (("--workers", "0"), "--workers"),
        (("--workers", "two"), "--workers"),
        (("--workers", "1000000"), "--workers"),
    ],
)
def test_what_cannot_be_divided_is_refused(argv, words, capsys):
    assert passk(*argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--workers", "2", "--device", "cuda:1"), "--device is auto, cpu or cuda"),
        (("--ray-address", "nonsense"), "write auto, or HOST:PORT"),
        (("--ray-address", "127.0.0.1:1"), "nothing answers at"),
        (("--workers", "2", "--ray-address", "ray://head:10001"), "--ray-address auto"),
    ],
)
def test_workers_that_cannot_be_had_are_refused(argv, words, capsys):
    pytest.importorskip("ray")
    assert passk(*argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert not Path("runs").exists()


def test_what_cannot_be_merged_is_refused(capsys):
    assert passk("--shard", "0/2") == 0
    assert passk(out="whole") == 0
    capsys.readouterr()
    for argv, words in (
        (["nowhere"], "there is no shard in 'nowhere'"),
        (["whole"], "there is no shard in 'whole'"),
    ):
        assert main(["merge", *argv]) == 2
        assert words in capsys.readouterr().err
    assert passk() == 2
    assert "continue them with --shard" in capsys.readouterr().err
    assert passk("--shard", "0/2", out="whole") == 2
    assert "continue it without --shard" in capsys.readouterr().err
