"""`flexeval lm-eval`: what lm-eval makes of its words, and how it says that they are wrong."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from lm_eval.tasks import TaskManager

from flexeval.cli.main import main


@pytest.fixture
def ask(in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run `flexeval lm-eval run --model flexeval` in an empty folder."""
    monkeypatch.setattr(sys, "argv", sys.argv)
    # To index lm-eval's own tasks takes seconds.
    indexed = functools.partialmethod(TaskManager.__init__, include_defaults=False)
    monkeypatch.setattr(TaskManager, "__init__", indexed)
    return lambda *words: main(["lm-eval", "run", "--model", "flexeval", *words])


TASK = ("--tasks", "flexeval_word_problems")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--tasks", "flexeval_word_problem"), "lm-eval: Tasks not found: flexeval_word_problem; `flexeval lm-eval ls"),
        ((*TASK, "--log_samples"), "lm-eval: Specify --output_path if providing --log_samples"),
        ((*TASK, "--config", "missing.yaml"), "lm-eval: Config file not found: "),
        ((*TASK, "--config", "list.yaml"), "lm-eval: YAML root must be a mapping in "),
        ((*TASK, "--model", "flexevl"), "lm-eval: Attempted to load model 'flexevl', but no model for this name"),
        ((*TASK, "--metadata", "repeat=64"), "unknown metadata: 'repeat'. Did you mean 'repeats'"),
        ((*TASK, "--model_args", "pretraned=tiny"), "unknown model argument: 'pretraned'. Did you mean 'pretrained'"),
    ],
)
def test_bad_words_are_one_line(
    ask: Callable[..., int], capsys: pytest.CaptureFixture[str], words: tuple[str, ...], line: str
) -> None:
    Path("list.yaml").write_text("- flexeval\n")
    assert ask(*words) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"flexeval: error: {line}")


def test_a_bug_keeps_its_traceback(ask: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluate(**_: Any) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("lm_eval.simple_evaluate", evaluate)
    with pytest.raises(ValueError, match="a bug"):
        ask(*TASK)


def test_a_stopped_evaluation_promises_its_cache_only(
    ask: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def evaluate(**_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lm_eval.simple_evaluate", evaluate)
    assert ask(*TASK) == 130
    assert "continues with the answers in --use_cache, or from the beginning without" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_a_comma_is_free_in_yaml_and_json(ask: Callable[..., int], form: str) -> None:
    args = {"pretrained": "tiny", "order": "eb:gamma=0.2,proxy=margin", "gen_length": 4, "temperature": 1}
    common = ("--limit", "1", "--metadata", "repeats=2", "--output_path", "out")
    if form == "yaml":
        Path("plan.yaml").write_text(yaml.safe_dump({"model_args": args, "tasks": [TASK[1]]}))
        status = ask("--config", "plan.yaml", *common)
    else:
        status = ask(*TASK, "--model_args", json.dumps(args), *common)
    assert status == 0
    (written,) = Path("out").rglob("results_*.json")
    results = json.loads(written.read_text())
    assert results["config"]["flexeval"]["order"] == "eb:gamma=0.2,proxy=margin"
    assert results["config"]["flexeval"]["sampling"] == {"gen_length": 4, "temperature": 1.0}
    assert "pass@2,none" in results["results"]["flexeval_word_problems"]
