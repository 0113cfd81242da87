"""Commands that run generated programs say what confines them, store it, and refuse to go without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flexeval.cli import output
from flexeval.cli.main import main
from flexeval.grading.sandbox import Sandbox, describe_isolation
from flexeval.tasks import benchmark, humaneval

pytestmark = pytest.mark.linux

pytestmark = pytest.mark.usefixtures("in_tmp", "data")
SMALL = ("--task", "humaneval", "--data-dir", "data", "--gen-length", "8")
PROBLEM = {
    "task_id": "HumanEval/0",
    "prompt": "def one():\n    '''1'''\n",
    "canonical_solution": "    return 1\n",
    "test": "def check(candidate):\n    assert candidate() == 1\n",
    "entry_point": "one",
}


@pytest.fixture
def data(in_tmp: Path) -> None:
    (in_tmp / "data").mkdir()
    (in_tmp / "data" / "HumanEval.jsonl").write_text(json.dumps(PROBLEM) + "\n")


def test_isolation_is_said_and_stored(bigram: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    isolation = describe_isolation()
    assert main(["passk", *SMALL, "--num-samples", "1"]) == 0
    assert capsys.readouterr().err.splitlines()[0] == f"generated programs run as {isolation.summary()}"
    (config,) = Path("runs").rglob("config.json")
    assert json.loads(config.read_text())["isolation"] == isolation.as_dict()
    # A run that is complete runs nothing.
    assert main(["passk", *SMALL, "--num-samples", "1"]) == 0
    assert "generated programs" not in capsys.readouterr().err
    assert main(["grade", str(config.parent), "--data-dir", "data"]) == 0
    assert "generated programs run as" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["passk", "sample"])
def test_without_isolation_nothing_starts(
    refused: Callable[..., str], bigram: list[str], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr(benchmark, "shared_sandbox", lambda: Sandbox(workers=1, layers=()))
    assert "FLEXEVAL_ALLOW_UNSAFE_PROGRAMS=1" in refused(verb, *SMALL)
    assert bigram == []


def test_what_was_allowed_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with Sandbox(workers=1, layers=(), allow_unsafe=True) as sandbox:
        monkeypatch.setattr(benchmark, "shared_sandbox", lambda: sandbox)
        output.announce_isolation(humaneval.HumanEval())
    assert "NOT CONFINED" in capsys.readouterr().err
