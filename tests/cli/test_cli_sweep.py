"""`flexeval sweep` with a model of a few words: stopped and continued, it ends as if it had never been stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from torch import Tensor

from flexeval.cli import options
from flexeval.cli.main import main
from flexeval.errors import InputError
from flexeval.runs import runner
from flexeval.runs.store import RunSet, read_runs

pytestmark = pytest.mark.usefixtures("in_tmp")
GRID = ("--over", "temperature=0.6,1", "--over", "block_length=2,whole", "--order", "confidence", "--order", "egi")
SMALL = ("--task", "word-problems", "--limit", "3", "--num-samples", "4", "--gen-length", "8")


@pytest.fixture(autouse=True)
def _same_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking up versions and the revision takes longer than the rest of these runs."""
    monkeypatch.setattr(runner, "environment", lambda **about: about)


def sweep(*argv: str, out: str = "runs") -> int:
    return main(["sweep", *GRID, *SMALL, "--out", out, *argv])


def contents(out: str) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Samples and tokens of each run, by folder."""
    runs: RunSet = read_runs([Path(out)])
    assert all(run.complete for run in runs)
    return {str(run.folder.relative_to(out)): (run.samples, run.tokens()) for run in runs}


def assert_same(one: str, other: str) -> None:
    ours, theirs = contents(one), contents(other)
    assert ours.keys() == theirs.keys()
    for folder, frames in ours.items():
        for mine, reference in zip(frames, theirs[folder], strict=True):
            pd.testing.assert_frame_equal(mine, reference)


def test_one_run_for_each_combination_and_the_model_once(bigram: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--csv", "all.csv") == 0
    captured = capsys.readouterr()
    assert bigram == ["tiny"]
    runs = read_runs([Path("runs")])
    assert len(runs) == 8
    assert {(run.config.num_samples, len(run.problems)) for run in runs} == {(4, 3)}
    assert "8 of 8: tiny word-problems egi T=1 block=8" in captured.err
    assert captured.err.count("12 of 12 samples to draw") == 8

    # The table and the file say what the folders hold.
    rows = pd.read_csv("all.csv")
    for run in runs:
        sampling = run.config.sampling
        of_run = rows[
            (rows["order"] == run.config.order)
            & (rows["temperature"] == sampling.temperature)
            & (rows["block_length"] == sampling.block)
        ]
        assert of_run["k"].tolist() == [1, 2, 4]
        assert of_run["pass_percent"].iloc[0] == pytest.approx(100 * run.samples["correct"].mean())

    # Nothing is missing now, also of a part; passk finds the same folders.
    assert sweep() == 0
    assert sweep("--num-samples", "2", "--limit", "1") == 0
    assert main(["passk", "--order", "egi", "--temperature", "1", "--block-length", "2", *SMALL]) == 0
    assert bigram == ["tiny"]
    assert "to draw" not in capsys.readouterr().err


@pytest.mark.parametrize("calls", [1, 40])
def test_stopped_and_continued_it_is_the_undisturbed_sweep(
    bigram: list[str], monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    assert sweep(out="undisturbed") == 0
    with monkeypatch.context() as stopping:
        load = options.load_model
        stopping.setattr(options, "load_model", lambda args, spec: _stops(load(args, spec), calls))
        assert sweep() == 130
    finished = list(Path("runs").rglob("summary.json"))
    assert bool(finished) == (calls == 40)
    before = {folder: folder.stat().st_mtime_ns for folder in finished}
    assert sweep() == 0
    assert_same("runs", "undisturbed")
    # What was finished was not touched again.
    assert {folder: folder.stat().st_mtime_ns for folder in finished} == before


def _stops(model: object, calls: int) -> object:
    """The same model, interrupted at some evaluation."""
    left = calls
    evaluate = model.hidden  # type: ignore[attr-defined]

    def hidden(tokens_BL: Tensor, attention_BL: Tensor | None = None, asked_BL: Tensor | None = None) -> Tensor:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        result: Tensor = evaluate(tokens_BL, attention_BL, asked_BL)
        return result

    model.hidden = hidden  # type: ignore[attr-defined]
    return model


def test_a_run_that_fails_does_not_lose_the_others(
    bigram: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load = options.load_model

    def load_or_fail(args: object, spec: str) -> object:
        if Path(spec).name == "broken":
            raise InputError("weights are missing")
        return load(args, spec)  # type: ignore[arg-type]

    monkeypatch.setattr(options, "load_model", load_or_fail)
    # A folder without weights: neither its size nor its model can be had.
    Path("broken").mkdir()
    argv = ["sweep", "--over", "model=broken,tiny", "--order", "ar", "--order", "random", *SMALL]
    assert main(argv) == 1
    captured = capsys.readouterr()
    assert captured.err.count("failed: weights are missing") == 2
    assert "2 of 4 runs failed" in captured.err
    assert {run.config.order for run in read_runs([Path("runs")])} == {"ar", "random"}
    assert "random" in captured.out


def test_a_damaged_folder_fails_alone(bigram: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["sweep", "--order", "ar", "--order", "random", *SMALL]
    assert main(argv) == 0
    (damaged,) = Path("runs").rglob("random-*/samples.jsonl")
    damaged.write_text("no JSON\n")
    capsys.readouterr()
    assert main(argv) == 1
    assert "samples.jsonl, line 1: not as it was written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--over", "block_lenth=1,2"], "Did you mean 'block_length'"),
        (["--over", "temperature"], "write a setting and its values"),
        (["--over", "temperature=1,,2"], "write a setting and its values"),
        (["--over", "temperature=1,1"], "has a value twice"),
        (["--over", "temperature=1", "--over", "temperature=2"], "is given twice"),
        (["--over", "temperature=1,2", "--temperature", "1"], "as an option and in --over"),
        (["--over", "num_samples=1,2"], "give the largest as --num-samples"),
        (["--over", "order.gama=1", "--order", "eb"], "Did you mean 'gamma'"),
        (["--over", "block_length=1,100"], "use at most 32"),
    ],
)
def test_refusals(refused: Callable[..., str], argv: list[str], said: str) -> None:
    assert said in refused("sweep", *argv)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--over", "gen_length=8,4096"], "run tiny word-problems ar T=0.6 block=32: the prompt of"),
        (["--over", "gen_length=32,4096", "--dry-run"], "ar T=0.6 block=32 gen_length=4096: the prompt of"),
        (
            ["--order", "ar", "--order", "eb", "--tokens-per-step", "2"],
            "run tiny word-problems eb T=0.6 block=32: order",
        ),
        (["--model", "tiny-block", "--order", "ar", "--order", "wino"], "run tiny-block word-problems wino"),
        (["--model", "tiny-block", "--over", "block_length=8,16"], "block=16: block_length 16 is longer than"),
        (["--model", "tiny-block", "--over", "cache=exact,prefix"], "leave the cache at 'exact'"),
        (["--over", "model=tiny,./nowhere", "--dry-run"], "there is no folder './nowhere'"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_the_first_sample(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, argv: list[str], said: str
) -> None:
    monkeypatch.setattr(options, "load_model", None)
    # A dry run times what can be drawn.
    monkeypatch.setattr("flexeval.cli.dry_run.MOST_WEIGHTS", 0)
    assert said in refused("sweep", "--task", "word-problems", "--limit", "2", "--num-samples", "2", *argv)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "argv",
    [["passk"], ["passk", "--dry-run"], ["sweep", "--over", "model=forks,tiny"], ["sweep", "--dry-run"]],
    ids=" ".join,
)
def test_a_run_folder_that_cannot_be_made_is_refused_before_the_first_sample(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, argv: list[str]
) -> None:
    monkeypatch.setattr(options, "load_model", None)
    monkeypatch.setattr("flexeval.cli.dry_run.MOST_WEIGHTS", 0)
    Path("runs").mkdir()
    Path("runs/tiny").touch()
    line = refused(*argv, "--task", "word-problems", "--limit", "1", "--num-samples", "1")
    assert "as a run folder: 'runs/tiny' is a file" in line


def test_passk_refuses_an_order_before_it_samples_another(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "load_model", None)
    assert "decides itself" in refused(
        "passk", "--order", "ar", "--order", "eb", "--tokens-per-step", "2", "--limit", "1"
    )
    assert not Path("runs").exists()


def test_runs_that_fail_can_be_told_apart(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(args: object, spec: str) -> object:
        raise InputError("weights are missing")

    monkeypatch.setattr(options, "load_model", broken)
    over = ["--over", "gen_length=8,16", "--over", "seed=0,1", "--block-length", "8"]
    assert (
        main(["sweep", "--model", "tiny", "--task", "word-problems", *over, "--limit", "1", "--num-samples", "2"]) == 1
    )
    lines = [line for line in capsys.readouterr().err.splitlines() if "weights are missing" in line]
    assert len(set(lines)) == 4
    assert "run tiny word-problems ar T=0.6 block=8 gen_length=16 seed=1 failed: weights are missing" in lines[-1]
