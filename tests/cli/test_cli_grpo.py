"""The verb grpo: a training from the command line, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from accelerate import Accelerator

from flexeval import get_task
from flexeval.cli.main import main
from flexeval.cli.progress import training_report
from flexeval.grpo.config import GRPOConfig
from flexeval.grpo.metrics import StepMetrics, read_metrics
from flexeval.grpo.problems import canonical_training

SMALL = ("--task", "countdown", "--gen-length", "3", "--problems-per-step", "2", "--group-size", "2", "--cpu")


def test_a_training_can_be_continued_and_evaluated(in_tmp, llada_folder, capsys):
    model = ("--model", str(llada_folder))
    assert main(["grpo", *model, *SMALL, "--steps", "1", "--out", "run"]) == 0
    first = capsys.readouterr()
    assert "checkpoint: run/checkpoints/step-000001" in first.out
    assert "countdown:split=train" in first.err
    assert main(["grpo", *model, *SMALL, "--steps", "2", "--out", "run"]) == 0
    assert [row["step"] for row in read_metrics(in_tmp / "run")] == [0, 1]
    stored = json.loads((in_tmp / "run/config.json").read_text())
    assert stored["grpo"]["task"] == "countdown:split=train"
    capsys.readouterr()

    checkpoint = "run/checkpoints/step-000002"
    evaluate = ["passk", "--model", checkpoint, "--task", "countdown", "--gen-length", "3", "--limit", "1"]
    assert main([*evaluate, "--num-samples", "1", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == str(in_tmp / checkpoint)


def test_options_override_a_file_of_settings(in_tmp, llada_folder, capsys):
    settings = {"model": str(llada_folder), "steps": 3, "seed": 5, "group_size": 2, "problems_per_step": 2}
    (in_tmp / "mine.yaml").write_text(json.dumps({**settings, "gen_length": 3, "task": "countdown"}))
    assert main(["grpo", "--config", "mine.yaml", "--steps", "1", "--cpu"]) == 0
    (out,) = (in_tmp / "runs/grpo").iterdir()
    stored = json.loads((out / "config.json").read_text())["grpo"]
    assert (stored["steps"], stored["seed"], stored["gen_length"]) == (1, 5, 3)
    capsys.readouterr()


def test_a_first_step_of_empty_texts_is_warned_of(capsys):
    """As from a block-diffusion model that was trained on padded answers."""
    numbers = dict.fromkeys((field.name for field in dataclasses.fields(StepMetrics)), 0)
    for step, empty, warned in ((0, 0.49, False), (0, 0.9, True), (1, 0.9, False)):
        with training_report(GRPOConfig(), Path("out"), Accelerator(cpu=True)) as report:
            report(StepMetrics(**{**numbers, "step": step, "empty": empty}))
        assert ("warning: 90 % of the first step's texts are empty" in capsys.readouterr().err) == warned


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rollout-order", "confidence"], "order 'confidence' cannot be trained: it draws a token at every"),
        (["--rollout-order", "threshold"], "order 'threshold' cannot be trained"),
        (["--task", "math500"], "task 'math500' has no training problems"),
        (["--task", "word-problems:split=test"], "leave out split=test"),
        (["--config", "tinny"], "Did you mean 'tiny'"),
        (["--group-size", "one"], "--group-size must be a whole number, not 'one'"),
        (["--loss-positions", "some"], "unknown value of --loss-positions: 'some'"),
        (["--tokens-per-step", "0"], "tokens_per_step must be at least 1"),
        (["--model", "tinny", "--cpu"], "unknown model: 'tinny'"),
        (["--reward", "soundd"], "Did you mean 'sound'"),
        (["--reward", "soundd", "--dry-run"], "Did you mean 'sound'"),
        (["--limit", "3"], "a step takes 64 problems, but there are 3"),
        (["--limit", "3", "--dry-run"], "a step takes 64 problems, but there are 3"),
        (["--log", "tensorbord", "--dry-run"], "Did you mean 'tensorboard'"),
        (["--model", "./nowhere", "--dry-run"], "there is no folder './nowhere'"),
        (["--adapter", "./nowhere", "--dry-run"], "there is no adapter"),
        (["--config", "tiny", "--gen-length", "4000", "--dry-run"], "use a gen_length of at most 2017"),
    ],
)
def test_bad_input_is_one_line(in_tmp, refused, monkeypatch, arguments, message):
    monkeypatch.setattr("flexeval.load_model", None)
    assert message in refused("grpo", *arguments)
    assert not list(in_tmp.iterdir())


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_folder_is_looked_at_before_the_model_is_loaded(in_tmp, refused, monkeypatch, dry):
    config, _ = canonical_training(GRPOConfig(seed=1), get_task("word-problems"))
    record = {"grpo": dataclasses.asdict(config), "environment": {"dtype": "float32"}, "processes": 1}
    (in_tmp / "run/state/step-000007").mkdir(parents=True)
    (in_tmp / "run/config.json").write_text(json.dumps(record))
    monkeypatch.setattr("flexeval.load_model", None)
    grpo = ("grpo", "--task", "word-problems", "--model", "tiny", "--out", "run", *dry)
    assert "was trained with seed 1, not 0" in refused(*grpo)
    assert "has made 7 steps already" in refused(*grpo, "--seed", "1", "--steps", "6")
    (in_tmp / "run/config.json").unlink()
    assert "has lost its config.json" in refused(*grpo)


def test_a_dry_run_leaves_out_the_steps_that_are_made(in_tmp, capsys):
    config, task = canonical_training(GRPOConfig(), get_task("word-problems"))
    record = {"grpo": dataclasses.asdict(config), "environment": {"dtype": "float32"}, "processes": 1}
    (in_tmp / "run/state/step-000100").mkdir(parents=True)
    (in_tmp / "run/config.json").write_text(json.dumps(record))
    assert main(["grpo", "--task", "word-problems", "--model", "tiny", "--out", "run", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "125 steps of 64 problems x 16 samples, 100 of them made" in shown
    assert f"{25 * 64 * 16 * config.sampling(task).gen_length:,}" in shown


def test_a_dry_run_counts_rollouts_and_updates(in_tmp, capsys):
    """2 steps of 3 problems x 4 samples of 16 positions: 384 forwards, and as many positions that are scored, each of
    them three forwards."""
    sizes = ["--steps", "2", "--problems-per-step", "3", "--group-size", "4", "--gen-length", "16"]
    argv = ["grpo", "--model", "tiny", *sizes, "--parameters", "1e9", "--prompt-tokens", "84", "--dry-run"]
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert "2 steps of 3 problems x 4 samples" in shown
    assert shown.count("384") == 2
    assert f"{2e9 * 100 * 384:.1e}" in shown and f"{3 * 2e9 * 100 * 384:.1e}" in shown
    # Without a length that of the task counts.
    assert main([*argv[:-7], *argv[-5:]]) == 0
    assert "384" not in capsys.readouterr().out
    assert list(in_tmp.iterdir()) == []
