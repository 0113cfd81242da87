"""--prompt chooses the wording, is part of the run's identity, and is stored with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flexeval.cli.main import main

SMALL = ("--limit", "2", "--num-samples", "2", "--gen-length", "8")
TASK = ("--task", "countdown:size=3")


def stored() -> dict[str, dict[str, Any]]:
    """Task -> config.json of its run."""
    configs = [json.loads(path.read_text()) for path in Path("runs").rglob("config.json")]
    return {config["config"]["task"]: config for config in configs}


@pytest.fixture
def wording(in_tmp: Path) -> str:
    (in_tmp / "wording.yaml").write_text("system: Be brief.\nuser: 'Now: {question}'\nprefill: 'So '\n")
    return "wording.yaml"


def test_each_wording_is_a_run_of_its_own(bigram: list[str], wording: str) -> None:
    for argv in ((), ("--prompt", "bare"), ("--prompt", wording), ("--prompt", "default")):
        assert main(["passk", *SMALL, *TASK, *argv]) == 0
    # The last is the first again.
    assert len(bigram) == 3
    configs = stored()
    assert set(configs) == {
        "countdown:size=3",
        "countdown:size=3,template=bare",
        "countdown:size=3,template=wording.yaml",
    }
    theirs = configs["countdown:size=3,template=wording.yaml"]
    assert theirs["prompt_template"] == {"system": "Be brief.", "user": "Now: {question}", "prefill": "So "}
    question = configs["countdown:size=3,template=bare"]["first_prompt"]["user"]
    prompt = {"system": "Be brief.", "user": f"Now: {question}", "prefill": "So "}
    assert theirs["first_prompt"] == {**prompt, "date": "2026-01-01"}


def test_a_wording_that_changed_is_other_data(
    refused: Callable[..., str], bigram: list[str], wording: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["passk", *SMALL, *TASK, "--prompt", wording]
    assert main(argv) == 0
    Path(wording).write_text("user: 'Then: {question}'\n")
    capsys.readouterr()
    assert "was made from other data" in refused(*argv)


def test_a_task_without_templates_stores_none(bigram: list[str], in_tmp: Path) -> None:
    assert main(["passk", *SMALL]) == 0
    (config,) = stored().values()
    assert config["prompt_template"] is None and config["isolation"] is None


def test_sample_shows_the_wording(bigram: list[str], wording: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", *TASK, "--gen-length", "8", "--prompt", wording]) == 0
    assert capsys.readouterr().out.startswith("Now: ")


@pytest.mark.parametrize("verb", ["passk", "sample"])
@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--prompt", "bare"], "task 'forks' has one prompt only; leave out --prompt"),
        ([*TASK, "--prompt", "bar"], "unknown prompt: 'bar'. Did you mean 'bare'"),
        ([*TASK, "--prompt", "missing.yaml"], "cannot read the prompt file 'missing.yaml'"),
        ([*TASK, "--prompt", "a,b.yaml"], "'a,b.yaml' can have no comma"),
        ([*TASK, "--prompt", ""], "--prompt is empty; give a value, or leave it out"),
        (["--task", "countdown:template=bare", "--prompt", "bare"], "names a template, and --prompt another"),
        (["--task", "countdwn", "--prompt", "bare"], "Did you mean 'countdown'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
@pytest.mark.usefixtures("in_tmp")
def test_refused_before_the_model(
    refused: Callable[..., str], bigram: list[str], verb: str, argv: list[str], message: str
) -> None:
    assert message in refused(verb, "--gen-length", "8", *argv)
    assert bigram == []


@pytest.mark.usefixtures("in_tmp")
def test_a_question_of_ones_own_takes_no_wording(refused: Callable[..., str], bigram: list[str], wording: str) -> None:
    line = refused("sample", *TASK, "--question", "Why?", "--prompt", wording)
    assert "--question is asked word for word; leave out --prompt" in line
