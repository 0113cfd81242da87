"""`flexeval reproduce` with a model of a few words: a plan becomes runs, tables and verdicts, and only what is missing
is sampled."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from flexeval.claims import CLAIMS
from flexeval.cli import options
from flexeval.cli.main import main
from flexeval.errors import InputError
from flexeval.runs import runner
from flexeval.runs.store import RunSet, read_runs

pytestmark = pytest.mark.usefixtures("in_tmp")
PLAN = """
title: a few words
ks: [1, 8]
defaults: {task: word-problems, gen_length: 8, num_samples: 8, limit: 6}
parameters: {some/where: 1.0e+9}
runs:
  - order: [ar, confidence, top_prob]
  - {order: confidence, block_length: [1, 4]}
"""


@pytest.fixture(autouse=True)
def _same_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking up versions and the revision takes longer than the rest of these runs."""
    monkeypatch.setattr(runner, "environment", lambda **about: about)


@pytest.fixture
def plan(tmp_path: Path) -> str:
    path = tmp_path / "words.yaml"
    path.write_text(PLAN)
    return str(path)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Figures and report are others' work; how many runs they were asked to show."""
    shown: list[int] = []

    def figures(runs: RunSet, out: Path) -> list[Path]:
        shown.append(len(runs))
        return [out / "one.png"]

    monkeypatch.setattr("flexeval.figures.make.make_figures", figures)
    monkeypatch.setattr("flexeval.report.write_report", lambda runs, path, say: shown.append(len(runs)))
    return shown


def test_a_plan_becomes_runs_tables_and_verdicts(
    plan: str, bigram: list[str], drawn: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", "--plan", plan]) == 0
    captured = capsys.readouterr()
    runs = read_runs([Path("runs")])
    assert len(runs) == 5 and all(run.complete for run in runs)
    assert drawn == [5, 5]

    # Run folders apart from results; every claim has its line, in the files and on the terminal.
    out = Path("results/words")
    assert sorted(path.name for path in out.iterdir()) == [
        "claims-sound.csv",
        "claims-sound.json",
        "claims-sound.md",
        "claims.csv",
        "claims.json",
        "claims.md",
        "pass_at_k.csv",
        "pass_at_k.md",
    ]
    by_sound = json.loads((out / "claims-sound.json").read_text())["claims"]
    assert {finding["counted"] for finding in by_sound if finding["model"]} == {"sound"}
    findings = json.loads((out / "claims.json").read_text())["claims"]
    assert [finding["claim"] for finding in findings] == list(CLAIMS)
    assert pd.read_csv(out / "claims.csv")["verdict"].tolist() == [finding["verdict"] for finding in findings]
    assert (out / "claims.md").read_text().count("\n| ") == len(findings) + 2
    measured = {finding["claim"] for finding in findings if finding["verdict"] != "not measured"}
    assert {"arbitrary-order-not-worse-at-1", "falls-with-block-length", "top-prob-recovers"} <= measured
    assert captured.out.index("Claims") < captured.out.index("Pass@1, confidence minus ar")
    table = pd.read_csv(out / "pass_at_k.csv")
    assert sorted(table["k"].unique()) == [1, 8]
    assert len(table) == 10

    # Again: nothing is sampled, and the same comes out.
    before = (out / "claims.json").read_bytes()
    assert main(["reproduce", "--plan", plan]) == 0
    assert bigram == ["tiny"]
    assert (out / "claims.json").read_bytes() == before


def test_a_dry_run_writes_nothing_and_loads_a_small_model_to_time_it(
    plan: str, bigram: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["reproduce", "--plan", plan, "--dry-run", "--prompt-tokens", "42", "--utilization", "0.5"]
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert bigram == ["tiny"]
    assert not Path("runs").exists() and not Path("results").exists()
    # Five runs of 6 problems, 8 samples and 8 evaluations each.
    assert "5 runs" in shown
    assert shown.count("384") == 5
    assert "1,920" in shown
    assert "42 prompt tokens" in shown and "50 % of 989" in shown


def test_a_dry_run_says_what_is_stored(
    plan: str, bigram: list[str], drawn: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    sampled = ["--task", "word-problems", "--gen-length", "8", "--num-samples", "8", "--limit", "6"]
    assert main(["passk", "--order", "ar", *sampled]) == 0
    capsys.readouterr()
    assert main(["reproduce", "--plan", plan, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [" ar " in line for line in lines if "yes" in line] == [True]
    assert any("not stored" in line and "1,536" in line for line in lines)


def test_a_failed_model_leaves_the_verdicts_on_the_others(
    tmp_path: Path,
    bigram: list[str],
    drawn: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load = options.load_model

    def load_or_fail(args: object, spec: str) -> object:
        if spec == "some/where":
            raise InputError("cannot fetch 'some/where'")
        return load(args, spec)  # type: ignore[arg-type]

    monkeypatch.setattr(options, "load_model", load_or_fail)
    path = tmp_path / "words.yaml"
    path.write_text(PLAN.replace("  - {order", "  - {order: ar, model: some/where}\n  - {order"))
    assert main(["reproduce", "--plan", str(path)]) == 1
    assert "1 of 6 runs failed" in capsys.readouterr().err
    assert drawn == [5, 5]
    assert (Path("results/words") / "claims.md").exists()


def test_the_quick_preset_is_the_default_models_small_plan(
    bigram: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", "--quick", "--dry-run"]) == 0
    assert "the bundled models, quickly" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--preset", "lada"], "Did you mean 'llada'"),
        (["--plan", "none.yaml"], "there is no plan"),
        (["--plan", "words.yaml", "--quick"], "--quick is for presets"),
        (["--dry-run", "--utilization", "40"], "share of the peak"),
    ],
)
def test_refusals(plan: str, refused: Callable[..., str], argv: list[str], said: str) -> None:
    assert said in refused("reproduce", *argv)
