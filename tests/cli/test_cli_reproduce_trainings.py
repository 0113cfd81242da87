"""`flexeval reproduce` with trainings, end to end: a checkpoint is made once, sampled, and named after its training."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from flexeval.cli import execute
from flexeval.cli.main import main
from flexeval.grpo.metrics import read_metrics
from flexeval.reproduce import results
from flexeval.runs.store import read_runs

pytestmark = pytest.mark.usefixtures("in_tmp")
PLAN = """
defaults: {{task: countdown, order: ar, gen_length: 3, num_samples: 2, limit: 1, model: {model}}}
trainings:
  short:
    {{model: {model}, task: countdown, gen_length: 3, problems_per_step: 2, group_size: 2, steps: 2, save_every: 1}}
runs:
  - order: [ar, random]
  - model: [short@1, short@2]
"""


@pytest.fixture
def plan(in_tmp: Path, llada_folder: Path) -> Path:
    path = in_tmp / "before-after.yaml"
    path.write_text(PLAN.format(model=llada_folder))
    return path


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures and report are others' work."""
    monkeypatch.setattr("flexeval.figures.make.make_figures", lambda runs, out, **_: [])
    monkeypatch.setattr("flexeval.report.write_report", lambda runs, path, **_: None)


def reproduce(plan: Path, *options: str) -> int:
    return main(["reproduce", "--plan", str(plan), "--device", "cpu", *options])


def test_checkpoints_are_made_once_and_sampled(
    plan: Path, llada_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reproduce(plan, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "1 training, 4 runs" in shown and "short@2 countdown ar" in shown
    assert not Path("runs").exists()

    assert reproduce(plan) == 0
    captured = capsys.readouterr()
    assert [row["step"] for row in read_metrics(Path("runs/grpo/short"))] == [0, 1]
    assert "short@2 countdown ar" in captured.err

    # Before and after have the same settings but for the model, which says how it was trained.
    label = f"{llada_folder.name}+short"
    runs = read_runs([Path("runs")])
    assert {run.model for run in runs} == {str(llada_folder), f"{label}@1", f"{label}@2"}
    table = pd.read_csv(f"results/{plan.stem}/{results.PASS_AT_K}.csv")
    assert set(table["model"]) == {run.model for run in runs}
    (after,) = (run for run in runs if run.model == f"{label}@2")
    assert after.config.model == str(Path("runs/grpo/short/checkpoints/step-000002").resolve())
    assert after.lineage is not None and after.lineage.samples == 8

    # Again, also where the runs lie elsewhere: nothing is trained or sampled.
    monkeypatch.setattr(execute, "make_training", None)
    for folder in ("runs", "moved"):
        if folder == "moved":
            Path("runs").rename(folder)
        assert reproduce(plan, "--runs", folder) == 0
        assert "samples to draw" not in capsys.readouterr().err
        assert reproduce(plan, "--runs", folder, "--dry-run") == 0
        assert sum("yes" in line for line in capsys.readouterr().out.splitlines()) == 5


def test_a_stopped_training_is_continued(plan: Path) -> None:
    whole = plan.read_text()
    plan.write_text(whole.replace("steps: 2", "steps: 1").replace(", short@2", ""))
    assert reproduce(plan) == 0
    first = read_metrics(Path("runs/grpo/short"))
    plan.write_text(whole)
    assert reproduce(plan) == 0
    assert read_metrics(Path("runs/grpo/short"))[:1] == first
    assert len(read_metrics(Path("runs/grpo/short"))) == 2


def test_a_failed_training_leaves_the_other_runs(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan.write_text(plan.read_text().replace("short:", "none: {model: no/where}\n  short:"))
    plan.write_text(plan.read_text() + "  - model: none@125\n")
    assert reproduce(plan) == 1
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("flexeval: error"))
    assert "training none failed, and its runs were left out: cannot fetch 'no/where'" in line
    assert len(read_runs([Path("runs")])) == 4
    assert Path(f"results/{plan.stem}/{results.CLAIMS}.md").exists()


def test_a_plan_of_nothing_but_a_failed_training_makes_nothing(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan.write_text("trainings:\n  none: {model: no/where}\nruns:\n  - model: none@125\n")
    assert reproduce(plan) == 1
    assert "cannot fetch 'no/where'" in capsys.readouterr().err
    assert not Path("results").exists()


def test_trainings_run_on_the_device_that_is_asked_for_or_not_at_all(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan.write_text(plan.read_text().replace("  - order: [ar, random]\n", ""))
    assert main(["reproduce", "--plan", str(plan), "--device", "nowhere"]) == 2
    assert "unknown device: 'nowhere'" in capsys.readouterr().err
    assert not Path("runs/grpo").exists()


@pytest.mark.parametrize(
    ("old", "new", "message", "dry"),
    [
        ("order: [ar, random]", "model: ./nowhere", "there is no folder './nowhere'", []),
        ("order: [ar, random]", "gen_length: 4000", "countdown ar T=0.6 block=32: the prompt of", []),
        ("[short@1, short@2]", "short@2\n    gen_length: 4000", "run short@2 countdown", ["--dry-run"]),
        ("problems_per_step: 2", "problems_per_step: 2, limit: 1", "training short: a step takes 2 problems", []),
        ("short:\n    {", "short:\n    {adapter: ./nowhere, ", "training short: there is no adapter", ["--dry-run"]),
        ("gen_length: 3, problems", "gen_length: 4000, problems", "training short: the prompt of", []),
        ("group_size: 2", "group_size: 2, reward: soundd", "unknown verdict of task 'countdown'", []),
    ],
)
def test_what_is_impossible_is_refused_before_anything_is_trained(
    plan: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    old: str,
    new: str,
    message: str,
    dry: list[str],
) -> None:
    monkeypatch.setattr(execute, "make_training", None)
    monkeypatch.setattr("flexeval.cli.dry_run.MOST_WEIGHTS", 0)
    assert old in plan.read_text()
    plan.write_text(plan.read_text().replace(old, new, 1))
    assert reproduce(plan, *dry) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not Path("runs").exists()
