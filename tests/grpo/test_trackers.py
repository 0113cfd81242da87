"""Trackers by name: each gets every step, nothing of them is online, and unknown names are refused before training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import pytest
from accelerate import PartialState

from flexeval.cli.main import main
from flexeval.errors import InputError
from flexeval.grpo import trackers
from flexeval.grpo.metrics import MetricsLog, StepMetrics, read_metrics


class Recorder:
    """A tracker that keeps what it is told, under the name that it was started with."""

    requires_logging_directory = False
    made: ClassVar[list[Recorder]] = []

    def __init__(self, run_name: str, **options: Any) -> None:
        self.run_name, self.options = run_name, options
        self.mode = os.environ.get("WANDB_MODE")
        self.logged: list[tuple[int | None, dict[str, Any]]] = []
        self.settings: dict[str, Any] = {}
        self.finished = False
        Recorder.made.append(self)

    def start(self) -> None: ...

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.settings = values

    def log(self, values: dict[str, Any], step: int | None = None) -> None:
        self.logged.append((step, values))

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    """In the place of wandb, which need not be installed."""
    PartialState()
    Recorder.made.clear()
    monkeypatch.setitem(trackers.LOGGER_TYPE_TO_CLASS, "wandb", Recorder)
    monkeypatch.setattr(trackers, "_available", lambda: {"wandb"})
    monkeypatch.setenv("WANDB_MODE", "")
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_DIR", "")
    monkeypatch.delenv("WANDB_DIR")
    return Recorder


def metrics(step: int) -> StepMetrics:
    zeros = dict.fromkeys(StepMetrics.__dataclass_fields__, 0)
    return StepMetrics(**{**zeros, "step": step, "reward": step / 10, "kl": None})  # type: ignore[arg-type]


def test_a_tracker_gets_what_metrics_jsonl_gets(recorder: type[Recorder], tmp_path: Path) -> None:
    with MetricsLog(tmp_path, first_step=0, trackers=["wandb"], settings={"steps": 2, "adapter": None}) as log:
        for step in (0, 1):
            log.add(metrics(step))
    (made,) = recorder.made
    lines = read_metrics(tmp_path)
    assert [(step, values["reward"]) for step, values in made.logged] == [(0, 0.0), (1, 0.1)]
    for (step, values), line in zip(made.logged, lines, strict=True):
        assert {"step": step, **values} == {name: value for name, value in line.items() if value is not None}
    assert made.finished and made.run_name == tmp_path.name and made.settings == {"steps": 2}


@pytest.mark.parametrize("asked", [None, "online"])
def test_nothing_is_online_unless_the_environment_says_so(
    recorder: type[Recorder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str | None
) -> None:
    if asked is not None:
        monkeypatch.setenv("WANDB_MODE", asked)
    with MetricsLog(tmp_path, first_step=0, trackers=["wandb"]):
        pass
    assert recorder.made[0].mode == (asked or "offline")
    assert Path(os.environ["WANDB_DIR"]) == tmp_path


def test_names_are_checked_before_a_training_begins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trackers, "_available", set)
    with pytest.raises(InputError, match="pip install comet-ml"):
        trackers.check_trackers(["comet_ml"])
    monkeypatch.chdir(tmp_path)
    assert main(["grpo", "--config", "tiny", "--log", "tensorbord"]) == 2
    assert "Did you mean 'tensorboard'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert trackers.default_trackers() == ()
